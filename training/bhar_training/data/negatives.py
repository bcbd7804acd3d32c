"""Make clips that are no sign: what a recognizer sees most of the time and nobody records.

The idle movements of one person teach little about another's. So the class "no sign" is filled with
what is easy to mistake for a sign: signs that only begin, signs played backwards or into each
other, poses between two signs, arms and hands that do something else. Each kind can be switched
off.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.landmarks.skeleton import MEDIAPIPE_HAND21, BodyJoint, HandJoint

__all__ = ["DEFAULT_KINDS", "NegativeKind", "make_negative"]

FloatArray = npt.NDArray[np.float32]


class NegativeKind(enum.Enum):
    """What is done to one clip, or to two clips of different labels."""

    FROZEN = "frozen"
    """One frame of a moving sign, held."""
    BEGUN = "begun"
    """A moving sign that stops in its first third."""
    REVERSED = "reversed"
    """A moving sign, backwards. Not where one sign is another one backwards."""
    SEAM = "seam"
    """The end of one clip, then the beginning of another."""
    TRANSITION = "transition"
    """From a pose of one clip to a pose of another, in one movement."""
    BLENDED = "blended"
    """Both clips at once, half and half."""
    OTHER_HANDS = "other-hands"
    """One clip with hands of another, if those have another shape."""
    CONTORTED = "contorted"
    """The fingers bent at random, the arms often somewhere else."""
    WANDER = "wander"
    """An arm goes from place to place, between lap and head, with bent fingers: to scratch, to
    point, to hold something."""
    NO_HANDS = "no-hands"
    """Neither hand is seen. Not for models that shall know a sign by the arms alone."""


DEFAULT_KINDS = (
    NegativeKind.FROZEN,
    NegativeKind.BEGUN,
    NegativeKind.SEAM,
)
"""The others make more of what is no sign rejected, and more of a stranger's signs with it."""

MOVES = 0.5
"""Shoulder widths. A sign whose hands move less is a pose: to hold or reverse it makes the sign."""
OTHER_SHAPE = 0.25
"""Hand lengths, mean over joints. Hands that differ less may well be of the same sign."""
ARMS = ((13, 15, 17, 19, 21), (14, 16, 18, 20, 22))
"""Elbow, wrist and what the pose sees of the hand, left and right (MediaPipe Pose)."""
REACH = np.array([[-1.0, -1.2], [1.0, 1.5]], np.float32)
"""Where a wandering hand goes, shoulder widths from its shoulder: x, y from and to."""
FINGERS = tuple(range(1 + 4 * finger, 5 + 4 * finger) for finger in range(5))
"""Joints of each finger from the palm outwards (MediaPipe Hands)."""


def make_negative(
    clip: LandmarkSequence,
    other: LandmarkSequence,
    kinds: tuple[NegativeKind, ...],
    random: np.random.Generator,
) -> LandmarkSequence | None:
    """Return something that is no sign, as long as ``clip``; None if no kind certainly spoils it.

    ``other`` should have another label. Kinds are tried in random order.
    """
    for number in random.permutation(len(kinds)):
        made = _MAKERS[kinds[number]](clip, other, random)
        if made is not None:
            return made
    return None


def _frozen(
    clip: LandmarkSequence, _: LandmarkSequence, random: np.random.Generator
) -> LandmarkSequence | None:
    if not _moves(clip):
        return None
    return _frames(clip, np.full(len(clip), random.integers(len(clip))))


def _begun(
    clip: LandmarkSequence, _: LandmarkSequence, random: np.random.Generator
) -> LandmarkSequence | None:
    if not _moves(clip):
        return None
    last = int(len(clip) * random.uniform(0.05, 0.35))
    return _frames(clip, np.minimum(np.arange(len(clip)), last))


def _reversed(
    clip: LandmarkSequence, _: LandmarkSequence, random: np.random.Generator
) -> LandmarkSequence | None:
    return _frames(clip, np.arange(len(clip))[::-1]) if _moves(clip) else None


def _seam(
    clip: LandmarkSequence, other: LandmarkSequence, random: np.random.Generator
) -> LandmarkSequence:
    frames = len(clip)
    before = max(1, int(frames * random.uniform(0.4, 0.6)))
    rest = np.minimum(np.arange(frames - before), len(other) - 1)
    return clip.replaced(
        body=np.concatenate([clip.body[frames - before :], other.body[rest]]),
        hands=np.concatenate([clip.hands[frames - before :], other.hands[rest]]),
    )


def _transition(
    clip: LandmarkSequence, other: LandmarkSequence, random: np.random.Generator
) -> LandmarkSequence:
    frames = len(clip)
    start, end = int(random.integers(frames)), int(random.integers(len(other)))
    middle, width = random.uniform(0.3, 0.7), random.uniform(0.2, 0.6)
    part = np.clip((np.linspace(0, 1, frames) - middle) / width + 0.5, 0, 1)
    part = (part * part * (3 - 2 * part)).astype(np.float32)
    return _mixed(_frames(clip, np.full(frames, start)), _frames(other, np.full(frames, end)), part)


