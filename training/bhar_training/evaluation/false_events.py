"""Count the events that a recognizer makes of hours without a sign.

Clips follow each other in random order, each slightly changed (speed, turn, proportions). Between
two clips the body moves from the end of one to the beginning of the next. All have the aspect of
one camera. Clips are shown whole, since all of an hour without a sign can be taken for one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bhar_training.console.progress import progress_bar
from bhar_training.data.augment import AugmentConfig, augment
from bharsdk.errors import InputError
from bharsdk.events import EventPhase
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.recognizer import Recognizer

__all__ = ["FalseEvents", "count_false_events", "endless"]

SLIGHTLY = AugmentConfig(
    time_warp=1.3,
    rotation_rad=0.05,
    turn_rad=0.15,
    stretch=0.08,
    mirror=0.0,
    lose_hand=0.0,
    jitter=0.0,
    negative=0.0,
)
BRIDGE_S = 0.4
FPS = 15.0


@dataclass(frozen=True)
class FalseEvents:
    """What was found.

    hours: how long the recording is. clips: how many different clips there are. shown: how often
    one was shown. by_label: events of each label.
    """

    hours: float
    clips: int
    shown: int
    by_label: dict[str, int]

    @property
    def events(self) -> int:
        """Return the number of all events."""
        return sum(self.by_label.values())

    @property
    def per_hour(self) -> float:
        """Return events an hour."""
        return self.events / self.hours

    def __str__(self) -> str:
        """Return two lines of text."""
        each = ", ".join(f"{label} {n}" for label, n in Counter(self.by_label).most_common())
        return (
            f"{self.events} events in {self.hours:g} h strung of {self.clips} clips, shown"
            f" {self.shown} times: {self.per_hour:.2f} an hour" + (f"\n  {each}" if each else "")
        )


def count_false_events(
    recognizer: Recognizer,
    clips: Sequence[LandmarkSequence],
    *,
    hours: float,
    seed: int = 0,
    progress: bool = True,
) -> FalseEvents:
    """Count events in ``hours`` of ``clips`` that show no sign of the model."""
    found: Counter[str] = Counter()
    shown = 0
    until_ms = hours * 3_600_000.0
    bar = progress_bar(total=round(hours * 3600), shown=progress, unit="s", desc="recognize")
    stream = recognizer.stream()
    with bar:
        for begun, frame in endless(clips, seed):
            if frame.timestamp_ms > until_ms:
                break
            shown = begun
            found.update(e.label for e in stream.push(frame) if e.phase is EventPhase.START)
            bar.update(int(frame.timestamp_ms / 1000) - bar.n)
        found.update(e.label for e in stream.flush() if e.phase is EventPhase.START)
    return FalseEvents(hours, len(clips), shown, dict(found))


def endless(clips: Sequence[LandmarkSequence], seed: int) -> Iterator[tuple[int, Landmarks]]:
    """Yield frames without end, times from 0 on, each with the number of clips shown so far.

    Raises InputError when there is no clip.
    """
    if not clips:
        raise InputError("false events: got no clips, expected at least one that shows no sign")
    random = np.random.default_rng(seed)
    now_ms, shown, last = 0.0, 0, None
    while True:
        for number in random.permutation(len(clips)):
            clip = replace(augment(clips[number], SLIGHTLY, random)[0], aspect=clips[0].aspect)
            first = next(clip.frames())
            if last is not None:
                for weight in np.linspace(0, 1, round(BRIDGE_S * FPS) + 1)[1:-1]:
                    now_ms += 1000.0 / FPS
                    yield shown, _between(last, first, float(weight), now_ms)
            shown += 1
            begin_ms = now_ms + 1000.0 / FPS
            for frame in clip.frames():
                now_ms = begin_ms + frame.timestamp_ms - first.timestamp_ms
                last = replace(frame, timestamp_ms=now_ms)
                yield shown, last


def _between(a: Landmarks, b: Landmarks, weight: float, timestamp_ms: float) -> Landmarks:
    """On the way from ``a`` to ``b``; a hand or body that one of them lacks is missing."""

    def mixed(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return (x * np.float32(1 - weight) + y * np.float32(weight)).astype(np.float32)

    return Landmarks(timestamp_ms, mixed(a.body, b.body), mixed(a.hands, b.hands), a.aspect)
