"""Prepare hands found in RGB video as input of the hand branch, as BHaRNet does.

Public skeleton sets have no fingers, but their videos do. A hand landmarker (MediaPipe Hands, 2.5D)
finds any number of hands in a frame and does not know whose they are. The steps::

    hands -> whose: nearest body wrist -> left or right -> the two of the most active person
          -> missing frames interpolated -> wrist as origin, hand as unit -> dummy joints

Source: BHaRNet, section on preprocessing: two hands of the most active person, sorted, missing
frames interpolated, hand-centric, padded with dummy joints to the number of the body's, so that
both experts have one form of graph. The paper gives no formulas and no code; the rules here are our
reading of it.

Coordinates have one unit in every direction, such as pixels. Multiply fractions of the image by its
width (x, z) and height (y) first. The wrists of the bodies are in the same image.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError
from bharsdk.landmarks.skeleton import MEDIAPIPE_HAND21, NTU25, HandJoint
from bharsdk.recognition.features import HAND_LENGTH_IN_BONES, normalize_hand

__all__ = ["DetectedHand", "HandClip", "HandFrame", "Side", "prepare_hands"]

FloatArray = npt.NDArray[np.float32]

HAND_SHAPE = (HandJoint.COUNT, 3)
BONES = np.array(MEDIAPIPE_HAND21.bones)
MAX_REACH = 2.0
"""Hand lengths. A hand further than this from every free wrist belongs to nobody."""
NOBODY_KNOWN = -1
"""Whose hands are, where no frame of the clip has a body: one person's."""


class Side(enum.Enum):
    """Which hand of its person; the value is its place in the output."""

    LEFT = 0
    RIGHT = 1


@dataclass(frozen=True, eq=False)
class DetectedHand:
    """A hand in one frame.

    Attributes:
        joints: float [21, 3], x, y, z, in MediaPipe's order.
        side: what the landmarker says; it may be wrong.
        score: its confidence.
        person: whose hand it is; None where that is not known.

    Raises:
        InputError: another shape, or values that are not finite.
    """

    joints: FloatArray
    side: Side
    score: float = 1.0
    person: int | None = None

    def __post_init__(self) -> None:
        joints = np.asarray(self.joints, np.float32)
        if joints.shape != HAND_SHAPE or not np.isfinite(joints).all():
            raise InputError(f"hands: got joints {list(joints.shape)}, expected finite [21, 3]")
        if not np.isfinite(self.score):
            raise InputError(f"hands: got score {self.score}, expected a number")
        object.__setattr__(self, "joints", joints)

    @property
    def wrist(self) -> FloatArray:
        """Return the wrist, x and y."""
        return self.joints[HandJoint.WRIST, :2]

    @property
    def length(self) -> float:
        """Return the length of the hand in the unit of the joints, however the hand is turned."""
        bones = self.joints[BONES[:, 0]] - self.joints[BONES[:, 1]]
        return HAND_LENGTH_IN_BONES * float(np.linalg.norm(bones, axis=1).mean())

    @property
    def rank(self) -> tuple[float, bytes]:
        """Return a key that orders hands by their content, whatever the order of detection."""
        return self.score, self.joints.tobytes()


