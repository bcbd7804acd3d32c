"""Measure what happens in a clip: who is seen, which hands, and how fast they move.

:mod:`bharsdk.landmarks.action` uses it. Speeds are in shoulder widths a second, seen from the
shoulders. So the distance to the camera and a step aside do not count. No model is needed, and the
same clip gives the same numbers everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.landmarks.partial import is_body, is_hand, mean_of_seen, sum_of_bones
from bharsdk.landmarks.skeleton import MEDIAPIPE_HAND21, BodyJoint

__all__ = ["Activity", "Burst", "activity_of"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

STEP_MS = 1000.0 / 15
"""Between two looks. Faster cameras are thinned out, or the landmarker's noise, which is of each
frame, would count as speed."""
MAX_LOOKS = 100_000
"""Nearly two hours; looks at a longer recording, or one with a leap in time, lie further apart."""
SHOULDERS = [BodyJoint.LEFT_SHOULDER, BodyJoint.RIGHT_SHOULDER]
WRISTS = [BodyJoint.LEFT_WRIST, BodyJoint.RIGHT_WRIST]
HAND_PARENTS = np.array(MEDIAPIPE_HAND21.parents)
HANDS_IN_A_SHOULDER_WIDTH = 2.0
"""Hand lengths (four mean bones): the unit of hands that are seen without a body."""
MIN_VISIBILITY = 0.5
"""Below it the landmarker guesses where a wrist is."""
STILL, FAST = 0.1, 1.0
"""Speeds that count as none and as full. Resting hands tremble at up to 0.1; the hands of signs
move at 0.4 to 2."""
MOVING = 0.35
"""Of that measure: a speed of 0.4."""
SMOOTHING_MS = 200.0
PAUSE_MS = 800.0
"""A rest shorter than this is part of a movement, as between the strokes of a wave."""
SAME_PLACE = 0.4
"""Shoulder widths. A hand that is this near to where it rests has come back to rest."""
HANDS_SEEN = 0.25
"""Of a movement, where others show hands."""
MAIN = 0.4
"""A movement with less than this part of the largest one's is none of its own."""


@dataclass(frozen=True)
class Burst:
    """A movement between two rests, in milliseconds of the clip."""

    start_ms: float
    end_ms: float


@dataclass(frozen=True, eq=False)
class Activity:
    """A clip at even times, [n].

    Attributes:
        times_ms: times of the clip.
        person: whether a body is seen.
        hands: whether at least one hand is seen.
        moving: how fast a hand or wrist moves, 0 (still) to 1 (fast).
        places: float64 [n, 2, 2], the wrists in shoulder widths from the shoulders; NaN if not
            seen.
    """

    times_ms: FloatArray
    person: BoolArray
    hands: BoolArray
    moving: FloatArray
    places: FloatArray

    @property
    def hands_share(self) -> float:
        """Return the part of the clip that shows a hand, 0 to 1."""
        return float(self.hands.mean())

    @property
    def moving_share(self) -> float:
        """Return the part of the clip in which a hand or wrist moves, 0 to 1."""
        return float((self._smooth() >= MOVING).mean())

    @property
    def is_empty(self) -> bool:
        """Return whether nothing happens: no hand is seen, and no wrist moves."""
        return not self.hands.any() and self.moving_share == 0

    def bursts(self) -> list[Burst]:
        """Return the movements of the clip, separated by rests, in time order.

        A rest lasts :data:`PAUSE_MS`. During a rest the hands are out of sight, or where they are
        before the first or after the last movement. A pose that is held belongs to its movement.
        Movements that are small beside the largest are left out. So are movements without hands,
        where another movement has them.
        """
        smooth = self._smooth()
        runs = _runs(smooth >= MOVING)
        if not runs:
            return []
        joined = [runs[0]]
        for start, stop in runs[1:]:
            if self._is_rest(joined[-1][1], start, runs[0][0], runs[-1][1]):
                joined.append((start, stop))
            else:
                joined[-1] = joined[-1][0], stop
        # Who shifts on a chair between two signs moves, too; beside hands that is no movement.
        with_hands = [run for run in joined if self.hands[slice(*run)].mean() >= HANDS_SEEN]
        joined = with_hands or joined
        sizes = [float(smooth[start:stop].sum()) for start, stop in joined]
        return [
            Burst(float(self.times_ms[start]), float(self.times_ms[stop - 1]))
            for (start, stop), size in zip(joined, sizes, strict=True)
            if size >= MAIN * max(sizes)
        ]

    def _smooth(self) -> FloatArray:
        return _mean_around(self.moving, max(1, round(SMOOTHING_MS / self._step_ms)))

    @property
    def _step_ms(self) -> float:
        return float(self.times_ms[1] - self.times_ms[0]) if len(self.times_ms) > 1 else STEP_MS

    def _is_rest(self, start: int, stop: int, first: int, last: int) -> bool:
        """Whether [start, stop) between two movements is one; they all lie in [first, last)."""
        if (stop - start) * self._step_ms < PAUSE_MS:
            return False
        here = _median(self.places[start:stop])
        if self.hands[start:stop].mean() < 0.5 and self.hands.any():
            return True
        if np.isnan(here).all():
            return True
        away = [_median(part) for part in (self.places[:first], self.places[last:])]
        return any(_near(here, there) for there in away)


