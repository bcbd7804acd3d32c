"""Which slot of the graph for several people follows whom.

A slot follows one person until it loses them. Detections of people that no slot follows are handed
to free slots; of two slots that have come to follow the same person, the younger lets go.
MediaPipe's detector was made for one person and rarely sees a second beside a first, so those who
are followed are hidden from it. Decisions
arrive ``delay`` pictures after the one they are made from, however fast the pictures came through:
what is found depends on pictures and times alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bharsdk.landmarks.box import Box
from bharsdk.landmarks.landmarks import Landmarks
from bharsdk.landmarks.skeleton import MEDIAPIPE_BODY25
from bharsdk.landmarks.tracking import place_of

__all__ = ["Detected", "Orders", "Region", "Slots"]

SAME_BODY = 0.25
"""Two poses are of one person when their joints lie nearer than this on average, torso lengths."""
MARGIN, TOP_MARGIN = 0.2, 0.35
"""Round a person's joints when they are hidden, torso lengths; the highest joints are the eyes. An
arm left in view is taken for a person."""
REGION_SCALE = 1.25
"""How much larger than its circle a person's region is, as in MediaPipe's PoseDetectionToRoi."""


@dataclass(frozen=True)
class Region:
    """A rectangle of the image: center and size in fractions of it, rotation in radians."""

    x: float
    y: float
    width: float
    height: float
    rotation: float


@dataclass(frozen=True)
class Detected:
    """A person that the detector found: the points it gives, fractions of the image.

    hips, shoulders: their middles. rim: a point of the circle round the hips that holds the person.
    aspect: of the image, width / height.
    """

    hips: tuple[float, float]
    rim: tuple[float, float]
    shoulders: tuple[float, float]
    aspect: float

    def region(self) -> Region:
        """Where the pose is to be looked for: upright along hips and rim, square in pixels."""
        dx, dy = (self.rim[0] - self.hips[0]) * self.aspect, self.rim[1] - self.hips[1]
        size = 2.0 * math.hypot(dx, dy) * REGION_SCALE
        turn = math.pi / 2.0 - math.atan2(-dy, dx)
        rotation = turn - 2.0 * math.pi * math.floor((turn + math.pi) / (2.0 * math.pi))
        return Region(self.hips[0], self.hips[1], size / self.aspect, size, rotation)


@dataclass(frozen=True)
class Orders:
    """What the graph is to do with one picture.

    is_detecting: look for people. hidden: what not to look at. seeds: slot -> where it starts.
    dropped: slots that let go.
    """

    is_detecting: bool
    hidden: Sequence[Box] = ()
    seeds: Mapping[int, Region] = field(default_factory=dict)
    dropped: frozenset[int] = frozenset()


class Slots:
    """Whom each of ``count`` slots follows.

    delay: pictures from a decision to where it counts. interval_ms: between two detections while
    somebody is followed and there is room for another; with nobody, every picture is looked at.
    """

    def __init__(self, count: int, delay: int, interval_ms: float) -> None:
        self._delay = delay
        self._interval_ms = interval_ms
        self._since: list[int | None] = [None] * count
        """Number of the picture since which the slot follows somebody."""
        self._seeded: dict[int, int] = {}
        """Slot -> number of the picture in which it starts."""
        self._detected_ms = -math.inf

    def first(self) -> Orders:
        """For the pictures before the first decision counts."""
        return Orders(is_detecting=True)

    def after(
        self,
        number: int,
        timestamp_ms: float,
        found: Sequence[Landmarks | None],
        detected: Sequence[Detected],
    ) -> tuple[tuple[Landmarks, ...], Orders]:
        """The people of picture ``number``, and the orders for ``delay`` pictures later.

        found: for each slot whom it follows. detected: whom the detector saw, the surest first.
        """
        self._seeded = {slot: at for slot, at in self._seeded.items() if at > number}
        for slot, person in enumerate(found):
            since = self._since[slot]
            self._since[slot] = None if person is None else number if since is None else since
        dropped = self._followed_twice(found)
        people = [p for slot, p in enumerate(found) if p is not None and slot not in dropped]
        # While a seed is under way, detections show people who will be followed when it arrives.
        hidden = tuple(_box_of(person) for person in people)
        seeds = {} if self._seeded else self._seeds(hidden, detected)
        self._seeded |= dict.fromkeys(seeds, number + self._delay)
        orders = Orders(self._is_detecting(timestamp_ms), hidden, seeds, dropped)
        return tuple(people), orders

    def _followed_twice(self, found: Sequence[Landmarks | None]) -> frozenset[int]:
        """Slots whose person another one follows, and has for longer (or comes first)."""
        slots = [slot for slot, person in enumerate(found) if person is not None]
        slots.sort(key=lambda slot: (self._since[slot], slot))
        dropped: set[int] = set()
        for index, slot in enumerate(slots):
            older = (found[s] for s in slots[:index] if s not in dropped)
            if any(_is_same_body(found[slot], other) for other in older):
                dropped.add(slot)
        return frozenset(dropped)

    def _seeds(self, hidden: Sequence[Box], detected: Sequence[Detected]) -> dict[int, Region]:
        """For free slots, where somebody new was seen. ``hidden``: those who are followed."""
        free = [slot for slot, since in enumerate(self._since) if since is None]
        new = [d for d in detected if not any(box.holds(d.shoulders) for box in hidden)]
        return dict(zip(free, (d.region() for d in new), strict=False))

    def _is_detecting(self, timestamp_ms: float) -> bool:
        busy = sum(since is not None for since in self._since) + len(self._seeded)
        if busy == 0:
            return True
        if busy >= len(self._since) or timestamp_ms - self._detected_ms < self._interval_ms:
            return False
        self._detected_ms = timestamp_ms
        return True


def _box_of(person: Landmarks) -> Box:
    """Round all of a person."""
    place = place_of(person)
    assert place is not None
    left, top = (float(value) for value in person.body[:, :2].min(axis=0))
    right, bottom = (float(value) for value in person.body[:, :2].max(axis=0))
    above, beside = TOP_MARGIN * place.size, MARGIN * place.size / person.aspect
    return Box(left - beside, top - above, right + beside, bottom + MARGIN * place.size)


def _is_same_body(one: Landmarks | None, other: Landmarks | None) -> bool:
    assert one is not None and other is not None
    place = place_of(other)
    assert place is not None
    upper = slice(0, MEDIAPIPE_BODY25.joint_count)
    apart = (one.body[upper, :2] - other.body[upper, :2]) * (one.aspect, 1.0)
    return float(np.linalg.norm(apart, axis=-1).mean()) < SAME_BODY * place.size
