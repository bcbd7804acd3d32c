"""Class probabilities over time -> events. Pure rules in seconds: no model, no clock.

::

    probabilities --EMA--> smoothed --enter_threshold--> candidate --min_duration_s--> START
                                    --exit_threshold for patience_s-------------------> END

A window's label describes the middle of the window, so every event time is the time of the window's
last frame less ``delay_ms``, half a window.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError

__all__ = ["Decoder", "DecoderConfig", "Event", "EventPhase"]

FloatArray = npt.NDArray[np.floating]


class EventPhase(enum.Enum):
    """Which end of an event is reported."""

    START = "start"
    END = "end"


@dataclass(frozen=True)
class Event:
    """One recognised sign, reported when it starts and again when it ends.

    start_ms, end_ms: capture time, milliseconds; ``end_ms`` is None while the sign goes on.
    score: the highest smoothed probability so far, 0 to 1.
    """

    label: str
    phase: EventPhase
    start_ms: float
    end_ms: float | None
    score: float

    @property
    def duration_ms(self) -> float | None:
        """Milliseconds from start to end; None while the sign goes on."""
        return None if self.end_ms is None else self.end_ms - self.start_ms

    def to_dict(self) -> dict[str, str | float | None]:
        """Plain JSON values, keys as the fields."""
        return {
            "label": self.label,
            "phase": self.phase.value,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "score": self.score,
        }


@dataclass(frozen=True)
class DecoderConfig:
    """How a stream of windows becomes events. Raises InputError on values out of range.

    enter_threshold, exit_threshold: smoothed probability at which an event may start, and below
    which it may end. smoothing_s: time constant of the exponential average, 0 for none.
    patience_s: how long a sign stays below ``exit_threshold`` before it ends. min_duration_s: how
    long a sign must last before it is reported. hop_s: time from one run of the model to the next.
    restart_gap_s: a pause of the source longer than this starts the window anew.
    """

    enter_threshold: float = 0.7
    exit_threshold: float = 0.4
    smoothing_s: float = 0.1
    patience_s: float = 0.2
    min_duration_s: float = 0.2
    hop_s: float = 0.1
    restart_gap_s: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.exit_threshold <= self.enter_threshold <= 1:
            raise InputError(
                f"decoder: got exit_threshold {self.exit_threshold} and enter_threshold"
                f" {self.enter_threshold}, expected 0 < exit <= enter <= 1"
            )
        for name in ("smoothing_s", "patience_s", "min_duration_s", "hop_s", "restart_gap_s"):
            value = getattr(self, name)
            if not 0 <= value <= 60:
                raise InputError(f"decoder: got {name} {value}, expected 0 to 60 seconds")
        if self.restart_gap_s == 0:
            raise InputError("decoder: got restart_gap_s 0, expected more than one frame's time")
