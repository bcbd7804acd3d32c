"""Augment landmarks before the features are computed, in ways that a skeleton allows.

Augmentation changes landmarks and times only. So the features treat an augmented clip as they treat
a recorded one: they normalize, interpolate and mark as missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

from bhar_training.data.augment_limits import RADIANS, SECONDS, SHARE, STRENGTH, check_strengths
from bhar_training.data.negatives import DEFAULT_KINDS, NegativeKind
from bhar_training.data.proportions import other_proportions
from bharsdk.errors import UsageError
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.landmarks.skeleton import MEDIAPIPE_BODY25, MEDIAPIPE_HAND21, Skeleton

__all__ = ["AugmentConfig", "augment"]


@dataclass(frozen=True)
class AugmentConfig:
    """How far each augmentation goes; 0 switches it off.

    Attributes:
        time_warp: playback speed lies between 1 / time_warp and time_warp.
        shift_s: the window moves by up to this many seconds.
        crop: part of the action beyond one window that may be cut off; 0: the window lies in its
            middle (:mod:`bhar_training.data.placement`).
        rotation_rad: turn about the axis of the camera.
        turn_rad: turn about the vertical axis.
        stretch: relative change of height, width and depth, of body and hands separately.
        bone_length: another person: each bone is longer or shorter by up to this part; left as
            right.
        posture: another posture: each joint moves against its parent by a constant with this
            standard deviation, in mean bones of its body or hand.
        depth: stretch of the uncertain third coordinate, as a power of e, of body and hands
            separately.
        mirror, lose_hand, negative: probabilities. A hand is lost for a while; one time in three
            for the whole clip.
        lose_joints: largest share of joints that are hidden for a while. A landmarker then guesses,
            so they keep their place against their parent, and a body joint loses its visibility.
        jitter: noise as a fraction of the image height.
        negatives: the kinds of negative that ``negative`` makes, each equally often.

    Raises:
        UsageError: a value cannot be, such as a probability above 1.
    """

    time_warp: Annotated[float, STRENGTH] = 2.0
    shift_s: Annotated[float, SECONDS] = 0.15
    crop: Annotated[float, SHARE] = 0.0
    rotation_rad: Annotated[float, RADIANS] = 0.2
    turn_rad: Annotated[float, RADIANS] = 0.35
    stretch: Annotated[float, SHARE] = 0.15
    bone_length: Annotated[float, SHARE] = 0.0
    posture: Annotated[float, STRENGTH] = 0.0
    depth: Annotated[float, STRENGTH] = 0.0
    mirror: Annotated[float, SHARE] = 0.25
    lose_hand: Annotated[float, SHARE] = 0.15
    lose_joints: Annotated[float, SHARE] = 0.0
    jitter: Annotated[float, STRENGTH] = 0.003
    negative: Annotated[float, SHARE] = 0.08
    negatives: tuple[NegativeKind, ...] = DEFAULT_KINDS

    def __post_init__(self) -> None:
        check_strengths(self)
        if 0 < self.time_warp < 1:
            raise UsageError(
                f"augmentation: got time_warp {self.time_warp:g}, expected 0 for none, or the"
                " fastest speed, above 1"
            )


def augment(
    clip: LandmarkSequence, config: AugmentConfig, random: np.random.Generator
) -> tuple[LandmarkSequence, float]:
    """Return a changed copy of ``clip`` and when its window should end, in milliseconds."""
    if config.mirror and random.random() < config.mirror:
        clip = clip.mirrored()
    body, hands = clip.body.copy(), clip.hands.copy()
    aspect = np.array([clip.aspect, 1.0, clip.aspect], np.float32)
    if config.bone_length or config.posture or config.depth:
        body[..., :3] = _another_person(body[..., :3], MEDIAPIPE_BODY25, aspect, config, random)
        hand = MEDIAPIPE_HAND21
        hands = np.stack(
            [_another_person(hands[:, i], hand, aspect, config, random) for i in range(2)], 1
        )
    transform = _linear(config, random) * aspect[:, None] / aspect[None, :]
    noise = config.jitter / aspect
    body[..., :3] = _moved(body[..., :3], transform, noise, random)
    hands = _moved(hands, transform, noise / 2, random)
    if config.lose_joints:
        _hide_joints(body[..., :3], MEDIAPIPE_BODY25, config.lose_joints, random, body[..., 3])
        for side in range(2):
            _hide_joints(hands[:, side], MEDIAPIPE_HAND21, config.lose_joints, random)
    if config.lose_hand and random.random() < config.lose_hand:
        _lose(hands, random)
    times = clip.timestamps_ms
    if config.time_warp > 1:
        # Mostly near the recorded speed, at times as far as the bound.
        exponent = np.clip(random.normal(0.0, 0.4), -1.0, 1.0)
        times = times * config.time_warp**exponent
    shift = random.uniform(-1.0, 1.0) * config.shift_s * 1000.0
    return clip.replaced(timestamps_ms=times, body=body, hands=hands), float(times[-1]) + shift


def _linear(config: AugmentConfig, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """A 3 x 3 map in image heights: turn, rotate, stretch; applied as ``points @ map``."""
    roll = random.uniform(-1, 1) * config.rotation_rad
    turn = random.uniform(-1, 1) * config.turn_rad
    about_z = np.array(
        [[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    )
    about_y = np.array(
        [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    )
    stretch = 1.0 + random.uniform(-1, 1, 3) * config.stretch
    mapped: npt.NDArray[np.float32] = ((about_y @ about_z) * stretch).astype(np.float32)
    return mapped


def _another_person(
    points: npt.NDArray[np.float32],
    skeleton: Skeleton,
    aspect: npt.NDArray[np.float32],
    config: AugmentConfig,
    random: np.random.Generator,
) -> npt.NDArray[np.float32]:
    """points [T, joints, 3] of the image, as someone of other proportions would have moved."""
    metric = points * aspect * np.array([1, 1, np.exp(random.uniform(-1, 1) * config.depth)])
    moved = other_proportions(metric, skeleton, config.bone_length, config.posture, random)
    out: npt.NDArray[np.float32] = (moved / aspect).astype(np.float32)
    return out


def _moved(
    points: npt.NDArray[np.float32],
    transform: npt.NDArray[np.float32],
    noise: npt.NDArray[np.float32],
    random: np.random.Generator,
) -> npt.NDArray[np.float32]:
    center = np.array([0.5, 0.5, 0.0], np.float32)
    moved = (points - center) @ transform + center
    shaken = moved + random.standard_normal(points.shape, np.float32) * noise
    out: npt.NDArray[np.float32] = shaken.astype(np.float32)
    return out


def _lose(hands: npt.NDArray[np.float32], random: np.random.Generator) -> None:
    frames = len(hands)
    whole = random.random() < 1 / 3
    length = frames if whole else int(random.integers(1, frames + 1))
    start = int(random.integers(0, frames - length + 1))
    hands[start : start + length, int(random.integers(2))] = np.nan


def _hide_joints(
    points: npt.NDArray[np.float32],
    skeleton: Skeleton,
    share: float,
    random: np.random.Generator,
    visibility: npt.NDArray[np.float32] | None = None,
) -> None:
    """Of points [T, joints, 3], in place: up to ``share`` of the joints, each for a stretch."""
    parents = np.array(skeleton.parents)
    hidden = random.random(len(parents)) < random.uniform(0, share)
    for joint in np.flatnonzero(hidden & (parents != np.arange(len(parents)))):
        length = int(random.integers(1, len(points) + 1))
        start = int(random.integers(0, len(points) - length + 1))
        parent, guessed = points[:, parents[joint]], points[start : start + length, joint]
        bones = guessed - parent[start : start + length]
        known = np.flatnonzero(np.isfinite(bones[:, 0]))
        if len(known):
            guessed[:] = parent[start : start + length] + bones[known[0]]
            if visibility is not None:
                visibility[start : start + length, joint] = 0.0
