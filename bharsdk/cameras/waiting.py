"""Sources that are not there yet: a camera to be plugged in, a file to be written."""

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
    """What ``open_now`` gives once it does not fail any more. None: ``closed`` was set before.

    is_missing: whether an error says that the source is not there yet; any other one is raised at
    once. on_wait: told of the first error. Raises the last one after ``config.wait_for_source_s``.
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
    """Pictures of a source that is opened when it is there, by the thread that iterates.

    open_now: opens it. path: the file that is not there yet; None for a camera. on_wait: told once
    why it waits. fps, frame_count: None until it was opened. Raises while iterating what opening
    raises, a missing source only after ``config.wait_for_source_s``.
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
        """End the wait, and iterating as the pictures' own ``interrupt`` does."""
        self._closed.set()
        if self._pictures is not None:
            self._pictures.interrupt()

    def close(self) -> None:
        """Release what is open. A second call does nothing."""
        self.interrupt()
        if self._pictures is not None:
            self._pictures.close()