def _blended(
    clip: LandmarkSequence, other: LandmarkSequence, random: np.random.Generator
) -> LandmarkSequence:
    frames = np.minimum(np.arange(len(clip)), len(other) - 1)
    part = np.full(len(clip), random.uniform(0.4, 0.6), np.float32)
    return _mixed(clip, _frames(other, frames), part)


def _other_hands(
    clip: LandmarkSequence, other: LandmarkSequence, _: np.random.Generator
) -> LandmarkSequence | None:
    frames = np.minimum(np.arange(len(clip)), len(other) - 1)
    wrists = clip.hands[:, :, :1]
    moved = other.hands[frames] - other.hands[frames][:, :, :1] + wrists
    if not _shapes_differ(clip.hands, moved, clip.aspect):
        return None
    return clip.replaced(hands=moved)


def _contorted(
    clip: LandmarkSequence, _: LandmarkSequence, random: np.random.Generator
) -> LandmarkSequence | None:
    if np.isnan(clip.hands).all():
        return None
    metric = np.array([clip.aspect, 1.0, clip.aspect], np.float32)
    body, hands = clip.body.copy(), clip.hands * metric
    width = _shoulder_width(clip)
    for side in range(2):
        hands[:, side] = _bent(hands[:, side], random)
        if random.random() < 0.7:
            way = random.normal(0.0, 0.6, 2).astype(np.float32) * width
            body[:, ARMS[side][0], :2] += way / 2 / metric[:2]
            body[:, ARMS[side][1:], :2] += way / metric[:2]
            hands[:, side, :, :2] += way
    return clip.replaced(body=body, hands=(hands / metric).astype(np.float32))


def _wander(
    clip: LandmarkSequence, other: LandmarkSequence, random: np.random.Generator
) -> LandmarkSequence | None:
    shapes = [x for c in (clip, other) for x in c.hands.reshape(-1, 21, 3) if np.isfinite(x).all()]
    if not shapes or np.isnan(clip.body).any():
        return None
    metric = np.array([clip.aspect, 1.0, clip.aspect], np.float32)
    body, hands = clip.body.copy(), clip.hands.copy()
    width, active = _shoulder_width(clip), int(random.integers(2))
    for side in range(2):
        if side != active and random.random() < 0.7:
            hands[:, side] = np.nan  # rests out of sight, or goes on with the sign
            continue
        shape = shapes[int(random.integers(len(shapes)))][None] * metric
        shape = _bent(shape - shape[:, :1], random) @ _rotation(
            _axis(random), random.normal(0, 0.6)
        )
        elbow, *points = ARMS[side]
        shoulder = body[:, elbow - 2, :2] * metric[:2]
        wrist = shoulder + _path(len(clip), random) * width
        moved = wrist - body[:, points[0], :2] * metric[:2]
        body[:, points, :2] += moved[:, None] / metric[:2]
        bend = (shoulder + wrist) / 2 + np.array([0, 0.3], np.float32) * width
        body[:, elbow, :2] = bend / metric[:2]
        placed = np.repeat(shape, len(clip), axis=0)
        placed[..., :2] += wrist[:, None]
        hands[:, side] = placed / metric
    return clip.replaced(body=body, hands=hands.astype(np.float32))


def _path(frames: int, random: np.random.Generator) -> FloatArray:
    """Positions [T, 2] of a hand against its shoulder: stops, and smooth ways between them."""
    stops = random.uniform(REACH[0], REACH[1], (int(random.integers(2, 5)), 2))
    at = np.linspace(0, len(stops) - 1, frames) * random.uniform(0.5, 1.0)
    low = np.minimum(at.astype(int), len(stops) - 2)
    part = np.clip((at - low - 0.5) / random.uniform(0.4, 1.0) + 0.5, 0, 1)[:, None]
    way: FloatArray = stops[low] + (stops[low + 1] - stops[low]) * (part * part * (3 - 2 * part))
    return way.astype(np.float32)


def _axis(random: np.random.Generator) -> npt.NDArray[np.float64]:
    axis: npt.NDArray[np.float64] = random.standard_normal(3)
    return axis / np.linalg.norm(axis)


def _no_hands(
    clip: LandmarkSequence, _: LandmarkSequence, __: np.random.Generator
) -> LandmarkSequence:
    return clip.replaced(hands=np.full_like(clip.hands, np.nan))


