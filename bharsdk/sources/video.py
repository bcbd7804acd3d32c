"""Pictures of a video file, through OpenCV."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

from bharsdk.closing import Closing
from bharsdk.errors import InputError
from bharsdk.quiet import STDERR, quiet_outputs
from bharsdk.sources.frame import CapturedImage
from bharsdk.sources.opencv import import_cv2

__all__ = ["Video"]

FALLBACK_FPS = 30.0
COUNTED_SUFFIXES = {".avi", ".m4v", ".mov", ".mp4"}
"""Containers that store how many frames they hold; others have it guessed from the duration."""
TRUNCATED_BELOW = 0.9
"""Decoded share of the announced frames below which a file counts as cut off: encoders may
announce a few frames that players skip."""


class Video(Closing):
    """A video file. Times are the container's, or counted at its frame rate where it has none.

    Raises InputError when the file is missing, empty or no video, and at the end of iterating when
    it held no picture or far fewer than it announces (a truncated file).
    """

    is_live = False

    def __init__(self, path: str | Path) -> None:
        self._path, self.name = Path(path), str(path)
        _check_file(self._path)
        self._cv2 = import_cv2()
        with quiet_outputs(STDERR):
            self._capture = self._cv2.VideoCapture(str(self._path))
        if not self._capture.isOpened():
            self._capture.release()
            raise InputError(
                f"{self._path}: cannot be read as a video (another kind of file, or truncated),"
                " expected mp4, avi, mkv or webm"
            )
        fps = float(self._capture.get(self._cv2.CAP_PROP_FPS))
        self.fps: float = fps if math.isfinite(fps) and 1 <= fps <= 1000 else FALLBACK_FPS
        count = float(self._capture.get(self._cv2.CAP_PROP_FRAME_COUNT))
        self.frame_count: int | None = int(count) if 0 < count < 1e9 else None

    def __iter__(self) -> Iterator[CapturedImage]:
        last_ms, read = -math.inf, 0
        while True:
            begin_s = time.perf_counter()
            arrived, image = self._capture.read()
            if not arrived:
                break
            at_ms = float(self._capture.get(self._cv2.CAP_PROP_POS_MSEC))
            capture_ms = (time.perf_counter() - begin_s) * 1000.0
            if not (math.isfinite(at_ms) and at_ms >= 0 and at_ms > last_ms):
                at_ms = max(last_ms, 0.0) + (1000.0 / self.fps if read else 0.0)
            last_ms, read = at_ms, read + 1
            yield CapturedImage(image, at_ms, capture_ms)
        self._check_end(read)

    def _check_end(self, read: int) -> None:
        if read == 0:
            raise InputError(
                f"{self._path}: got no picture out of it (empty or truncated), expected a video"
                " that a player shows"
            )
        announced = self.frame_count or 0
        counted = self._path.suffix.lower() in COUNTED_SUFFIXES
        if counted and read < TRUNCATED_BELOW * announced:
            raise InputError(
                f"{self._path}: truncated: got {read} pictures, expected the {announced} that the"
                " file announces: copy it again"
            )

    def interrupt(self) -> None:
        """A read ends by itself."""

    def close(self) -> None:
        """Release the file. A second call does nothing."""
        self._capture.release()


def _check_file(path: Path) -> None:
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "nothing there"
        raise InputError(f"{path}: got {kind}, expected a video file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: got an empty file (0 bytes), expected a video")
