"""What is published: JSON with the stamp of its picture. README.md has the fields."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk import Event, Result

__all__ = ["Stamped", "StampedResult", "event_messages", "landmarks_message"]

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
DECIMALS = 5
"""Of coordinates: a hundredth of a pixel of a 4K picture, and half the bytes."""


@dataclass(frozen=True)
class Stamped:
    """The header of a picture. stamp_ns: nanoseconds, as the camera gave them."""

    stamp_ns: int
    frame_id: str


@dataclass(frozen=True, eq=False)
class StampedResult:
    """A result and the header of the picture that it was made from."""

    header: Stamped
    result: Result

    def stamp_of(self, timestamp_ms: float) -> int:
        """Nanoseconds, on the camera's clock, of a time that the result speaks of.

        Counted from the picture's own stamp: exact there, and within a microsecond elsewhere.
        """
        before_ms = self.result.timestamp_ms - timestamp_ms
        return self.header.stamp_ns - round(before_ms * NS_PER_MS)


def event_messages(stamped: StampedResult) -> list[str]:
    """One JSON text for each event that started or ended with this result."""
    return [_dumped({**_header(stamped), **_event(stamped, e)}) for e in stamped.result.events]


def landmarks_message(stamped: StampedResult) -> str:
    """The landmarks of everyone who is followed, as one JSON text; null: not found."""
    people = [
        {
            "track_id": person.track_id,
            "label": person.label,
            "score": round(person.score, DECIMALS),
            "body": _points(person.landmarks.body),
            "left_hand": _points(person.landmarks.hands[0]),
            "right_hand": _points(person.landmarks.hands[1]),
        }
        for person in stamped.result.people
    ]
    return _dumped({**_header(stamped), "aspect": stamped.result.aspect, "people": people})


def _header(stamped: StampedResult) -> dict[str, Any]:
    return {"stamp": _stamp(stamped.header.stamp_ns), "frame_id": stamped.header.frame_id}


def _event(stamped: StampedResult, event: Event) -> dict[str, Any]:
    end = None if event.end_ms is None else _stamp(stamped.stamp_of(event.end_ms))
    return {
        "label": event.label,
        "phase": event.phase.value,
        "score": round(event.score, DECIMALS),
        "track_id": event.track_id,
        "start": _stamp(stamped.stamp_of(event.start_ms)),
        "end": end,
    }


def _stamp(stamp_ns: int) -> dict[str, int]:
    """As builtin_interfaces/Time has it."""
    sec, nanosec = divmod(stamp_ns, NS_PER_S)
    return {"sec": sec, "nanosec": nanosec}


def _points(points: npt.NDArray[np.float32]) -> list[list[float]] | None:
    """points [V, C] -> rows of numbers; None where NaN says that they were not found."""
    if np.isnan(points[0, 0]):
        return None
    rows: list[list[float]] = np.round(points.astype(np.float64), DECIMALS).tolist()
    return rows


def _dumped(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False)
