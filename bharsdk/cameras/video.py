"""Read the pictures of a video file through OpenCV, as every player shows them.

The container says how pictures are turned, how wide a pixel is, and which pictures are shown.
OpenCV does a part of that, and its defaults change between versions. So OpenCV turns nothing, and
this module does what the container says.
"""

from __future__ import annotations

import math
import shlex
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bharsdk.cameras.container import UPRIGHT, Container, Orientation, codec_name, read_avi
from bharsdk.cameras.file_kind import HEAD_BYTES, FileKind, kind_of_bytes
from bharsdk.cameras.matroska import read_matroska
from bharsdk.cameras.mp4 import read_mp4
from bharsdk.cameras.opencv import import_cv2
from bharsdk.cameras.pictures import CapturedImage
from bharsdk.errors import InputError
from bharsdk.files.writing import mark_read
from bharsdk.process.closeable import Closing
from bharsdk.process.silence import STDERR, quiet_outputs
from bharsdk.values.image import Image

__all__ = ["Video", "read_container"]

FALLBACK_FPS = 30.0
TRUNCATED_BELOW = 0.9
"""Decoded share of the announced frames below which a file counts as cut off: encoders may
announce a few frames that players skip."""
COUNTING = (FileKind.MP4, FileKind.AVI)
"""Containers that store how many frames they hold; others have it guessed from the duration."""
MAX_PIXEL_ASPECT, SQUARE = 4.0, 0.01
"""A pixel's width / height is taken for an error beyond, and for 1 as near to it."""
DECODED = (
    *("h264", "avc1", "avc3", "hvc1", "hev1", "hevc", "mp4v", "fmp4", "mjpg", "vp80", "vp90"),
    *("v_mpeg4/iso/avc", "v_mpegh/iso/hevc", "v_vp8", "v_vp9", "v_mjpeg"),
)
"""Codecs that OpenCV's own builds decode: where they give no picture the file is damaged."""


