"""The rules over time that a bundle carries: when an event starts and ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bharsdk.errors import InputError
from bharsdk.values.brief import brief_config
from bharsdk.values.checks import check_fields
from bharsdk.values.declared import Cli, Help, Range, check_ranges

__all__ = ["DecoderConfig"]

DURATION = Range(0, 60, "seconds")


@dataclass(frozen=True)
class DecoderConfig:
    """Say when a stream of probabilities becomes an event, and when the event ends.

    Every time is in seconds, every probability is the smoothed one, 0 to 1.

    enter_threshold: an event may start at this probability. exit_threshold: it may end below this
    one. smoothing_s: time constant of the exponential average, 0 for none. patience_s: the sign
    ends when it stays below ``exit_threshold`` for so long. min_duration_s: a sign must last so
    long before it is reported, and before it ends another one. hop_s: time between two runs of the
    model. restart_gap_s: a longer pause of the source clears the window. debounce_s: after its end,
    a sign cannot start again for so long. min_movement: a wrist or a hand must have moved this far
    within the window for an event to start, in shoulder widths
    (:func:`bharsdk.landmarks.motion.movement`). A held pose is then not taken for the gesture that
    ends in it. 0 where poses are signs, as letters are.

    The defaults are among the best of 144 settings on sessions of signer s1, with a model trained
    on s2 alone. Best means: most signs right, less wrong labels and false events.

    Raises InputError on a value out of range.
    """

    enter_threshold: Annotated[
        float, Range(0, 1, above=True), Help("an event may start at this probability")
    ] = 0.6
    exit_threshold: Annotated[
        float, Range(0, 1, above=True), Help("an event may end below this probability")
    ] = 0.3
    smoothing_s: Annotated[
        float, DURATION, Help("time constant of the average of the probabilities; 0: none")
    ] = 0.1
    patience_s: Annotated[
        float, DURATION, Help("how long a sign stays below --exit-threshold before it ends")
    ] = 0.3
    min_duration_s: Annotated[
        float, DURATION, Help("how long a sign lasts before it is reported")
    ] = 0.0
    hop_s: Annotated[float, DURATION, Help("time between two runs of the model")] = 0.1
    restart_gap_s: Annotated[
        float,
        Range(0, 60, "seconds", above=True),
        Help("a pause of the source longer than this clears the window"),
    ] = 0.5
    debounce_s: Annotated[
        float, DURATION, Help("how long after its end the same sign cannot start again")
    ] = 0.0
    min_movement: Annotated[
        float,
        Range(0, 10, "shoulder widths"),
        Help("how far a wrist or hand moves within the window before an event starts"),
        Cli(metavar="WIDTHS"),
    ] = 0.0

    def __post_init__(self) -> None:
        check_fields(self, "decoder")
        check_ranges(self, "decoder")
        if self.exit_threshold > self.enter_threshold:
            raise InputError(
                f"decoder: got exit_threshold {self.exit_threshold} and enter_threshold"
                f" {self.enter_threshold}, expected 0 < exit <= enter <= 1"
            )

    def __repr__(self) -> str:
        return brief_config(self)
