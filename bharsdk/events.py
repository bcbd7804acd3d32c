"""Events, and the reasons why there is none."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_TIMESTAMP_MS, MAX_TRACK_ID
from bharsdk.values.brief import brief
from bharsdk.values.labels import MAX_LABEL_LENGTH

__all__ = ["DropCause", "Event", "EventPhase", "Rejection"]


class EventPhase(enum.Enum):
    """The phase of an event: START and END are reported once, HOLD is the time between them."""

    START = "start"
    HOLD = "hold"
    END = "end"


class Rejection(enum.Enum):
    """Why there is no event now. The value says it in words, for people."""

    WARMING = "the receptive field is not filled yet"
    NOBODY = "nobody is seen"
    BACKGROUND = "no sign"
    NOT_ALLOWED = "the label is not allowed"
    STILL = "a pose that is held"
    UNSURE = "below the rejection threshold of the model"
    LOW_SCORE = "below enter_threshold"
    DEBOUNCED = "too soon after the last one"
    TOO_SHORT = "has yet to last for min_duration_s"


@dataclass(frozen=True)
class Event:
    """One recognized sign. It is reported when it starts, and again when it ends.

    Attributes:
        label: the sign, 1 to 100 printable characters.
        phase: START, END, or HOLD between the two.
        start_ms: capture time of its start, milliseconds.
        end_ms: capture time of its end, milliseconds; None until the phase is END.
        score: highest smoothed probability so far, 0 to 1.
        track_id: number of the person who made it; 0 if only one person is followed.

    Raises:
        InputError: the end lies before the start, or a value is out of range.
    """

    label: str
    phase: EventPhase
    start_ms: float
    end_ms: float | None
    score: float
    track_id: int = 0

    def __post_init__(self) -> None:
        if not (0 < len(self.label) <= MAX_LABEL_LENGTH and self.label.isprintable()):
            raise InputError(
                f"event: got the label {self.label[:MAX_LABEL_LENGTH]!r}, expected 1 to"
                f" {MAX_LABEL_LENGTH} printable characters"
            )
        if (self.end_ms is not None) != (self.phase is EventPhase.END):
            raise InputError(
                f"event: got the end {self.end_ms} in phase {self.phase.value!r}, expected an end"
                " in phase 'end' alone"
            )
        end_ms = self.start_ms if self.end_ms is None else self.end_ms
        # Written so that NaN fails it too.
        if not 0 <= self.start_ms <= end_ms <= MAX_TIMESTAMP_MS:
            raise InputError(
                f"event: got {self.start_ms} to {self.end_ms} ms, expected"
                f" 0 <= start <= end <= {MAX_TIMESTAMP_MS:g}"
            )
        if not 0 <= self.score <= 1:
            raise InputError(f"event: got score {self.score}, expected 0 to 1")
        if not 0 <= self.track_id <= MAX_TRACK_ID:
            raise InputError(f"event: got track_id {self.track_id}, expected 0 to {MAX_TRACK_ID}")

    def __repr__(self) -> str:
        return brief(
            self,
            label=self.label,
            phase=self.phase.value,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            score=self.score,
            track_id=self.track_id or None,
        )

    @property
    def duration_ms(self) -> float | None:
        """Milliseconds from start to end; None until the event ends."""
        return None if self.end_ms is None else self.end_ms - self.start_ms

    def __str__(self) -> str:
        """Return one line of text, with times in seconds."""
        start = f"{self.start_ms / 1000:.2f}"
        end = "" if self.end_ms is None else f"{self.end_ms / 1000:.2f}"
        until = f"to {end:>7} s" if end else " " * 12
        who = f"  person {self.track_id}" if self.track_id else ""
        return (
            f"{self.phase.value:<6} {self.label:<10} {start:>7} s {until}  score {self.score:.2f}"
            + who
        )

    def to_dict(self) -> dict[str, str | float | int | None]:
        """Return plain JSON values. The keys are the names of the fields."""
        return {
            "label": self.label,
            "phase": self.phase.value,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "score": self.score,
            "track_id": self.track_id,
        }


class DropCause(enum.Enum):
    """Why a frame was dropped. The value says it in words, for people."""

    BUSY_LANDMARKER = "the landmarker was busy"
    BUSY_CONSUMER = "the consumer was busy; its events came with the next result"
    STALE = "older than max_age_s"
    TIMESTAMP = "its time was not later than the last, or no time at all"
    FAILED = "the landmarker raised an error"
    CLOSED = "the source was closed"
