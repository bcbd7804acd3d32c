"""What :meth:`bharsdk.Recognizer.run` yields for every frame."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bharsdk.events import DropCause, Event, Rejection
from bharsdk.landmarks.box import Box
from bharsdk.landmarks.landmarks import DEFAULT_ASPECT, Landmarks
from bharsdk.values.brief import brief, brief_config
from bharsdk.values.image import Image

__all__ = ["Person", "Result", "Score", "StageSummary", "StageTimes"]


@dataclass(frozen=True)
class StageTimes:
    """Milliseconds that one frame spent in each stage.

    capture: reading and decoding the picture. landmarks: the landmarker; of one whose stages
    overlap, from getting the picture to giving its people, other pictures meanwhile. features,
    action: model input and model, 0 on frames between two hops. decode: window and decoder.
    """

    capture_ms: float = 0.0
    landmarks_ms: float = 0.0
    features_ms: float = 0.0
    action_ms: float = 0.0
    decode_ms: float = 0.0

    def __repr__(self) -> str:
        return brief_config(self)

    def plus(self, other: StageTimes) -> StageTimes:
        """Stage by stage."""
        return StageTimes(
            self.capture_ms + other.capture_ms,
            self.landmarks_ms + other.landmarks_ms,
            self.features_ms + other.features_ms,
            self.action_ms + other.action_ms,
            self.decode_ms + other.decode_ms,
        )

    @property
    def own_ms(self) -> float:
        """What bharsdk itself took: features, action and decode."""
        return self.features_ms + self.action_ms + self.decode_ms

    @property
    def total_ms(self) -> float:
        """All stages."""
        return self.capture_ms + self.landmarks_ms + self.own_ms

    def to_dict(self) -> dict[str, float]:
        """Plain JSON values: each stage, and ``total_ms``."""
        return {**asdict(self), "total_ms": self.total_ms}


@dataclass(frozen=True)
class Score:
    """A label and its smoothed probability, 0 to 1."""

    label: str
    score: float

    def __repr__(self) -> str:
        return brief(self, label=self.label, score=self.score)


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody who is followed, in one frame.

    track_id: the same for the same person as long as they are followed; 0 where only one is.
    landmarks: NaN where nothing was found. label, score: the sign that is going on and its smoothed
    probability; None and 0 while there is none. event: the one that starts or ends with this frame,
    or goes on (its phase is HOLD); None while there is none. events: what started or ended with
    this frame; of frames nobody took in time, too. top: the likeliest labels, best first; empty
    until the model ran. rejected: why there is no event now; None while there is one.
    """

    track_id: int
    landmarks: Landmarks
    label: str | None
    score: float
    event: Event | None
    events: tuple[Event, ...]
    top: tuple[Score, ...]
    rejected: Rejection | None

    def __repr__(self) -> str:
        return brief(
            self,
            track_id=self.track_id,
            label=self.label,
            score=self.score,
            events=len(self.events),
            top=self.top[0] if self.top else None,
            rejected=self.rejected,
        )

    @property
    def box(self) -> Box | None:
        """Where the person is in the image; None where not seen."""
        return Box.around(self.landmarks)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; landmarks are left out."""
        return {
            "track_id": self.track_id,
            "label": self.label,
            "score": self.score,
            "event": None if self.event is None else self.event.to_dict(),
            "events": [event.to_dict() for event in self.events],
            "top": [asdict(score) for score in self.top],
            "rejected": None if self.rejected is None else self.rejected.name.lower(),
            "box": None if self.box is None else asdict(self.box),
        }


@dataclass(frozen=True, eq=False)
class Result:
    """One frame of a source, and what the recognizer knows at that moment.

    timestamp_ms: capture time, milliseconds. frame: its number among those the source gave, from 0,
    dropped ones included. people: everyone who is followed. backend: what runs the model. age_ms:
    since the picture arrived, when the result was handed over; 0 for recorded landmarks. dropped:
    frames dropped since the last result, by cause. image: the picture, uint8 BGR [height, width,
    3], where the source has one. is_final: the source ended; the last frame again, with the events
    that its end brought.
    """

    timestamp_ms: float
    frame: int
    people: tuple[Person, ...]
    aspect: float = DEFAULT_ASPECT
    stages: StageTimes = field(default_factory=StageTimes)
    backend: str = ""
    age_ms: float = 0.0
    dropped: Mapping[DropCause, int] = field(default_factory=dict)
    image: Image | None = field(default=None, repr=False)
    is_final: bool = False

    def __repr__(self) -> str:
        return brief(
            self,
            frame=self.frame,
            timestamp_ms=self.timestamp_ms,
            people=len(self.people),
            label=self.label,
            score=self.score,
            events=len(self.events),
            dropped=sum(self.dropped.values()),
            is_final=self.is_final or None,
        )

    @property
    def events(self) -> tuple[Event, ...]:
        """What started or ended with this frame, of everyone."""
        return tuple(event for person in self.people for event in person.events)

    @property
    def landmarks(self) -> Landmarks:
        """Those of the first person; NaN where there is nobody."""
        if self.people:
            return self.people[0].landmarks
        return Landmarks.empty(self.timestamp_ms, self.aspect)

    @property
    def label(self) -> str | None:
        """The sign that is going on: the first person's who makes one."""
        return next((person.label for person in self.people if person.label is not None), None)

    @property
    def score(self) -> float:
        """Smoothed probability of :attr:`label`; 0 while there is none."""
        return next((person.score for person in self.people if person.label is not None), 0.0)

    def plot(self, image: Image | None = None) -> Image:
        """A copy of ``image`` (default: the frame's own) with landmarks, label and events drawn.

        Without any picture, draws on black. Needs OpenCV (the extra ``camera``).
        """
        from bharsdk.recognition.drawing import draw_result

        return draw_result(self, self.image if image is None else image)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; landmarks and picture are left out."""
        return {
            "timestamp_ms": self.timestamp_ms,
            "frame": self.frame,
            "label": self.label,
            "score": self.score,
            "events": [event.to_dict() for event in self.events],
            "people": [person.to_dict() for person in self.people],
            "stages": self.stages.to_dict(),
            "backend": self.backend,
            "age_ms": self.age_ms,
            "dropped": {cause.name.lower(): count for cause, count in self.dropped.items()},
            "is_final": self.is_final,
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as one line."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


@dataclass(frozen=True)
class StageSummary:
    """What the stages of many frames took, milliseconds.

    capture_ms, landmarks_ms, decode_ms: medians over all frames. features_ms, action_ms: medians
    over the frames on which the model ran. own_*: features, action and decode together, over all
    frames. Most frames lie between two hops, so that median alone would hide the model:
    own_run_median_ms is the median over the frames on which it ran.
    """

    frames: int
    model_runs: int
    capture_ms: float
    landmarks_ms: float
    features_ms: float
    action_ms: float
    decode_ms: float
    own_median_ms: float
    own_mean_ms: float
    own_p95_ms: float
    own_run_median_ms: float

    def __repr__(self) -> str:
        return brief(
            self,
            frames=self.frames,
            model_runs=self.model_runs,
            landmarks_ms=self.landmarks_ms,
            own_median_ms=self.own_median_ms,
            own_mean_ms=self.own_mean_ms,
        )

    @classmethod
    def of(cls, stages: Sequence[StageTimes]) -> StageSummary:
        """The summary of ``stages``, one entry a frame; zeros when there is none."""
        own = np.array([s.own_ms for s in stages] or [0.0])
        ran = [s for s in stages if s.action_ms > 0]

        def median(name: str, of: Sequence[StageTimes]) -> float:
            return float(np.median([getattr(s, name) for s in of] or [0.0]))

        return cls(
            frames=len(stages),
            model_runs=len(ran),
            capture_ms=median("capture_ms", stages),
            landmarks_ms=median("landmarks_ms", stages),
            features_ms=median("features_ms", ran),
            action_ms=median("action_ms", ran),
            decode_ms=median("decode_ms", stages),
            own_median_ms=float(np.median(own)),
            own_mean_ms=float(np.mean(own)),
            own_p95_ms=float(np.percentile(own, 95)),
            own_run_median_ms=median("own_ms", ran),
        )

    def lines(self) -> list[str]:
        """The summary as text, the slowest stage marked."""
        stages = {
            "capture": (self.capture_ms, "median"),
            "landmarks": (self.landmarks_ms, "median"),
            "features": (self.features_ms, f"median of {self.model_runs} runs of the model"),
            "action": (self.action_ms, f"median of {self.model_runs} runs of the model"),
            "decode": (self.decode_ms, "median"),
        }
        slowest = max(stages, key=lambda name: stages[name][0])
        return [
            *(
                f"  {name:<10} {ms:8.2f} ms  {what}{'  <- bottleneck' * (name == slowest)}"
                for name, (ms, what) in stages.items()
            ),
            f"  ours, capture excluded: {self.own_median_ms:.2f} ms median /"
            f" {self.own_mean_ms:.2f} ms mean / {self.own_p95_ms:.2f} ms p95 a frame;"
            f" {self.own_run_median_ms:.2f} ms median on frames with the model",
        ]