def activity_of(sequence: LandmarkSequence) -> Activity:
    """Look at ``sequence`` about 15 times a second, or at each frame of slower ones."""
    sequence = sequence.mapped()
    times = sequence.timestamps_ms
    step_ms = STEP_MS
    if len(times) > 1:
        length_ms = float(times[-1] - times[0])
        step_ms = max(STEP_MS, float(np.median(np.diff(times))), length_ms / MAX_LOOKS)
    at = times[0] + step_ms * np.arange(int((times[-1] - times[0]) / step_ms + 1e-6) + 1)
    rows = _nearest(times, at)
    flat = np.array([sequence.aspect, 1.0])
    body = sequence.body[rows].astype(np.float64)
    hands = sequence.hands[rows][..., :2] * flat
    person, seen = is_body(body), is_hand(hands)
    hands[~seen] = np.nan
    origin, unit = _shoulders(body, person, hands, flat)
    hands = (hands - origin[:, None, None]) / unit
    wrists = (body[:, WRISTS, :2] * flat - origin[:, None]) / unit
    wrists[~(body[:, WRISTS, 3] >= MIN_VISIBILITY)] = np.nan
    # Of a hand the mean over its joints, so that fingers count, and the noise of one does not.
    steps = [
        mean_of_seen(np.linalg.norm(np.diff(hands, axis=0), axis=3)),
        np.linalg.norm(np.diff(wrists, axis=0), axis=2),
    ]
    speeds = np.nan_to_num(np.concatenate(steps, axis=1)).max(axis=1) / (step_ms / 1000.0)
    # Between two looks; a look has the mean of the step before it and the step after it.
    between = np.concatenate([[0.0], speeds, [0.0]])
    speed = (between[1:] + between[:-1]) / 2
    return Activity(
        at,
        person,
        seen.any(axis=1),
        np.clip((speed - STILL) / (FAST - STILL), 0.0, 1.0),
        np.where(seen[..., None], hands[:, :, 0], wrists),
    )


def _nearest(times: FloatArray, at: FloatArray) -> npt.NDArray[np.intp]:
    """The frame nearest to each of ``at``."""
    if len(times) == 1:
        return np.zeros(len(at), np.intp)
    right = np.clip(np.searchsorted(times, at), 1, len(times) - 1)
    return np.where(at - times[right - 1] <= times[right] - at, right - 1, right)


def _shoulders(
    body: FloatArray, person: BoolArray, hands: FloatArray, flat: FloatArray
) -> tuple[FloatArray, float]:
    """(their middle at each look, [n, 2], their distance), image heights.

    Where no body is seen, the middle lies between those seen before and after. Of hands alone it
    is the image's corner, and the distance twice the length of a hand.
    """
    if person.any():
        sides = body[:, SHOULDERS, :2] * flat
        known, looks = np.flatnonzero(person), np.arange(len(body))
        middle = sides.mean(axis=1)
        origin = np.stack([np.interp(looks, known, middle[known, i]) for i in range(2)], axis=1)
        width = float(np.median(np.linalg.norm(sides[known, 0] - sides[known, 1], axis=1)))
        if width > 0:
            return origin, width
    else:
        origin = np.zeros((len(body), 2))
    bones = sum_of_bones(np.linalg.norm(hands - hands[:, :, HAND_PARENTS], axis=3))
    lengths = bones[~np.isnan(bones)]
    length = 4 * float(np.median(lengths)) / (len(HAND_PARENTS) - 1) if len(lengths) else 0.0
    return origin, HANDS_IN_A_SHOULDER_WIDTH * length or 1.0


def _mean_around(values: FloatArray, width: int) -> FloatArray:
    """The mean of ``width`` values around each; fewer at the ends."""
    kernel = np.ones(width)
    total = np.convolve(values, kernel, "full")[(width - 1) // 2 :][: len(values)]
    count = np.convolve(np.ones(len(values)), kernel, "full")[(width - 1) // 2 :][: len(values)]
    mean: FloatArray = total / count
    return mean


def _runs(flags: BoolArray) -> list[tuple[int, int]]:
    """[start, stop) of every stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def _median(places: FloatArray) -> FloatArray:
    """[n, 2, 2] -> [2, 2], NaN for a wrist that is never seen."""
    median = np.full((2, 2), np.nan)
    for side in range(2):
        seen = places[~np.isnan(places[:, side, 0]), side]
        if len(seen):
            median[side] = np.median(seen, axis=0)
    return median


def _near(here: FloatArray, there: FloatArray) -> bool:
    """Whether every wrist that both see, at least one, is at the same place."""
    apart = np.linalg.norm(here - there, axis=1)
    apart = apart[~np.isnan(apart)]
    return bool(len(apart)) and bool(apart.max() <= SAME_PLACE)
