"""Turn clips of any skeleton into model input [C, T, V, M], and augment them.

This is for data sets that come as skeletons. Landmarks of MediaPipe go through
:mod:`bharsdk.recognition.features`, which also runs live. The makers of such a set have cut its
clips around the action. Evaluation sees them whole, and training sees at least the part ``crop``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import numpy.typing as npt

from bhar_training.data.augment_limits import RADIANS, SHARE, STRENGTH, check_strengths
from bhar_training.data.proportions import other_proportions
from bharsdk.bundle.feature_config import Modality
from bharsdk.errors import InputError, assert_never
from bharsdk.files.codec import KEY
from bharsdk.landmarks.skeleton import OPENPOSE18, Skeleton, skeleton_by_name

__all__ = ["SkeletonAugmentConfig", "SkeletonFeatureConfig", "augment_skeleton", "skeleton_input"]

FloatArray = npt.NDArray[np.float32]
Span = tuple[float, ...]
"""The parts of a clip (0 its first frame, 1 its last) that are seen at even times: from where to
where, and what lies between where it is not played evenly."""

QUARTERS = 4


@dataclass(frozen=True)
class SkeletonFeatureConfig:
    """How a clip of ``skeleton`` becomes model input.

    Attributes:
        skeleton: name of the joints.
        persons: M; further people are left out, missing ones are 0.
        frames: T, whatever the length of the clip.
        modalities: coordinate channels, three each.
        face_forward: turn the first person about the vertical axis, so that the shoulders face the
            camera on average.
        centered: the origin is the root joint of the first person in every frame, not only in the
            first. It leaves out where the person walks, which another camera sees in another way.
        flat: the third coordinate is a confidence, no depth. Such a person cannot be turned.
    """

    skeleton: str
    persons: int = 1
    frames: int = 64
    modalities: tuple[Modality, ...] = (Modality.JOINT, Modality.BONE)
    face_forward: bool = True
    centered: bool = field(default=False, metadata={KEY: "centred"})
    flat: bool = False

    @classmethod
    def for_skeleton(cls, skeleton: Skeleton, persons: int) -> SkeletonFeatureConfig:
        """Return what suits ``skeleton``: OpenPose is flat, and hands alone face nowhere."""
        flat = skeleton.name == OPENPOSE18.name
        turns = not flat and {"left_shoulder", "right_shoulder"} <= set(skeleton.joints)
        return cls(skeleton.name, persons, face_forward=turns, flat=flat)

    def __post_init__(self) -> None:
        if self.flat and self.face_forward:
            raise InputError("features: got flat and face_forward, expected one of them")
        skeleton_by_name(self.skeleton)
        if not 1 <= self.persons <= 8 or not 2 <= self.frames <= 4096 or not self.modalities:
            raise InputError(
                f"features: got {self.persons} persons, {self.frames} frames and modalities"
                f" {self.modalities}, expected 1 to 8, 2 to 4096 and at least one"
            )

    @property
    def channels(self) -> int:
        """Return C, the channels of the model input."""
        return 3 * len(self.modalities)


@dataclass(frozen=True)
class SkeletonAugmentConfig:
    """How far each augmentation goes; 0 switches it off (crop: 1).

    Attributes:
        crop: the shortest part of a clip that is kept.
        time_warp: how unevenly it is played: standard deviation of the speeds of its four quarters,
            as a power of e.
        bone_length, posture: another person
            (:func:`~bhar_training.data.proportions.other_proportions`).
        turn_rad, tilt_rad: turns about the vertical axis and about the other two.
        scale: relative change of size along each axis.
        jitter: noise in mean bones.
        lose_joints: largest share of joints that are missing all through.
        mirror: probability.

    Raises:
        UsageError: a value cannot be, such as a probability above 1.
    """

    crop: Annotated[float, SHARE] = 0.6
    time_warp: Annotated[float, STRENGTH] = 0.0
    bone_length: Annotated[float, SHARE] = 0.0
    posture: Annotated[float, STRENGTH] = 0.0
    turn_rad: Annotated[float, RADIANS] = 0.5
    tilt_rad: Annotated[float, RADIANS] = 0.15
    scale: Annotated[float, SHARE] = 0.15
    jitter: Annotated[float, STRENGTH] = 0.02
    lose_joints: Annotated[float, SHARE] = 0.1
    mirror: Annotated[float, SHARE] = 0.0

    def __post_init__(self) -> None:
        check_strengths(self)


def skeleton_input(
    points: FloatArray, config: SkeletonFeatureConfig, span: Span = (0.0, 1.0)
) -> FloatArray:
    """Return model input [C, frames, V, M] of points [T, V, 3, M], NaN where a person is missing.

    The origin is the root joint of the first person, where it is first seen, or in each frame if
    ``centered``. The unit is the mean bone of that person. span: what part of the clip to use; it
    is resampled linearly to ``config.frames``.
    """
    skeleton = skeleton_by_name(config.skeleton)
    if points.ndim != 4 or points.shape[1:3] != (skeleton.joint_count, 3):
        raise InputError(
            f"features: got points {list(points.shape)}, expected [frames, {skeleton.joint_count},"
            " 3, persons]"
        )
    points = _persons(points, config.persons)
    seen = np.isfinite(points).all(axis=(1, 2))  # [T, M]
    placed = _placed(points, seen[:, 0], skeleton, config)
    if config.flat:
        placed[:, :, 2] = points[:, :, 2]
    placed = np.where(seen[:, None, None], placed, np.float32(0))
    placed, present = _resampled(placed, seen, config.frames, span)
    joint = placed.transpose(2, 0, 1, 3)  # [3, T, V, M]
    parts = []
    for modality in config.modalities:
        match modality:
            case Modality.JOINT:
                parts.append(joint)
            case Modality.BONE:
                parts.append(_bones(joint, skeleton))
            case Modality.JOINT_MOTION:
                parts.append(_motion(joint, present))
            case Modality.BONE_MOTION:
                parts.append(_motion(_bones(joint, skeleton), present))
            case _:
                assert_never(modality)
    if config.flat:  # of each joint, beside whatever its coordinates have become
        parts = [np.concatenate([part[:2], joint[2:]]) for part in parts]
    return np.ascontiguousarray(np.concatenate(parts), np.float32)


def augment_skeleton(
    points: FloatArray,
    skeleton: Skeleton,
    config: SkeletonAugmentConfig,
    random: np.random.Generator,
    *,
    flat: bool = False,
) -> tuple[FloatArray, Span]:
    """Return a changed copy of ``points`` [T, V, 3, M], and what part of the clip to use.

    flat: the third coordinate is a confidence, so nothing turns out of the picture.
    """
    length = random.uniform(config.crop, 1.0)
    start = random.uniform(0.0, 1.0 - length)
    span: Span = (start, start + length)
    if config.time_warp:
        span = _warped(span, config.time_warp, random)
    if config.bone_length or config.posture:
        points = _another_person(points, skeleton, config, random, flat=flat)
    if config.mirror and random.random() < config.mirror:
        points = points[:, skeleton.mirror] * np.array([-1, 1, 1], np.float32)[:, None]
    turn, *tilts = random.uniform(-1, 1, 3) * (config.turn_rad, config.tilt_rad, config.tilt_rad)
    transform = _rotation(2, tilts[1])
    if not flat:
        transform = _rotation(1, turn) @ _rotation(0, tilts[0]) @ transform
    transform = transform * (1 + random.uniform(-1, 1, 3) * config.scale)
    moved = np.einsum("tvdm,de->tvem", points, transform)
    bone = _mean_bone(moved, skeleton)
    moved = moved + random.standard_normal(points.shape) * config.jitter * bone
    lost = random.random(skeleton.joint_count) < random.uniform(0, config.lose_joints)
    # A joint that is not seen is where its parent is: the shape of what sensors do.
    moved[:, lost] = moved[:, np.array(skeleton.parents)[lost]]
    if flat:
        moved[:, :, 2] = points[:, :, 2]
    return moved.astype(np.float32), span


def _warped(span: Span, strength: float, random: np.random.Generator) -> Span:
    """The same part of the clip, each quarter of the time at a speed of its own."""
    speeds = np.exp(strength * random.standard_normal(QUARTERS))
    passed = np.concatenate([[0.0], np.cumsum(speeds)])
    return tuple((span[0] + (span[-1] - span[0]) * passed / passed[-1]).tolist())


def _another_person(
    points: FloatArray,
    skeleton: Skeleton,
    config: SkeletonAugmentConfig,
    random: np.random.Generator,
    *,
    flat: bool,
) -> FloatArray:
    strengths = config.bone_length, config.posture
    persons = [
        other_proportions(points[..., m], skeleton, *strengths, random)
        for m in range(points.shape[3])
    ]
    changed: FloatArray = np.stack(persons, axis=3)
    if flat:
        changed[:, :, 2] = points[:, :, 2]
    return changed


def _rotation(axis: int, angle: float) -> npt.NDArray[np.float64]:
    """3 x 3, applied as ``points @ rotation``."""
    rotation = np.eye(3)
    first, second = [i for i in range(3) if i != axis]
    rotation[first, first] = rotation[second, second] = np.cos(angle)
    rotation[first, second], rotation[second, first] = np.sin(angle), -np.sin(angle)
    return rotation


def _persons(points: FloatArray, count: int) -> FloatArray:
    missing = np.full((*points.shape[:3], max(0, count - points.shape[3])), np.nan, np.float32)
    return np.concatenate([points[..., :count], missing], axis=3)


def _mean_bone(points: FloatArray, skeleton: Skeleton) -> float:
    """Of the first person, over the clip; 1 when it is never seen."""
    person = points[..., 0]
    bones = person - person[:, list(skeleton.parents)]
    lengths = np.linalg.norm(bones, axis=2)
    lengths = lengths[np.isfinite(lengths).all(axis=1)]
    total = float(lengths.sum()) / max(1, len(lengths) * (skeleton.joint_count - 1))
    return total if total > 0 else 1.0


def _placed(
    points: FloatArray,
    seen: npt.NDArray[np.bool_],
    skeleton: Skeleton,
    config: SkeletonFeatureConfig,
) -> FloatArray:
    """Points [T, V, 3, M] -> the first person's root as origin, its mean bone as unit."""
    if not seen.any():
        return points
    first = int(np.flatnonzero(seen)[0])
    root = next(joint for joint, parent in enumerate(skeleton.parents) if joint == parent)
    at = np.full(len(points), first)
    if config.centered:
        at = np.maximum.accumulate(np.where(seen, np.arange(len(points)), first))
    placed = (points - points[at, root, None, :, :1]) / _mean_bone(points, skeleton)
    if config.face_forward:
        sides = [skeleton.joints.index(f"{side}_shoulder") for side in ("left", "right")]
        person = placed[seen][..., 0]
        across = np.median(person[:, sides[0]] - person[:, sides[1]], axis=0)
        angle = np.arctan2(across[2], across[0])
        placed = np.einsum("tvdm,de->tvem", placed, _rotation(1, -angle))
    out: FloatArray = placed.astype(np.float32)
    return out


