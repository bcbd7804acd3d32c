"""The rules over time that a bundle carries: when an event starts and ends."""

from __future__ import annotations

from dataclasses import dataclass

from bharsdk.errors import InputError
from bharsdk.values.brief import brief_config
from bharsdk.values.checks import check_fields

__all__ = ["DecoderConfig"]

DURATIONS = (
    "smoothing_s",
    "patience_s",
    "min_duration_s",
    "hop_s",
    "restart_gap_s",
    "debounce_s",
)


MAX_DURATION_S = 60


MAX_MOVEMENT = 10


@dataclass(frozen=True)
class DecoderConfig:
    """How a stream of windows becomes events. Raises InputError on values out of range.

    enter_threshold, exit_threshold: smoothed probability at which an event may start, and below
    which it may end. smoothing_s: time constant of the exponential average, 0 for none.
    patience_s: how long a sign stays below ``exit_threshold`` before it ends. min_duration_s: how
    long a sign must last before it is reported, and before it ends the one that goes on. hop_s:
    time from one run of the model to the next. restart_gap_s: a pause of the source longer than
    this starts the window anew. debounce_s: how long after its end the same sign cannot start
    again. min_movement: how far a wrist or a hand must have moved within the window for an event to
    start (:func:`bharsdk.landmarks.motion.movement`): a pose that is held is not the gesture that
    ends in it. 0 where poses are signs, as letters are.

    The defaults are among the best of 144 settings on sessions of signer s1 with a model that was
    trained on s2 alone: most signs right, less those with another label and false events.
    """

    enter_threshold: float = 0.6
    exit_threshold: float = 0.3
    smoothing_s: float = 0.1
    patience_s: float = 0.3
    min_duration_s: float = 0.0
    hop_s: float = 0.1
    restart_gap_s: float = 0.5
    debounce_s: float = 0.0
    min_movement: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, "decoder")
        if not 0 < self.exit_threshold <= self.enter_threshold <= 1:
            raise InputError(
                f"decoder: got exit_threshold {self.exit_threshold} and enter_threshold"
                f" {self.enter_threshold}, expected 0 < exit <= enter <= 1"
            )
        for name in DURATIONS:
            value = getattr(self, name)
            if not 0 <= value <= MAX_DURATION_S:
                raise InputError(
                    f"decoder: got {name} {value}, expected 0 to {MAX_DURATION_S} seconds"
                )
        if not 0 <= self.min_movement <= MAX_MOVEMENT:
            raise InputError(
                f"decoder: got min_movement {self.min_movement}, expected 0 to {MAX_MOVEMENT}"
                " shoulder widths"
            )
        if self.restart_gap_s == 0:
            raise InputError("decoder: got restart_gap_s 0, expected more than one frame's time")

    def __repr__(self) -> str:
        return brief_config(self)
