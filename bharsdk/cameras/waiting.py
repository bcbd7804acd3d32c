"""Wait for a source that is not there yet: a camera to be plugged in, a file to be written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import TypeVar

from bharsdk.cameras.pictures import CapturedImage, Pictures
from bharsdk.cameras.source_config import SourceConfig
from bharsdk.errors import BharError, SourceError

__all__ = ["AwaitedPictures", "wait_for"]

T = TypeVar("T")


def wait_for(
    open_now: Callable[[], T],
    is_missing: Callable[[BharError], bool],
    config: SourceConfig,
    closed: Event,
    on_wait: Callable[[BharError], None],
) -> T | None:
    """Return what ``open_now`` returns once it succeeds; None if ``closed`` was set before.

    Args:
        open_now: opens the source, or raises.
        is_missing: whether an error says that the source is not there yet; others are raised at
            once.
        config: how long to wait, and how long to pause. After it, the last error is raised.
        closed: ends the wait.
        on_wait: called with the first error.
    """
    until_s = time.monotonic() + config.wait_for_source_s
    pause_s, is_told = config.retry_s, False
    while not closed.is_set():
        try:
            return open_now()
        except BharError as error:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not is_missing(error):
                raise
            if not is_told:
                on_wait(error)
                is_told = True
        closed.wait(min(pause_s, left_s))
        pause_s = min(2 * pause_s, config.max_retry_s)
    return None


class AwaitedPictures:
    """Pictures of a source that the iterating thread opens as soon as it is there.

    Args:
        open_now: opens it.
        name: for messages.
        config: how long to wait. Iterating then raises what opening raises.
        path: the file that is not there yet; None for a camera.
        on_wait: called once with the reason to wait.
    """

    def __init__(
        self,
        open_now: Callable[[], Pictures],
        name: str,
        config: SourceConfig,
        *,
        path: Path | None = None,
        on_wait: Callable[[BharError], None] = lambda error: None,
    ) -> None:
        self._open_now, self._config, self._on_wait = open_now, config, on_wait
        self._path, self.name = path, name
        self.is_live = path is None
        self._closed = Event()
        self._pictures: Pictures | None = None

    @property
    def fps(self) -> float | None:
        """Nominal frames a second; None where unknown."""
        return None if self._pictures is None else self._pictures.fps

    @property
    def frame_count(self) -> int | None:
        """How many there will be; None where unknown."""
        return None if self._pictures is None else self._pictures.frame_count

    def __iter__(self) -> Iterator[CapturedImage]:
        self._pictures = wait_for(
            self._open_now, self._is_missing, self._config, self._closed, self._on_wait
        )
        if self._pictures is None or self._closed.is_set():
            return
        yield from self._pictures

    def _is_missing(self, error: BharError) -> bool:
        if self._path is None:
            return isinstance(error, SourceError)
        return not self._path.exists()

    def interrupt(self) -> None:
        """End the wait, or interrupt the pictures."""
        self._closed.set()
        if self._pictures is not None:
            self._pictures.interrupt()

    def close(self) -> None:
        """Release what is open. A second call does nothing."""
        self.interrupt()
        if self._pictures is not None:
            self._pictures.close()
