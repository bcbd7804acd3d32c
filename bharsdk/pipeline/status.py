"""How a running source is doing: its state, told to a callback whenever it changes."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from bharsdk.values.brief import brief

__all__ = ["OnStatus", "RunState", "Status"]


class RunState(enum.Enum):
    """Where a run is between its start and its end."""

    STARTING = "starting"
    """Source and landmarker are being opened; no frame yet. With a message: the source is not there
    yet and is waited for."""
    WARMING = "warming"
    """Frames come; the receptive field is not filled, so nothing can be recognized yet."""
    RUNNING = "running"
    DEGRADED = "degraded"
    """Works, but most frames of the last moments were dropped: the message says why."""
    RECONNECTING = "reconnecting"
    """The source was lost; it is opened again and again, ever more slowly."""
    ENDED = "ended"
    """The source has ended, or the run was closed."""
    ERROR = "error"
    """The run ended with the error in the message, which the iterator raises."""


@dataclass(frozen=True)
class Status:
    """A state and, for people, why."""

    state: RunState
    message: str = ""

    def __repr__(self) -> str:
        return brief(self, state=self.state.value, message=self.message or None)

    def __str__(self) -> str:
        return f"{self.state.value}: {self.message}" if self.message else self.state.value


OnStatus = Callable[[Status], None]
"""Called when the state changes, by one thread at a time, in order: be quick. What it raises is
logged, and the run goes on; if it hangs as the run is closed, it is not called any more."""
