"""A recorded session in memory: frames and, where known, what happened in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError
from bharsdk.events import Event
from bharsdk.files.limits import MAX_PEOPLE, MAX_TIMESTAMP_MS
from bharsdk.landmarks.frame import Frame
from bharsdk.landmarks.landmarks import LandmarkSequence, check_aspects
from bharsdk.values.brief import brief
from bharsdk.values.checks import check_fields
from bharsdk.values.labels import MAX_LABEL_LENGTH

__all__ = ["Session", "TrueEvent"]


@dataclass(frozen=True)
class TrueEvent:
    """A sign that was really made between two capture times, in milliseconds.

    Raises InputError on times out of order and on a wrong label, as :class:`bharsdk.Event` does.
    """

    label: str
    start_ms: float
    end_ms: float

    def __post_init__(self) -> None:
        check_fields(self, "session")
        if not (0 < len(self.label) <= MAX_LABEL_LENGTH and self.label.isprintable()):
            raise InputError(
                f"session: got the label {self.label[:MAX_LABEL_LENGTH]!r}, expected 1 to"
                f" {MAX_LABEL_LENGTH} printable characters"
            )
        if not (0 <= self.start_ms < self.end_ms <= MAX_TIMESTAMP_MS):
            raise InputError(
                f"session: got {self.label!r} from {self.start_ms} to {self.end_ms} ms, expected"
                " 0 <= start < end"
            )

    def __repr__(self) -> str:
        return brief(self, label=self.label, start_ms=self.start_ms, end_ms=self.end_ms)


@dataclass(frozen=True, eq=False)
class Session:
    """A recording: its frames and, where known, what happened in it.

    sequence: the first person. truth: which signs were really made, in time order; empty where
    nobody noted them. note: where the frames come from. others: further people at the same times
    and of the same skeletons, NaN where not seen. aspects: float64 [T], image width / height of
    each frame; None where it never changed. events: what was recognized during the recording.
    model: sha256 of the bundle that recognized it. options: the recognizer's options. These three
    are None where nothing was recognized. Raises InputError on others of other times or skeletons,
    and on aspects that no image has.
    """

    sequence: LandmarkSequence
    truth: tuple[TrueEvent, ...] = ()
    note: str = ""
    license: str = ""
    others: tuple[LandmarkSequence, ...] = ()
    aspects: npt.NDArray[np.float64] | None = None
    events: tuple[Event, ...] | None = None
    model: str | None = None
    options: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_fields(self, "session")
        times = self.sequence.timestamps_ms
        if len(self.others) >= MAX_PEOPLE:
            raise InputError(
                f"session: got {1 + len(self.others)} people, expected at most {MAX_PEOPLE}"
            )
        for other in self.others:
            if other.aspect != self.sequence.aspect or not np.array_equal(
                other.timestamps_ms, times
            ):
                raise InputError(
                    "session: got people at different times or aspects, expected those of the"
                    " first: NaN marks when somebody was not seen"
                )
        if any(other.skeletons != self.sequence.skeletons for other in self.others):
            raise InputError(
                "session: got people of several skeletons, expected those of the first"
            )
        if self.aspects is not None:
            if self.aspects.shape != times.shape:
                raise InputError(
                    f"session: got {list(self.aspects.shape)} aspects, expected one for each of"
                    f" {len(times)} frames"
                )
            check_aspects(self.aspects)

    def __repr__(self) -> str:
        return brief(
            self,
            frames=len(self),
            fps=self.fps,
            persons=1 + len(self.others),
            truth=len(self.truth),
            events=None if self.events is None else len(self.events),
            note=self.note or None,
        )

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
        """Yield the frames, each with the people who were seen in it."""
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
