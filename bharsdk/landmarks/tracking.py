"""Tell several people apart: whose a hand is, and track ids that stay with a person.

These are pure rules over landmarks and capture times. Distances respect the aspect of the image and
are in torso lengths of the person. So a step counts the same near and far.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError, UsageError
from bharsdk.files.limits import MAX_PERSONS
from bharsdk.landmarks.box import Box
from bharsdk.landmarks.landmarks import SKELETONS, Landmarks
from bharsdk.landmarks.partial import is_hand, mean_of_seen
from bharsdk.landmarks.skeleton import BodyJoint, HandJoint
from bharsdk.values.brief import brief_config
from bharsdk.values.checks import check_fields

__all__ = ["PeopleConfig", "PeopleTracker", "Place", "own_hands", "place_of"]

Points = npt.NDArray[np.float64]

SAME_HAND = 0.5
"""Two hands are one when their joints lie nearer than this share of a palm's length, on average.
MediaPipe finds a hand again to a tenth of a palm; clasped hands are half a palm apart or more."""
SIZE_COST = 0.25
"""Of a place twice or half as large as expected; bodies turn and bend within a fifth of that."""
UNSEEN_COST = 0.25
"""Of a track as long unseen as may be."""
TORSO = [BodyJoint.LEFT_SHOULDER, BodyJoint.RIGHT_SHOULDER, BodyJoint.LEFT_HIP, BodyJoint.RIGHT_HIP]
TORSO_PER_SHOULDERS = 1.4
"""A torso is about half a meter long, shoulder joints about 0.36 m apart: whose hips are hidden."""
PALMS_PER_TORSO = 5.0
"""A torso is about half a meter long, a palm a fifth of it: the size of who shows hands alone."""


@dataclass(frozen=True)
class Place:
    """Where a person is and how large: center and length of the torso, in image heights."""

    x: float
    y: float
    size: float


def place_of(landmarks: Landmarks) -> Place | None:
    """Return the place of a person; None where no joint was found.

    It follows from shoulders and hips, from the shoulders where hips are missing, else from the
    hands, and last from the box of all joints.
    """
    with contextlib.suppress(InputError):
        landmarks = landmarks.mapped()
    if landmarks.skeletons != SKELETONS:
        return _box_place(landmarks)
    known = ~np.isnan(landmarks.body[:, 0])
    if known[TORSO].all():
        body = _true(landmarks.body, landmarks.aspect)
        shoulders = body[[BodyJoint.LEFT_SHOULDER, BodyJoint.RIGHT_SHOULDER]]
        hips = body[[BodyJoint.LEFT_HIP, BodyJoint.RIGHT_HIP]]
        center = (shoulders.mean(axis=0) + hips.mean(axis=0)) / 2.0
        # Who bends forward has a short torso, who turns sideways narrow shoulders.
        length = math.dist(shoulders.mean(axis=0), hips.mean(axis=0))
        return _place(center, max(length, math.dist(*shoulders)))
    if known[TORSO[:2]].all():
        left, right = _true(landmarks.body[TORSO[:2]], landmarks.aspect)
        length = TORSO_PER_SHOULDERS * math.dist(left, right)
        return _place((left + right) / 2.0 + (0.0, length / 2.0), length)
    hands = [hand for hand in landmarks.hands if is_hand(hand)]
    if not hands:
        return _box_place(landmarks)
    true = np.stack([_true(hand, landmarks.aspect) for hand in hands])
    palms = [_palm(hand) for hand in true]
    center = true.mean(axis=(0, 1))
    if np.isnan(center).any():
        center = np.nanmean(true, axis=(0, 1))
    return _place(center, PALMS_PER_TORSO * max(palms))


def own_hands(people: Sequence[Landmarks]) -> tuple[Landmarks, ...]:
    """Return the same people; a hand that several of them claim stays with the nearest wrist.

    Where people touch, the crop of one may show the hand of the other. The person whose pose has
    its wrist nearer to the hand keeps it. For the others that hand becomes NaN.
    """
    claims = sorted(
        (_reach(landmarks, side), person, side)
        for person, landmarks in enumerate(people)
        for side in range(2)
        if landmarks.has_body and is_hand(landmarks.hands[side])
    )
    kept: list[tuple[int, Points]] = []
    hands = [landmarks.hands.copy() for landmarks in people]
    for _, person, side in claims:
        hand = _true(people[person].hands[side], people[person].aspect)
        if any(owner != person and _is_same_hand(hand, other) for owner, other in kept):
            hands[person][side] = np.nan
        else:
            kept.append((person, hand))
    return tuple(
        replace(landmarks, hands=own) for landmarks, own in zip(people, hands, strict=True)
    )


@dataclass(frozen=True)
class PeopleConfig:
    """How people are told apart.

    Attributes:
        max_lost_s: an id is retired after so many seconds unseen.
        max_step: how far from the expected place a person may turn up, in torso lengths.
        max_speed: how much farther for each second unseen.
        velocity_time_s: time over which velocity is averaged.
        coast_s: how long an unseen person is expected to go on moving.

    Raises:
        UsageError: a value is not above 0.
    """

    max_lost_s: float = 1.0
    max_step: float = 1.0
    max_speed: float = 2.0
    velocity_time_s: float = 0.2
    coast_s: float = 0.5

    def __post_init__(self) -> None:
        check_fields(self, "people")
        for name in ("max_lost_s", "max_step", "max_speed", "velocity_time_s", "coast_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"people: got {name} {getattr(self, name)}, expected more than 0")

    def __repr__(self) -> str:
        return brief_config(self)


@dataclass(frozen=True)
class _Track:
    """A person followed: where last seen, and how fast, image heights a second."""

    number: int
    place: Place
    velocity: tuple[float, float]
    seen_ms: float


class PeopleTracker:
    """Give each person an id that stays while they are seen, or soon seen again.

    Ids count from 1 in the order of appearance, the largest person first. No id is used twice. The
    order in which people are given changes nothing. max_persons: how many have an id at a time, 1
    to 8; more newcomers get none. Raises UsageError on another number.
    """

    def __init__(self, max_persons: int, config: PeopleConfig | None = None) -> None:
        if not 1 <= max_persons <= MAX_PERSONS:
            raise UsageError(f"people: got max_persons {max_persons}, expected 1 to {MAX_PERSONS}")
        self.max_persons = max_persons
        self.config = config or PeopleConfig()
        self._tracks: list[_Track] = []
        self._next = 1  # 0 is who is alone, and not tracked
        self._time_ms = -math.inf

    @property
    def track_ids(self) -> frozenset[int]:
        """Return the ids in use: of people seen in the last frame, or who may be seen again."""
        return frozenset(track.number for track in self._tracks)

    def update(self, people: Sequence[Landmarks], timestamp_ms: float) -> dict[int, Landmarks]:
        """Return id -> person of one frame, ascending. A person without body and hands has no id.

        timestamp_ms: capture time, strictly increasing. Raises InputError when it does not
        increase.
        """
        if not (math.isfinite(timestamp_ms) and timestamp_ms > self._time_ms):
            raise InputError(
                f"people: got timestamp {timestamp_ms:g} ms after {self._time_ms:g} ms, expected"
                " strictly increasing capture times"
            )
        self._time_ms = timestamp_ms
        oldest_ms = timestamp_ms - self.config.max_lost_s * 1000.0
        self._tracks = [track for track in self._tracks if track.seen_ms >= oldest_ms]
        placed = _in_order(people)
        followed = self._followed([place for place, _ in placed])
        seen: dict[int, Landmarks] = {}
        # Who was followed comes first, those seen last before others: newcomers take what is left.
        for index, track in sorted(followed.items(), key=lambda pair: -pair[1].seen_ms):
            if len(seen) < self.max_persons:
                seen[track.number] = placed[index][1]
                self._replace(track, placed[index][0])
        for index, (place, landmarks) in enumerate(placed):
            if index not in followed and len(seen) < self.max_persons:
                seen[self._next] = landmarks
                self._tracks.append(_Track(self._next, place, (0.0, 0.0), timestamp_ms))
                self._next += 1
        self._forget_lost()
        return dict(sorted(seen.items()))

    def _followed(self, places: Sequence[Place]) -> dict[int, _Track]:
        """For the indices of ``places`` that continue a track, that track: the cheapest in all."""
        if not places or not self._tracks:
            return {}
        # Nobody has to continue a track: each may also take a column of their own, at the cost that
        # no continuation may exceed.
        costs = np.full((len(places), len(self._tracks) + len(places)), 1.0)
        for i, place in enumerate(places):
            for j, track in enumerate(self._tracks):
                costs[i, j] = self._cost(track, place)
        chosen = _cheapest_columns(costs)
        return {i: self._tracks[j] for i, j in enumerate(chosen) if costs[i, j] < 1.0}

    def _cost(self, track: _Track, place: Place) -> float:
        """How badly ``place`` continues ``track``: 0 is as expected, from 1 on it does not."""
        config = self.config
        gap_s = (self._time_ms - track.seen_ms) / 1000.0
        # The distance gone after a gap when velocity fades: v * tau * (1 - exp(-gap / tau)).
        moving_s = config.coast_s * -math.expm1(-gap_s / config.coast_s)
        dx = place.x - track.place.x - track.velocity[0] * moving_s
        dy = place.y - track.place.y - track.velocity[1] * moving_s
        distance = math.hypot(dx, dy) / track.place.size
        if distance > config.max_step + config.max_speed * gap_s:
            return 1.0
        # On one scale for all tracks, and dearer for those unseen: somebody in front must not take
        # the track of who is hidden behind, however near that is expected.
        farthest = config.max_step + config.max_speed * config.max_lost_s
        octaves = math.log2(place.size / track.place.size)
        unseen = UNSEEN_COST * gap_s / config.max_lost_s
        return (distance / farthest) ** 2 + SIZE_COST * octaves**2 + unseen

    def _replace(self, track: _Track, place: Place) -> None:
        gap_s = (self._time_ms - track.seen_ms) / 1000.0
        share = -math.expm1(-gap_s / self.config.velocity_time_s)
        moved = (place.x - track.place.x) / gap_s, (place.y - track.place.y) / gap_s
        vx, vy = (v + share * (m - v) for v, m in zip(track.velocity, moved, strict=True))
        new = _Track(track.number, place, (vx, vy), self._time_ms)
        self._tracks = [new if old is track else old for old in self._tracks]

    def _forget_lost(self) -> None:
        """Keep the last seen, as many as may be seen and lost at once: memory stays bounded."""
        self._tracks.sort(key=lambda track: (-track.seen_ms, track.number))
        del self._tracks[2 * self.max_persons :]


def _in_order(people: Sequence[Landmarks]) -> list[tuple[Place, Landmarks]]:
    """People with their places, the largest first; an order that theirs does not change."""
    placed = [(place, person) for person in people if (place := place_of(person)) is not None]
    return sorted(
        placed,
        key=lambda p: (-p[0].size, p[0].x, p[0].y, p[1].body.tobytes(), p[1].hands.tobytes()),
    )


def _cheapest_columns(costs: Points) -> list[int]:
    """A column for each row of ``costs`` [n, m >= n], none twice, with the least sum.

    The Hungarian method by shortest augmenting paths (Jonker and Volgenant 1987), O(n^2 m).
    """
    rows, columns = costs.shape
    row_price, price = np.zeros(rows + 1), np.zeros(columns + 1)
    row_of = np.zeros(columns + 1, int)  # rows and columns count from 1; 0 is none
    for row in range(1, rows + 1):
        row_of[0], column = row, 0
        shortest, came_from = np.full(columns + 1, np.inf), np.zeros(columns + 1, int)
        done = np.zeros(columns + 1, bool)
        while row_of[column]:
            done[column] = True
            here = row_of[column]
            reduced = costs[here - 1] - row_price[here] - price[1:]
            better = ~done[1:] & (reduced < shortest[1:])
            shortest[1:][better], came_from[1:][better] = reduced[better], column
            column = int(np.argmin(np.where(done, np.inf, shortest)))
            step = shortest[column]
            row_price[row_of[done]] += step
            price[done] -= step
            shortest[~done] -= step
        while column:
            row_of[column] = row_of[came_from[column]]
            column = int(came_from[column])
    chosen = [0] * rows
    for column in range(1, columns + 1):
        if row_of[column]:
            chosen[row_of[column] - 1] = column - 1
    return chosen


def _true(joints: npt.NDArray[np.float32], aspect: float) -> Points:
    """x, y of ``joints`` [..., V, 3 or 4] in image heights, float64 [..., V, 2]."""
    return joints[..., :2].astype(np.float64) * (aspect, 1.0)


def _place(center: Points, size: float) -> Place:
    return Place(float(center[0]), float(center[1]), max(size, 1e-3))


def _box_place(landmarks: Landmarks) -> Place | None:
    box = Box.around(landmarks)
    if box is None:
        return None
    width, height = (box.right - box.left) * landmarks.aspect, box.bottom - box.top
    center = np.array([(box.left + box.right) / 2 * landmarks.aspect, (box.top + box.bottom) / 2])
    return _place(center, max(width, height))


def _palm(hand: Points) -> float:
    return max(math.dist(hand[HandJoint.WRIST], hand[HandJoint.MIDDLE_MCP]), 1e-6)


def _reach(landmarks: Landmarks, side: int) -> float:
    """From the wrist of the pose to that of the hand, in image heights; inf where it is missing."""
    wrist = (BodyJoint.LEFT_WRIST, BodyJoint.RIGHT_WRIST)[side]
    body, hand = (_true(j, landmarks.aspect) for j in (landmarks.body, landmarks.hands[side]))
    reach = math.dist(body[wrist], hand[HandJoint.WRIST])
    return math.inf if math.isnan(reach) else reach


def _is_same_hand(one: Points, other: Points) -> bool:
    apart = float(mean_of_seen(np.linalg.norm(one - other, axis=-1)))
    return apart < SAME_HAND * max(_palm(one), _palm(other))