class Video(Closing):
    """A video file.

    Times are those of the container, or counted at its frame rate where it has none. Pictures are
    turned as the container says, and stretched where its pixels are not square.

    Raises InputError when the file is missing, empty, no video, or has a codec that OpenCV does not
    know. Raises it at the end of iterating when the file held no picture, or far fewer than it
    announces.
    """

    is_live = False

    def __init__(self, path: str | Path) -> None:
        self._path, self.name = Path(path), str(path)
        _check_file(self._path)
        self._cv2 = import_cv2()
        kind, self._container = read_container(self._path)
        with quiet_outputs(STDERR):
            # FFmpeg takes what stands before a colon for a protocol, unless the path is absolute.
            self._capture = self._cv2.VideoCapture(str(self._path.absolute()))
        # No writer replaces it until it is closed, or forgotten.
        self._unmark = weakref.finalize(self, mark_read(self._path))
        if not self._capture.isOpened():
            self.close()
            raise InputError(_not_opened(self._path, kind, self._container))
        self._orientation = self._not_done_yet()
        self._pixel_aspect = self._stored_pixel_aspect()
        fps = float(self._capture.get(self._cv2.CAP_PROP_FPS))
        self.fps: float = fps if math.isfinite(fps) and 1 <= fps <= 1000 else FALLBACK_FPS
        count = float(self._capture.get(self._cv2.CAP_PROP_FRAME_COUNT))
        announced = int(count) if 0 < count < 1e9 else None
        # OpenCV counts what is stored, also what an edit list leaves out.
        self.frame_count: int | None = self._container.pictures or announced
        self._is_counted = kind in COUNTING

    def __iter__(self) -> Iterator[CapturedImage]:
        last_ms, read = -math.inf, 0
        while True:
            begin_s = time.perf_counter()
            arrived, image = self._capture.read()
            if not arrived:
                break
            at_ms = float(self._capture.get(self._cv2.CAP_PROP_POS_MSEC))
            image = self._as_shown(image)
            capture_ms = (time.perf_counter() - begin_s) * 1000.0
            if not (math.isfinite(at_ms) and at_ms >= 0 and at_ms > last_ms):
                at_ms = max(last_ms, 0.0) + (1000.0 / self.fps if read else 0.0)
            last_ms, read = at_ms, read + 1
            yield CapturedImage(image, at_ms, capture_ms)
        self._check_end(read)

    def _not_done_yet(self) -> Orientation:
        """What OpenCV leaves to be done of the orientation that the container asks for."""
        auto, is_known = self._cv2.CAP_PROP_ORIENTATION_AUTO, self._container.codec is not None
        self._capture.set(auto, 0 if is_known else 1)
        # A backend that turns pictures whatever it is told would have them turned twice.
        is_left_to_us = is_known and self._capture.get(auto) != 1
        return self._container.orientation if is_left_to_us else UPRIGHT

    def _stored_pixel_aspect(self) -> float:
        """Width / height of a stored pixel, 1 where the container says nothing of use."""
        across = float(self._capture.get(self._cv2.CAP_PROP_SAR_NUM))
        down = float(self._capture.get(self._cv2.CAP_PROP_SAR_DEN))
        if not (across > 0 and down > 0):
            return 1.0
        aspect = across / down
        is_square = abs(aspect - 1) < SQUARE
        in_reason = 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT
        return aspect if in_reason and not is_square else 1.0

    def _as_shown(self, image: Any) -> Image:
        height, width = image.shape[:2]
        orientation, size = self._orientation, self._container.size
        if orientation.is_transposed and (width, height) != size and (height, width) == size:
            orientation = UPRIGHT  # the backend has turned it all the same
        if self._pixel_aspect > 1:
            image = self._cv2.resize(image, (round(width * self._pixel_aspect), height))
        elif self._pixel_aspect < 1:
            image = self._cv2.resize(image, (width, round(height / self._pixel_aspect)))
        shown: Image = orientation.apply(image)
        return shown

    def _check_end(self, read: int) -> None:
        if read == 0 and not self._container.is_cut:
            fourcc = int(self._capture.get(self._cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
            code = fourcc.to_bytes(4, "little").decode("latin-1").strip("\0 ")
            raise InputError(_no_picture(self._path, self._container, code))
        announced = self.frame_count or 0
        # One picture less is a matter of rounding, also in the shortest clips.
        least = min(TRUNCATED_BELOW * announced, announced - 1)
        if read == 0 or (self._is_counted and read < least):
            raise InputError(
                f"{self._path}: truncated: got {read} pictures, expected the {announced} that the"
                " file announces: copy it again"
            )

    def interrupt(self) -> None:
        """Do nothing: a read ends by itself."""

    def close(self) -> None:
        """Release the file. A second call does nothing."""
        self._capture.release()
        self._unmark()


def read_container(path: Path) -> tuple[FileKind, Container]:
    """Return the kind of the file at ``path`` and its container.

    Raises InputError when it is unreadable.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            head = file.read(HEAD_BYTES)
            kind = kind_of_bytes(head)
            match kind:
                case FileKind.MP4:
                    return kind, read_mp4(file, size)
                case FileKind.MATROSKA:
                    return kind, read_matroska(file, size)
                case FileKind.AVI:
                    return kind, read_avi(head, size)
                case _:
                    return kind, Container()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), expected a video") from error


def _check_file(path: Path) -> None:
    if any("\ud800" <= sign <= "\udfff" for sign in str(path.absolute())):
        # OpenCV ends the process on names whose bytes are no UTF-8.
        raise InputError(f"{ascii(str(path))[1:-1]}: got a name that is no UTF-8: rename it")
    try:
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "nothing there"
            raise InputError(f"{path}: got {kind}, expected a video file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: got an empty file (0 bytes), expected a video")
    except OSError as error:  # a name that is too long, a folder without permission
        raise InputError(
            f"{str(path)[:200]}: cannot be read ({error.strerror}), expected a video file"
        ) from error


def _not_opened(path: Path, kind: FileKind, container: Container) -> str:
    codec = container.codec
    if codec is not None and codec.lower() not in DECODED and not container.is_cut:
        return f"{path}: {_unknown_codec(path, codec)}"
    if kind is FileKind.HEIF:
        return f"{path}: got {kind.value}, expected a video, or JPEG or PNG pictures"
    return (
        f"{path}: cannot be read as a video (another kind of file, or truncated), expected mp4,"
        " avi, mkv or webm"
    )


def _no_picture(path: Path, container: Container, code: str) -> str:
    codec = container.codec or code
    if not codec or codec.lower() in DECODED or code.lower() in DECODED:
        return (
            f"{path}: got no picture out of it (empty, damaged or truncated), expected a video that"
            " a player shows"
        )
    return f"{path}: {_unknown_codec(path, codec)}"


def _unknown_codec(path: Path, codec: str) -> str:
    return (
        f"got a video in {codec_name(codec)}, which the installed OpenCV does not decode, expected"
        f" H.264: convert it with  ffmpeg -i {shlex.quote(path.name)} -c:v libx264 OUT.mp4"
    )
