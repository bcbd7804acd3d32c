"""What :meth:`bharsdk.Recognizer.run` yields for every frame."""

from __future__ import annotations

import json
import warnings
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

    Attributes:
        capture_ms: reading and decoding the picture.
        landmarks_ms: from giving the picture to the landmarker to getting its people. A landmarker
            may work on several pictures at once, so these times may overlap.
        features_ms: making the model input; 0 on frames between two hops.
        action_ms: running the model; 0 on frames between two hops.
        decode_ms: window and decoder.
    """

    capture_ms: float = 0.0
    landmarks_ms: float = 0.0
    features_ms: float = 0.0
    action_ms: float = 0.0
    decode_ms: float = 0.0

    def __repr__(self) -> str:
        return brief_config(self)

    def plus(self, other: StageTimes) -> StageTimes:
        """Return the sum of both, stage by stage."""
        return StageTimes(
            self.capture_ms + other.capture_ms,
            self.landmarks_ms + other.landmarks_ms,
            self.features_ms + other.features_ms,
            self.action_ms + other.action_ms,
            self.decode_ms + other.decode_ms,
        )

    @property
    def own_ms(self) -> float:
        """Milliseconds of bharsdk itself: features, action and decode."""
        return self.features_ms + self.action_ms + self.decode_ms

    @property
    def total_ms(self) -> float:
        """Milliseconds of all stages together."""
        return self.capture_ms + self.landmarks_ms + self.own_ms

    def to_dict(self) -> dict[str, float]:
        """Return plain JSON values: each stage, and ``total_ms``."""
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
    """One followed person in one frame.

    Attributes:
        track_id: number of the person, the same in every frame; 0 if only one person is followed.
        landmarks: the joints; NaN where nothing was found.
        label: the current sign, or None.
        score: smoothed probability of ``label``, 0 to 1; 0.0 without a sign.
        event: the event that starts, ends or goes on (phase HOLD) in this frame, or None.
        events: all events that started or ended in this frame, and in frames that were dropped
            since the last result.
        top: the most likely labels, best first; empty until the model ran.
        rejected: why there is no event now; None during an event.
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
        """The person's place in the image, or None if the person is not seen."""
        return Box.around(self.landmarks)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without the landmarks."""
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

    Attributes:
        timestamp_ms: capture time, milliseconds.
        frame_number: number of the frame in its source, from 0. Dropped frames count too.
        people: every followed person.
        aspect: width of the image divided by its height.
        stages: milliseconds of each stage.
        backend: what runs the model, as :attr:`bharsdk.Recognizer.backend` says.
        age_ms: milliseconds from the arrival of the picture to this result; 0 for recorded
            landmarks.
        dropped: number of frames dropped since the last result, by cause.
        image: the picture, uint8 BGR [height, width, 3], or None if the source has none.
        is_final: True for the last result if the end of the source brought events. It repeats the
            last frame.
    """

    timestamp_ms: float
    frame_number: int
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
            frame_number=self.frame_number,
            timestamp_ms=self.timestamp_ms,
            people=len(self.people),
            label=self.label,
            score=self.score,
            events=len(self.events),
            dropped=sum(self.dropped.values()),
            is_final=self.is_final or None,
        )

    @property
    def frame(self) -> int:
        """The old name of :attr:`frame_number`; it warns, and goes with the next release."""
        warnings.warn(
            "Result.frame is deprecated: use Result.frame_number", DeprecationWarning, stacklevel=2
        )
        return self.frame_number

    @property
    def events(self) -> tuple[Event, ...]:
        """All events that started or ended in this frame, of every person."""
        return tuple(event for person in self.people for event in person.events)

    @property
    def landmarks(self) -> Landmarks:
        """The landmarks of the first person; all NaN if nobody is followed."""
        if self.people:
            return self.people[0].landmarks
        return Landmarks.empty(self.timestamp_ms, self.aspect)

    @property
    def label(self) -> str | None:
        """The current sign, of the first person who makes one; None without a sign."""
        return next((person.label for person in self.people if person.label is not None), None)

    @property
    def score(self) -> float:
        """The smoothed probability of :attr:`label`, 0 to 1; 0.0 without a sign."""
        return next((person.score for person in self.people if person.label is not None), 0.0)

    def plot(self, image: Image | None = None) -> Image:
        """Return a copy of ``image`` with landmarks, label and events drawn on it.

        Args:
            image: uint8 BGR [height, width, 3]; default the picture of this frame, or black if
                there is none.

        Raises:
            InputError: ``image`` is another kind of array.
            BackendMissingError: OpenCV is not installed (the extra ``camera``).
        """
        from bharsdk.recognition.drawing import draw_result

        return draw_result(self, self.image if image is None else image)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without landmarks and picture.

        The key of :attr:`frame_number` is ``frame``, as in the JSON of version 0.1.0.
        """
        return {
            "timestamp_ms": self.timestamp_ms,
            "frame": self.frame_number,
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
        """Return :meth:`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


@dataclass(frozen=True)
class StageSummary:
    """Milliseconds of each stage, over many frames.

    The model does not run on most frames, so ``own_median_ms`` alone would hide it.

    Attributes:
        frames: number of frames.
        model_runs: number of frames on which the model ran.
        capture_ms: median over all frames.
        landmarks_ms: median over all frames.
        features_ms: median over the frames on which the model ran.
        action_ms: median over the frames on which the model ran.
        decode_ms: median over all frames.
        own_median_ms: features, action and decode together, median over all frames.
        own_mean_ms: the same, mean over all frames.
        own_p95_ms: the same, 95th percentile over all frames.
        own_run_median_ms: the same, median over the frames on which the model ran.
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
        """Return the summary of ``stages``, one entry a frame; all zero if there are none."""
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
        """Return the summary as lines of text, with the slowest stage marked."""
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