def _resampled(
    values: FloatArray, seen: npt.NDArray[np.bool_], frames: int, span: Span
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Values [T, V, 3, M] at ``frames`` even times of ``span``, and who is there, [frames, M]."""
    last = len(values) - 1
    knots = np.linspace(0.0, 1.0, len(span))
    at = np.interp(np.linspace(0.0, 1.0, frames), knots, span) * last
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, last)
    part = (at - low).astype(np.float32)
    # Between a frame with and one without the person, the nearer one counts.
    both = seen[low] & seen[high]
    weight = np.where(both, part[:, None], np.round(part)[:, None])[:, None, None]
    mixed = values[low] * (1 - weight) + values[high] * weight
    present = np.where(np.round(part)[:, None] > 0, seen[high], seen[low]) | both
    return np.where(present[:, None, None], mixed, np.float32(0)), present


def _bones(joint: FloatArray, skeleton: Skeleton) -> FloatArray:
    return joint - joint[:, :, list(skeleton.parents)]


def _motion(values: FloatArray, present: npt.NDArray[np.bool_]) -> FloatArray:
    """Change since the frame before, 0 where either is missing; values [3, T, V, M]."""
    motion = np.zeros_like(values)
    both = (present[1:] & present[:-1])[None, :, None]
    motion[:, 1:] = np.where(both, values[:, 1:] - values[:, :-1], np.float32(0))
    return motion