_MAKERS: dict[
    NegativeKind,
    Callable[[LandmarkSequence, LandmarkSequence, np.random.Generator], LandmarkSequence | None],
] = {
    NegativeKind.FROZEN: _frozen,
    NegativeKind.BEGUN: _begun,
    NegativeKind.REVERSED: _reversed,
    NegativeKind.SEAM: _seam,
    NegativeKind.TRANSITION: _transition,
    NegativeKind.BLENDED: _blended,
    NegativeKind.OTHER_HANDS: _other_hands,
    NegativeKind.CONTORTED: _contorted,
    NegativeKind.WANDER: _wander,
    NegativeKind.NO_HANDS: _no_hands,
}


def _frames(clip: LandmarkSequence, index: npt.NDArray[np.intp]) -> LandmarkSequence:
    """The clip's frames ``index``, one for each or more of its times; times as they are."""
    times = clip.timestamps_ms
    if len(index) != len(times):
        times = np.arange(len(index), dtype=np.float64)
    return clip.replaced(timestamps_ms=times, body=clip.body[index], hands=clip.hands[index])


def _mixed(clip: LandmarkSequence, other: LandmarkSequence, part: FloatArray) -> LandmarkSequence:
    """From ``clip`` (part 0) to ``other`` (part 1), part [T]; one hand missing: the other's."""
    body = clip.body + (other.body - clip.body) * part[:, None, None]
    weight = part[:, None, None, None]
    hands = clip.hands + (other.hands - clip.hands) * weight
    hands = np.where(np.isnan(clip.hands) & (weight > 0.5), other.hands, hands)
    hands = np.where(np.isnan(other.hands) & (weight <= 0.5), clip.hands, hands)
    return clip.replaced(body=body, hands=hands)


def _moves(clip: LandmarkSequence) -> bool:
    """Whether a hand that was seen travels: its wrist, in shoulder widths."""
    metric = np.array([clip.aspect, 1.0], np.float32)
    wrists = clip.hands[:, :, HandJoint.WRIST, :2] * metric
    seen = np.isfinite(wrists).all(axis=(0, 2)) | (np.isfinite(wrists).sum(axis=(0, 2)) > 2)
    if not seen.any():
        return False
    span = np.nanmax(wrists[:, seen], axis=0) - np.nanmin(wrists[:, seen], axis=0)
    return bool(np.linalg.norm(span, axis=1).max() > MOVES * _shoulder_width(clip))


def _shoulder_width(clip: LandmarkSequence) -> float:
    """Image heights; of hands alone, twice the length of a hand, about what it is."""
    metric = np.array([clip.aspect, 1.0], np.float32)
    sides = clip.body[:, [BodyJoint.LEFT_SHOULDER, BodyJoint.RIGHT_SHOULDER], :2] * metric
    width = np.linalg.norm(sides[:, 0] - sides[:, 1], axis=1)
    if np.isfinite(width).any():
        return float(np.nanmedian(width))
    lengths = _hand_lengths(clip.hands * np.append(metric, metric[0]))
    return 2 * float(np.nanmedian(lengths)) if np.isfinite(lengths).any() else 1.0


def _hand_lengths(hands: FloatArray) -> FloatArray:
    """Palm and middle finger, stretched out; hands [..., 21, 3] -> [...]."""
    bones = hands[..., 1:, :] - hands[..., list(MEDIAPIPE_HAND21.parents[1:]), :]
    total: FloatArray = np.linalg.norm(bones, axis=-1).mean(axis=-1) * 4
    return total


def _shapes_differ(hands: FloatArray, others: FloatArray, aspect: float) -> bool:
    """Whether any hand that both see has another shape; hands [T, 2, 21, 3]."""
    metric = np.array([aspect, 1.0, aspect], np.float32)
    shapes = []
    for found in (hands, others):
        scaled = (found - found[:, :, :1]) * metric
        shapes.append(scaled / _hand_lengths(scaled)[..., None, None])
    apart = np.linalg.norm(shapes[0] - shapes[1], axis=3).mean(axis=2)  # [T, 2]
    both = np.isfinite(apart).any(axis=0)
    return bool(both.any() and np.nanmedian(apart[:, both], axis=0).max() > OTHER_SHAPE)


def _bent(hand: FloatArray, random: np.random.Generator) -> FloatArray:
    """Every finger bends about an axis of its own, more at each joint; hand [T, 21, 3]."""
    bent = hand.copy()
    for finger in FINGERS:
        axis, angle, turn = _axis(random), random.normal(0.0, 0.7), np.eye(3)
        for joint in list(finger)[1:]:
            turn = turn @ _rotation(axis, angle)
            bone = hand[:, joint] - hand[:, joint - 1]
            bent[:, joint] = bent[:, joint - 1] + bone @ turn
    return bent


def _rotation(axis: npt.NDArray[np.float64], angle: float) -> npt.NDArray[np.float64]:
    """Rodrigues' formula, 3 x 3."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: npt.NDArray[np.float64] = (
        np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    )
    return rotation
