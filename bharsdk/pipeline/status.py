"""The state of a run, and the callback that learns each change."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from bharsdk.values.brief import brief

__all__ = ["OnStatus", "RunState", "Status"]


class RunState(enum.Enum):
    """The state of a run."""

    STARTING = "starting"
    """The run opens source and landmarker; there is no frame yet. With a message, it waits for a
    source that does not exist yet."""
    WARMING = "warming"
    """Frames come, but not yet enough for a first decision."""
    RUNNING = "running"
    """Frames come and are recognized."""
    DEGRADED = "degraded"
    """The run works, but most of the last frames were dropped. The message says why."""
    RECONNECTING = "reconnecting"
    """The source was lost. The run tries to open it again, with growing pauses."""
    ENDED = "ended"
    """The source has ended, or somebody closed the run."""
    ERROR = "error"
    """The run ended with an error. The message has its text; iterating raises it."""


@dataclass(frozen=True)
class Status:
    """A state, and why.

    Attributes:
        state: the state of the run.
        message: the reason in words; empty if there is nothing to explain.
    """

    state: RunState
    message: str = ""

    def __repr__(self) -> str:
        return brief(self, state=self.state.value, message=self.message or None)

    def __str__(self) -> str:
        return f"{self.state.value}: {self.message}" if self.message else self.state.value


OnStatus = Callable[[Status], None]
"""A function that takes a Status. The run calls it at each change of state, in order, from one
thread at a time, so it must return quickly. If it raises an exception, the run logs it and goes on.
If it hangs while the run closes, it is not called any more."""
