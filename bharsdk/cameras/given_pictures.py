"""Pictures from a caller, and live pictures that come back after they were lost."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np

from bharsdk.cameras.pictures import CapturedImage, Pictures
from bharsdk.cameras.source_config import SourceConfig
from bharsdk.errors import InputError, SourceError
from bharsdk.values.image import Image

__all__ = [
    "GivenPictures",
    "LimitedPictures",
    "ReconnectingPictures",
    "TakenPictures",
    "taken_over",
]


class GivenPictures:
    """Any iterable of (image, timestamp_ms), times in milliseconds.

    :func:`taken_over` says which images are accepted. Images are copied, so their memory may be
    used again. Raises InputError while iterating on anything else.
    """

    name = "pictures"
    is_live = False
    fps: float | None = None
    frame_count: int | None = None

    def __init__(
        self, pairs: Iterable[tuple[Image, float]], close: Callable[[], None] | None = None
    ) -> None:
        self._pairs: Iterator[Any] = iter(pairs)
        self._close = close

    def __iter__(self) -> Iterator[CapturedImage]:
        for number, pair in enumerate(self._pairs):
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise InputError(
                    f"source: got {type(pair).__name__} as item {number}, expected"
                    " (image, timestamp_ms)"
                )
            image = taken_over(pair[0], f"picture {number}")
            yield CapturedImage(image, _time_of(pair[1], number))

    def interrupt(self) -> None:
        """Do nothing: the caller decides when the next picture comes."""

    def close(self) -> None:
        """Close the iterable, if it can be closed. A second call does nothing."""
        close, self._close = self._close, None
        if close is not None:
            close()


class TakenPictures:
    """Pictures of a class of the caller; they are copied, so its memory may be used again."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self.name, self.is_live = pictures.name, pictures.is_live

    @property
    def fps(self) -> float | None:
        """As the pictures' own."""
        return self._pictures.fps

    @property
    def frame_count(self) -> int | None:
        """As the pictures' own."""
        return self._pictures.frame_count

    def __iter__(self) -> Iterator[CapturedImage]:
        for number, picture in enumerate(self._pictures):
            if not isinstance(picture, CapturedImage):
                raise InputError(
                    f"source: got {type(picture).__name__} as item {number}, expected a"
                    " CapturedImage"
                )
            yield replace(picture, image=taken_over(picture.image, f"picture {number}"))

    def interrupt(self) -> None:
        """As the pictures' own."""
        self._pictures.interrupt()

    def close(self) -> None:
        """As the pictures' own."""
        self._pictures.close()


def taken_over(image: object, what: str) -> Image:
    """Return a copy of ``image``, uint8 [height, width, 3] BGR.

    image: uint8 [height, width, 3] BGR, [height, width, 4] BGRA, or gray, [height, width] or
    [height, width, 1]. Raises InputError naming ``what`` on anything else.
    """
    try:
        array = np.asarray(image)
    except (TypeError, ValueError):
        array = np.empty(0, object)  # rows of several lengths
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.size == 0:
        channels = 0
    match channels:
        case 1:
            gray = array.reshape(*array.shape[:2], 1)
            taken: Image = np.empty((*array.shape[:2], 3), np.uint8)
            taken[:] = gray
        case 3 | 4:
            taken = np.array(array[:, :, :3], order="C")
        case _:
            raise InputError(
                f"source: got {array.dtype} {list(array.shape)} as {what}, expected uint8"
                " [height, width, 3] (BGR), [height, width, 4] (BGRA) or [height, width] (gray)"
            )
    return taken


def _time_of(value: Any, number: int) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"source: got {type(value).__name__} as the time of picture {number}, expected"
            " milliseconds"
        ) from None


class LimitedPictures:
    """The first ``max_frames`` of ``pictures``."""

    def __init__(self, pictures: Pictures, max_frames: int) -> None:
        self._pictures, self._max_frames = pictures, max_frames
        self.name, self.is_live = pictures.name, pictures.is_live

    @property
    def fps(self) -> float | None:
        """As the pictures' own."""
        return self._pictures.fps

    @property
    def frame_count(self) -> int | None:
        """Return the number of frames, at most ``max_frames``."""
        count = self._pictures.frame_count
        return self._max_frames if count is None else min(self._max_frames, count)

    def __iter__(self) -> Iterator[CapturedImage]:
        return itertools.islice(self._pictures, self._max_frames)

    def interrupt(self) -> None:
        """As the pictures' own."""
        self._pictures.interrupt()

    def close(self) -> None:
        """As the pictures' own."""
        self._pictures.close()


class ReconnectingPictures:
    """A live source that is opened again when it is lost, with growing pauses.

    Raises the last SourceError after ``config.reconnect_for_s`` without a picture. No pictures are
    made up for the time in between.

    Args:
        open_again: opens it, or raises SourceError.
        config: how long to try, and how long to pause.
        on_lost: called when it is lost.
        on_back: called when it delivers again.
    """

    is_live = True

    def __init__(
        self,
        open_again: Callable[[], Pictures],
        config: SourceConfig,
        *,
        on_lost: Callable[[SourceError], None] = lambda error: None,
        on_back: Callable[[], None] = lambda: None,
    ) -> None:
        self._open, self._config = open_again, config
        self._on_lost, self._on_back = on_lost, on_back
        self._closed = Event()
        self._pictures: Pictures | None = open_again()
        self.name = self._pictures.name
        self.fps, self.frame_count = self._pictures.fps, self._pictures.frame_count

    def __iter__(self) -> Iterator[CapturedImage]:
        lost_s: float | None = None
        pause_s = self._config.retry_s
        while not self._closed.is_set():
            try:
                if self._pictures is None:
                    self._pictures = self._open()
                if self._closed.is_set():  # while it was opened
                    return
                for picture in self._pictures:
                    if lost_s is not None:
                        lost_s, pause_s = None, self._config.retry_s
                        self._on_back()
                    yield picture
                    if self._closed.is_set():
                        return
                return
            except SourceError as error:
                self._release()
                lost_s = self._waited(lost_s, error)
                self._closed.wait(pause_s)
                pause_s = min(2 * pause_s, self._config.max_retry_s)

    def _waited(self, lost_s: float | None, error: SourceError) -> float:
        """Since when it has been lost. Raises ``error`` when that is too long."""
        now_s = time.monotonic()
        if lost_s is None:
            lost_s = now_s
            if self._config.reconnect_for_s > 0:
                self._on_lost(error)
        if now_s - lost_s >= self._config.reconnect_for_s:
            raise error
        return lost_s

    def _release(self) -> None:
        pictures, self._pictures = self._pictures, None
        if pictures is not None:
            pictures.close()

    def interrupt(self) -> None:
        """End the pause between two attempts, and the iteration after the next picture."""
        self._closed.set()

    def close(self) -> None:
        """Release what is open. A second call does nothing."""
        self.interrupt()
        self._release()
