"""Makes times increase, even if the clock is set back."""

from __future__ import annotations

import math

from bharsdk.files.limits import MAX_TIMESTAMP_MS

__all__ = ["TimeGuard"]

CLOCK_RESET_MS = 1000.0
"""Times that go on for this long behind the latest one are those of a clock that was set back."""


class TimeGuard:
    """Admits only times that increase.

    If a clock is set back, its times would be refused until it catches up. So after one second of
    refused times the guard admits them again, moved to one second after the latest admitted time.
    """

    def __init__(self) -> None:
        self._last_ms = -math.inf
        self._offset_ms = 0.0
        self._refused_ms: tuple[float, float] | None = None  # first and last, as they came

    def admit(self, timestamp_ms: float) -> float | None:
        """Return the time to use for a frame captured at ``timestamp_ms``, or None to drop it."""
        if not math.isfinite(timestamp_ms):
            return None
        time_ms = timestamp_ms + self._offset_ms
        if not 0 <= time_ms <= MAX_TIMESTAMP_MS:
            return None
        if time_ms <= self._last_ms:
            first_ms, newest_ms = self._refused_ms or (timestamp_ms, -math.inf)
            if timestamp_ms <= newest_ms:
                first_ms = timestamp_ms
            self._refused_ms = first_ms, timestamp_ms
            if timestamp_ms - first_ms < CLOCK_RESET_MS:
                return None
            self._offset_ms = self._last_ms + CLOCK_RESET_MS - timestamp_ms
            time_ms = timestamp_ms + self._offset_ms
        self._refused_ms = None
        self._last_ms = time_ms
        return time_ms
