"""Live pictures: from a camera of this machine, from the network, or from a module of its own."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterator
from typing import Any

from bharsdk.cameras.address import CameraAddress, CameraKind
from bharsdk.cameras.opencv import import_cv2, silent_log
from bharsdk.cameras.pictures import CapturedImage, Pictures
from bharsdk.errors import SourceError, assert_never
from bharsdk.process.closeable import Closing
from bharsdk.process.silence import STDERR, quiet_outputs

__all__ = ["Camera", "open_address"]

NETWORK_TIMEOUT_MS = 5000
"""A network camera that says nothing for this long is lost."""


def open_address(address: CameraAddress, origin_s: float) -> Pictures:
    """Open ``address``: by its own module, else with OpenCV. Time counts from ``origin_s``.

    Raises SourceError when it cannot be opened.
    """
    if address.kind is not CameraKind.MODULE:
        return Camera(address, origin_s)
    pictures: Pictures = importlib.import_module(address.module).open_one(address, origin_s)
    return pictures


class Camera(Closing):
    """A live source, read through OpenCV.

    The time of a picture is the time of its arrival. It counts from ``origin_s``
    (``time.monotonic()``), by default from the opening. Raises SourceError when it cannot be
    opened, and while iterating when it stops.
    """

    is_live = True
    fps: float | None = None
    frame_count: int | None = None

    def __init__(self, address: CameraAddress, origin_s: float | None = None) -> None:
        self._cv2 = import_cv2()
        self._address, self.name = address, address.name
        with _quiet(self._cv2, address):
            self._capture = _open(self._cv2, address)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(f"{address.name}: cannot be opened, expected {_expected(address)}")
        # A longer queue would only hand out older pictures.
        self._capture.set(self._cv2.CAP_PROP_BUFFERSIZE, 1)
        self._origin_s = time.monotonic() if origin_s is None else origin_s

    def __iter__(self) -> Iterator[CapturedImage]:
        last_ms = -1.0
        while True:
            begin_s = time.perf_counter()
            arrived, image = self._capture.read()
            capture_ms = (time.perf_counter() - begin_s) * 1000.0
            if not arrived:
                raise SourceError(
                    f"{self._address.name}: stopped delivering pictures, expected"
                    f" {_expected(self._address)}"
                )
            now_ms = (time.monotonic() - self._origin_s) * 1000.0
            last_ms = max(now_ms, last_ms + 0.001)
            yield CapturedImage(image, last_ms, capture_ms)

    def interrupt(self) -> None:
        """Do nothing: a read ends within one frame, or within the time-out of the network."""

    def close(self) -> None:
        """Release the camera. A second call does nothing."""
        self._capture.release()


@contextlib.contextmanager
def _quiet(cv2: Any, address: CameraAddress) -> Iterator[None]:
    """Without what OpenCV and its backends say, which the error says better.

    A network camera may take seconds to answer, for which stderr is not taken from the process.
    """
    with contextlib.ExitStack() as silence:
        silence.enter_context(silent_log(cv2))
        if address.kind is not CameraKind.NETWORK:
            silence.enter_context(quiet_outputs(STDERR))
        yield


def _open(cv2: Any, address: CameraAddress) -> Any:
    match address.kind:
        case CameraKind.NUMBER:
            return cv2.VideoCapture(address.target)
        case CameraKind.DEVICE:
            return cv2.VideoCapture(address.target, cv2.CAP_V4L2)
        case CameraKind.CSI:
            return cv2.VideoCapture(address.target, cv2.CAP_GSTREAMER)
        case CameraKind.NETWORK:
            timeouts = [
                *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS),
                *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, NETWORK_TIMEOUT_MS),
            ]
            return cv2.VideoCapture(address.target, cv2.CAP_FFMPEG, timeouts)
        case CameraKind.MODULE:
            raise AssertionError("opened by open_address")
        case _:
            assert_never(address.kind)


def _expected(address: CameraAddress) -> str:
    match address.kind:
        case CameraKind.NUMBER | CameraKind.DEVICE:
            return "a connected camera that no other program uses: see  ls /dev/video*"
        case CameraKind.CSI:
            return (
                "a Jetson with a sensor of that number, and OpenCV with GStreamer (JetPack's own"
                " has it, that of pip has not)"
            )
        case CameraKind.NETWORK:
            return "a camera that answers there: try the address in a player"
        case CameraKind.MODULE:
            raise AssertionError("opened by open_address")
        case _:
            assert_never(address.kind)
