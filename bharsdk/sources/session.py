"""A recorded session in memory: frames and, where known, what happened in them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError
from bharsdk.events import Event
from bharsdk.landmarks import LandmarkSequence
from bharsdk.sources.frame import Frame

__all__ = ["Session", "TrueEvent"]


@dataclass(frozen=True)
class TrueEvent:
    """What really happened: a sign between two capture times, milliseconds."""

    label: str
    start_ms: float
    end_ms: float

    def __post_init__(self) -> None:
        if not (0 <= self.start_ms < self.end_ms < math.inf):
            raise InputError(
                f"session: got {self.label!r} from {self.start_ms} to {self.end_ms} ms, expected"
                " 0 <= start < end"
            )


@dataclass(frozen=True, eq=False)
class Session:
    """A recording: its frames and, where known, what happened in it.

    sequence: the first person. truth: in time order; empty where nobody noted it. note: where the
    frames come from. others: further people, at the same times, NaN where not seen. aspects:
    float64 [T], image width / height of each frame, where it changed. events, model, options: what
    was recognised when it was recorded, by which bundle (its sha256), and what was asked of it;
    None where nothing was.
    """

    sequence: LandmarkSequence
    truth: tuple[TrueEvent, ...] = ()
    note: str = ""
    licence: str = ""
    others: tuple[LandmarkSequence, ...] = ()
    aspects: npt.NDArray[np.float64] | None = None
    events: tuple[Event, ...] | None = None
    model: str | None = None
    options: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.sequence)

    @property
    def fps(self) -> float | None:
        """Mean frames a second; None for a single frame."""
        times = self.sequence.timestamps_ms
        if len(times) < 2:
            return None
        return float((len(times) - 1) * 1000.0 / (times[-1] - times[0]))

    def frames(self) -> Iterator[Frame]:
        """The frames, each with those people who were seen in it."""
        aspects = itertools.repeat(self.sequence.aspect)
        people = zip(*(person.frames() for person in (self.sequence, *self.others)), strict=True)
        for number, (found, aspect) in enumerate(
            zip(people, aspects if self.aspects is None else self.aspects, strict=False)
        ):
            seen = tuple(
                one if self.aspects is None else replace(one, aspect=float(aspect))
                for one in found
                if one.is_seen
            )
            yield Frame(found[0].timestamp_ms, seen, float(aspect), number=number)