@dataclass(frozen=True, eq=False)
class HandFrame:
    """The hands and wrists of one frame.

    wrists: person -> float [2, 2], x and y of the left and right wrist of that body; NaN where not
    seen. Raises InputError on wrists of another shape.
    """

    hands: tuple[DetectedHand, ...] = ()
    wrists: Mapping[int, FloatArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wrists = {person: np.asarray(value, np.float32) for person, value in self.wrists.items()}
        for person, value in wrists.items():
            if value.shape != (2, 2):
                raise InputError(
                    f"hands: got wrists {list(value.shape)} of {person}, expected [2, 2]"
                )
        object.__setattr__(self, "wrists", wrists)


@dataclass(frozen=True, eq=False)
class HandClip:
    """The left and right hand of one person.

    Attributes:
        joints: float32 [3, T, V, 2], in hand lengths from the wrist; joints beyond the 21 are 0.
        presence: float32 [T, V, 2], 1 for joints of a hand that some frame shows, else 0.
        detected: bool [T, 2]; where False, the hand is interpolated.
        person: whose hands they are; None if nobody has hands.
    """

    joints: FloatArray
    presence: FloatArray
    detected: npt.NDArray[np.bool_]
    person: int | None


def prepare_hands(frames: Sequence[HandFrame], joint_count: int = NTU25.joint_count) -> HandClip:
    """Return the hands of the most active person, ready for the hand branch.

    joint_count: V, the number of joints of the body. The order of detections and the numbers of
    persons change nothing. Raises InputError on no frames and on a V below 21.
    """
    if not frames:
        raise InputError("hands: got no frames, expected at least one")
    if joint_count < HandJoint.COUNT:
        raise InputError(f"hands: got {joint_count} joints, expected at least {HandJoint.COUNT}")
    owned = _owned(frames)
    tracks = {
        person: _track([hands.get(person, []) for hands in owned], _wrists(frames, person))
        for person in {person for hands in owned for person in hands}
    }
    person = max(tracks, key=lambda p: _activity(tracks[p], _wrists(frames, p)), default=None)
    points = np.full((len(frames), 2, *HAND_SHAPE), np.nan, np.float32)
    if person is not None:
        points = tracks[person]
    detected = ~np.isnan(points[..., 0, 0])
    joints = np.zeros((3, len(frames), joint_count, 2), np.float32)
    presence = np.zeros((len(frames), joint_count, 2), np.float32)
    for side in range(2):
        if detected[:, side].any():
            filled = _interpolated(points[:, side], detected[:, side])
            centered = normalize_hand(filled, detected[:, side])
            joints[:, :, : HandJoint.COUNT, side] = centered.transpose(2, 0, 1)
            presence[:, : HandJoint.COUNT, side] = 1.0
    return HandClip(joints, presence, detected, person)


def _owned(frames: Sequence[HandFrame]) -> list[dict[int, list[DetectedHand]]]:
    """The hands of each frame by person."""
    bodies = any(frame.wrists for frame in frames)
    owned: list[dict[int, list[DetectedHand]]] = []
    for frame in frames:
        found: dict[int, list[DetectedHand]] = {}
        for hand in frame.hands:
            if hand.person is not None or not bodies:
                found.setdefault(NOBODY_KNOWN if hand.person is None else hand.person, []).append(
                    hand
                )
        for person, hand in _nearest(frame):
            found.setdefault(person, []).append(hand)
        owned.append(found)
    return owned


def _nearest(frame: HandFrame) -> list[tuple[int, DetectedHand]]:
    """Hands of unknown persons and whose they are: the closest pairs of hand and wrist first.

    A wrist takes one hand.
    """
    strangers = [hand for hand in frame.hands if hand.person is None]
    pairs = []
    for number, hand in enumerate(strangers):
        for person, wrists in frame.wrists.items():
            for side, wrist in enumerate(wrists):
                distance = float(np.hypot(*(hand.wrist - wrist)))
                if distance <= MAX_REACH * hand.length:  # False for a wrist that is NaN
                    order = (distance, (-hand.score, hand.rank[1]), wrists.tobytes())
                    pairs.append((order, number, person, side))
    pairs.sort(key=lambda pair: pair[0])
    found, taken = dict[int, int](), set[tuple[int, int]]()
    for _, number, person, side in pairs:
        if number not in found and (person, side) not in taken:
            found[number] = person
            taken.add((person, side))
    return [(person, strangers[number]) for number, person in found.items()]


def _wrists(frames: Sequence[HandFrame], person: int) -> FloatArray:
    """[T, 2, 2]: one person's body wrists, NaN where they were not seen."""
    unseen = np.full((2, 2), np.nan, np.float32)
    return np.stack([frame.wrists.get(person, unseen) for frame in frames])


def _track(hands: Sequence[list[DetectedHand]], wrists: FloatArray) -> FloatArray:
    """[T, 2, 21, 3]: one person's left and right hand through the clip, NaN where not detected.

    The landmarker's side counts unless distances speak against it: to the body's wrists, or, where
    a wrist was not seen, to where the hand of that side was last. So a hand that jumps to the other
    side for some frames jumps back.
    """
    points = np.full((len(hands), 2, *HAND_SHAPE), np.nan, np.float32)
    last = np.full((2, 2), np.nan, np.float32)
    for t, found in enumerate(hands):
        near = np.where(np.isnan(wrists[t]), last, wrists[t])
        for side, hand in _sides(found, near).items():
            points[t, side] = hand.joints
            last[side] = hand.wrist
    return points


def _sides(found: Sequence[DetectedHand], near: FloatArray) -> dict[int, DetectedHand]:
    """Side -> hand, of the two surest hands. near [2, 2]: where left and right should be."""
    best = sorted(found, key=lambda hand: hand.rank, reverse=True)[:2]
    if not best:
        return {}
    # The surer one keeps its side, also against another that claims it.
    side = best[0].side.value
    straight = dict(zip((side, 1 - side), best, strict=False))
    swapped = {1 - place: hand for place, hand in straight.items()}
    return swapped if _cost(swapped, near) < _cost(straight, near) else straight


def _cost(hands: Mapping[int, DetectedHand], near: FloatArray) -> float:
    """Distances of hands from their places; a place that nobody knows is a hand's length away."""
    cost = 0.0
    for side, hand in hands.items():
        distance = float(np.hypot(*(hand.wrist - near[side])))
        cost += hand.length if np.isnan(distance) else distance
    return cost


def _activity(points: FloatArray, wrists: FloatArray) -> tuple[float, int, bytes]:
    """How far hands [T, 2, 21, 3] and wrists [T, 2, 2] moved from frame to frame, summed.

    A hand counts by the mean of its joints, x and y. Between equals: who shows more hands, then
    whatever tells them apart but their number.
    """
    hands = np.linalg.norm(np.diff(points[..., :2], axis=0), axis=-1).mean(axis=-1)
    moved = float(np.nansum(hands)) + float(
        np.nansum(np.linalg.norm(np.diff(wrists, axis=0), axis=-1))
    )
    return moved, int((~np.isnan(points[..., 0, 0])).sum()), points.tobytes() + wrists.tobytes()


def _interpolated(points: FloatArray, seen: npt.NDArray[np.bool_]) -> FloatArray:
    """Points [T, 21, 3] with the frames between detections on a line, those outside them held."""
    at = np.flatnonzero(seen)
    flat = points.reshape(len(points), -1)
    columns = [np.interp(np.arange(len(flat)), at, column[at]) for column in flat.T]
    filled: FloatArray = np.stack(columns, axis=1).reshape(points.shape).astype(np.float32)
    return filled
