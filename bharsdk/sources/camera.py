"""Pictures of a camera, through OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType

from bharsdk.errors import SourceError
from bharsdk.quiet import STDERR, quiet_outputs
from bharsdk.sources.frame import CapturedImage
from bharsdk.sources.opencv import import_cv2

__all__ = ["Camera"]


class Camera:
    """Camera number ``index``, 0 for the first. Time counts from when it was opened.

    Raises SourceError when there is no such camera, and while iterating when it stops delivering.
    """

    fps: float | None = None
    frame_count: int | None = None

    def __init__(self, index: int) -> None:
        self._cv2 = import_cv2()
        self._index = index
        with quiet_outputs(STDERR):
            self._capture = self._cv2.VideoCapture(index)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"camera {index}: cannot be opened, expected a connected camera that no other"
                " program uses: see  ls /dev/video*"
            )
        # A longer queue would only hand out older pictures.
        self._capture.set(self._cv2.CAP_PROP_BUFFERSIZE, 1)
        self._opened_s = time.monotonic()

    def __iter__(self) -> Iterator[CapturedImage]:
        last_ms = -1.0
        while True:
            begin_s = time.perf_counter()
            arrived, image = self._capture.read()
            capture_ms = (time.perf_counter() - begin_s) * 1000.0
            if not arrived:
                raise SourceError(
                    f"camera {self._index}: stopped delivering pictures, expected a connected"
                    " camera: check the cable and start again"
                )
            now_ms = (time.monotonic() - self._opened_s) * 1000.0
            last_ms = max(now_ms, last_ms + 0.001)
            yield CapturedImage(image, last_ms, capture_ms)

    def __enter__(self) -> Camera:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the camera. A second call does nothing."""
        self._capture.release()
