"""Queues for frames that come faster than they are used, and a count of every lost frame.

::

    in = out + dropped + pending           at any moment, and pending is 0 once a source is closed
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bharsdk.cameras.source_config import Backpressure
from bharsdk.errors import InputError
from bharsdk.events import DropCause
from bharsdk.values.brief import brief

__all__ = ["FrameCounts", "FrameLedger", "FrameQueue"]

T = TypeVar("T")


@dataclass(frozen=True)
class FrameCounts:
    """Number of frames that a run captured, delivered and dropped.

    Attributes:
        captured: frames that the source gave.
        delivered: results that the program took.
        dropped: number of dropped frames by cause, without causes that did not occur.
    """

    captured: int = 0
    delivered: int = 0
    dropped: Mapping[DropCause, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return brief(
            self,
            captured=self.captured,
            delivered=self.delivered,
            dropped=self.total_dropped,
            pending=self.pending,
        )

    @property
    def total_dropped(self) -> int:
        """The number of dropped frames, of all causes."""
        return sum(self.dropped.values())

    @property
    def pending(self) -> int:
        """The number of frames under way: captured, but not yet delivered or dropped."""
        return self.captured - self.delivered - self.total_dropped


class FrameLedger:
    """Counts frames; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._captured = self._delivered = 0
        self._dropped: dict[DropCause, int] = {}
        self._reported: dict[DropCause, int] = {}
        self._is_settled = False

    def capture(self) -> int:
        """Count one more frame of the source. Returns its number, from 0."""
        with self._lock:
            number = self._captured
            if not self._is_settled:
                self._captured += 1
            return number

    def drop(self, cause: DropCause) -> None:
        """Count a frame as dropped."""
        with self._lock:
            if not self._is_settled:
                self._add(cause, 1)

    def deliver(self) -> dict[DropCause, int]:
        """Count a frame as delivered. Returns what was dropped since the last delivered one."""
        with self._lock:
            if not self._is_settled:
                self._delivered += 1
            since = {
                cause: count - self._reported.get(cause, 0)
                for cause, count in self._dropped.items()
                if count > self._reported.get(cause, 0)
            }
            self._reported = dict(self._dropped)
            return since

    def settle(self) -> None:
        """Count what is under way as dropped by closing, and nothing any more.

        For frames that a thread holds which may never return.
        """
        with self._lock:
            pending = FrameCounts(self._captured, self._delivered, self._dropped).pending
            if pending and not self._is_settled:
                self._add(DropCause.CLOSED, pending)
            self._is_settled = True

    def _add(self, cause: DropCause, count: int) -> None:
        self._dropped[cause] = self._dropped.get(cause, 0) + count

    @property
    def counts(self) -> FrameCounts:
        """The counts at this moment."""
        with self._lock:
            return FrameCounts(self._captured, self._delivered, dict(self._dropped))


class FrameQueue(Generic[T]):
    """A bounded queue between two threads. When it is full, ``policy`` says what happens.

    slots: largest number of items that wait; LATEST has one. on_drop: called with each item that
    the queue drops, oldest first. Raises InputError on fewer than one slot.
    """

    def __init__(
        self, slots: int, policy: Backpressure, on_drop: Callable[[T], None] | None = None
    ) -> None:
        if slots < 1:
            raise InputError(f"queue: got {slots} slots, expected at least 1")
        self._slots = 1 if policy is Backpressure.LATEST else slots
        self._waits = policy is Backpressure.WAIT
        self._on_drop = on_drop
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = self._aborted = False

    def __len__(self) -> int:
        with self._changed:
            return len(self._items)

    def put(self, item: T) -> bool:
        """Append ``item``. Returns False, without it, once the queue has ended or was aborted."""
        with self._changed:
            while self._waits and len(self._items) >= self._slots and not self._is_over:
                self._changed.wait()
            if self._is_over:
                return False
            gone = []
            while len(self._items) >= self._slots:
                gone.append(self._items.popleft())
            self._items.append(item)
            self._tell(gone)
            self._changed.notify_all()
            return True

    def get(self) -> T | None:
        """Wait for the oldest item and return it. Return None if no item will come."""
        with self._changed:
            while not self._items:
                if self._is_over:
                    return None
                self._changed.wait()
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def end(self, last: T | None = None) -> None:
        """No item comes after ``last``, which waits beside any number; what waits can be got."""
        with self._changed:
            if last is not None and not self._is_over:
                self._items.append(last)
            self._ended = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Drop all that waits; nobody waits any more on either side."""
        with self._changed:
            gone = list(self._items)
            self._items.clear()
            self._aborted = True
            self._tell(gone)
            self._changed.notify_all()

    @property
    def _is_over(self) -> bool:
        return self._ended or self._aborted

    def _tell(self, gone: list[T]) -> None:
        for item in gone:
            if self._on_drop is not None:
                self._on_drop(item)
