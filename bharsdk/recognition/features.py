"""Landmarks -> model input. The one implementation, for training and for run time.

A window of landmarks is resampled to a fixed rate, normalized so that position in the image,
distance to the camera and image aspect do not matter, and written as body and hand tensors::

    LandmarkSequence -> resample -> body: shoulders as unit, hands: wrist as origin -> joint | bone

Channels are x, y, z per modality (joint, bone, their motion from frame to frame) and, last,
presence: the landmarker's visibility for body joints, 1 or 0 for hands. What was not detected is 0
in every channel *and* 0 in presence, so that a missing hand never looks like a hand at rest. That
holds for single joints too, and for the bones and motions that need one
(:mod:`bharsdk.landmarks.partial`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.feature_config import FeatureConfig, Modality
from bharsdk.errors import InputError, assert_never
from bharsdk.kernels.ops import graph_aggregate
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.landmarks.partial import BODY_ANCHORS, HAND_ANCHORS, sum_of_bones
from bharsdk.landmarks.skeleton import (
    MEDIAPIPE_BODY25,
    MEDIAPIPE_HAND21,
    BodyJoint,
    HandJoint,
    Skeleton,
)
from bharsdk.values.brief import brief

__all__ = ["Features", "extract", "normalize_hand"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

BODY, HAND = MEDIAPIPE_BODY25, MEDIAPIPE_HAND21
BONES = {skeleton.name: skeleton.bone_matrix()[None] for skeleton in (BODY, HAND)}
HAND_PARENTS = np.array(HAND.parents)

MIN_SHOULDER_WIDTH = 0.02
"""Image heights. Below it the shoulders are one behind the other and their distance is noise."""
HAND_LENGTH_IN_BONES = 4.0
"""A hand is about four mean bones long, so hand coordinates end up near [-1, 1]."""


@dataclass(frozen=True, eq=False)
class Features:
    """Model input of one window: body float32 [C, T, 25, 1], hands float32 [C, T, 21, 2]."""

    body: FloatArray
    hands: FloatArray

    def __repr__(self) -> str:
        return brief(self, body=self.body, hands=self.hands)

    def batch(self) -> dict[str, FloatArray]:
        """A batch of this one window, by name of the graph's input."""
        return {"body": self.body[None], "hands": self.hands[None]}


def extract(
    sequence: LandmarkSequence, config: FeatureConfig, end_ms: float | None = None
) -> Features:
    """The features of the window that ends at ``end_ms`` (default: with the sequence).

    A window that reaches beyond the sequence sees its first or last frame held. Raises InputError
    when ``end_ms`` is not finite, or the skeleton has no mapping to MediaPipe's.
    """
    sequence = sequence.mapped((BODY.name, HAND.name))
    times = sequence.timestamps_ms
    end = float(times[-1]) if end_ms is None else float(end_ms)
    if not np.isfinite(end):
        raise InputError(f"features: got window end {end}, expected milliseconds")
    wanted = end + (np.arange(config.frames) - (config.frames - 1)) * (1000.0 / config.fps)
    wanted = np.clip(wanted, times[0], times[-1])
    max_gap_ms = config.max_gap_s * 1000.0
    metric = np.array([sequence.aspect, 1.0, sequence.aspect], np.float32)

    body, joints, body_seen = _resample_joints(
        times, sequence.body[:, : BODY.joint_count], wanted, max_gap_ms, BODY_ANCHORS
    )
    points, visibility = body[..., :3] * metric, body[..., 3] * joints
    body_points = np.where(joints[..., None], _normalize_body(points, body_seen), np.float32(0))
    hand_points, hand_joints = [], []
    for side in range(2):
        hand, joints_there, seen = _resample_joints(
            times, sequence.hands[:, side], wanted, max_gap_ms, HAND_ANCHORS
        )
        hand_points.append(normalize_hand(hand * metric, seen, joints_there))
        hand_joints.append(joints_there)
    hands_there = np.stack(hand_joints)
    return Features(
        body=_channels(body_points[None], joints[None], visibility[None], BODY, config),
        hands=_channels(np.stack(hand_points), hands_there, hands_there, HAND, config),
    )


def _resample_joints(
    times: npt.NDArray[np.float64],
    values: FloatArray,
    wanted: npt.NDArray[np.float64],
    max_gap_ms: float,
    anchors: list[int],
) -> tuple[FloatArray, BoolArray, BoolArray]:
    """As :func:`_resample`, each joint by itself where frames miss single joints.

    anchors: joints without which the body or hand of a frame counts as missing. Returns values
    [S, V, C], whether each joint was there [S, V], and whether the body or hand was [S].
    """
    missing = np.isnan(values[:, :, 0])
    if (missing.any(axis=1) == missing.all(axis=1)).all():
        out, seen = _resample(times, values, wanted, max_gap_ms)
        return out, np.repeat(seen[:, None], values.shape[1], axis=1), seen
    kept = values.copy()
    kept[missing[:, anchors].any(axis=1)] = np.nan
    _, seen = _resample(times, kept[:, anchors], wanted, max_gap_ms)
    parts = [
        _resample(times, kept[:, joint : joint + 1], wanted, max_gap_ms)
        for joint in range(values.shape[1])
    ]
    there = np.stack([found for _, found in parts], axis=1) & seen[:, None]
    out = np.concatenate([part for part, _ in parts], axis=1)
    return np.where(there[..., None], out, np.float32(0)), there, seen


def _resample(
    times: npt.NDArray[np.float64],
    values: FloatArray,
    wanted: npt.NDArray[np.float64],
    max_gap_ms: float,
) -> tuple[FloatArray, BoolArray]:
    """Linear interpolation of values [T, V, C] at times ``wanted`` [S].

    Bridges gaps between detections of up to ``max_gap_ms`` (and holds the outermost detection for
    half as long); returns values [S, V, C], 0 where missing, and whether each was present [S].
    """
    found = np.flatnonzero(~np.isnan(values[:, 0, 0]))
    if len(found) == 0:
        return np.zeros((len(wanted), *values.shape[1:]), np.float32), np.zeros(len(wanted), bool)
    at = times[found]
    right = np.clip(np.searchsorted(at, wanted), 0, len(at) - 1)
    left = np.where((at[right] > wanted) & (right > 0), right - 1, right)
    span = at[right] - at[left]
    weight = np.where(span > 0, (wanted - at[left]) / np.where(span > 0, span, 1.0), 0.0)
    outside = np.maximum(at[0] - wanted, wanted - at[-1])
    seen = (span <= max_gap_ms) & (outside <= max_gap_ms / 2)
    # Beside a gap too long to bridge, the detections themselves still count.
    near = np.minimum(np.abs(wanted - at[left]), np.abs(at[right] - wanted)) <= _HALF_FRAME_MS
    weight = np.where((span > max_gap_ms) & near, np.round(weight), weight)
    seen |= near & (outside <= max_gap_ms / 2)
    w = weight.astype(np.float32)[:, None, None]
    out = values[found[left]] * (1 - w) + values[found[right]] * w
    return np.where(seen[:, None, None], out, np.float32(0)), seen


_HALF_FRAME_MS = 17.0
"""Half a frame of a 30 fps camera: as far as one detection speaks for the time around it."""


def _normalize_body(points: FloatArray, seen: BoolArray) -> FloatArray:
    """points [T, 25, 3], image heights -> shoulder widths from the middle of the shoulders.

    Origin and unit are medians over the window, so a step or a lean within it stays visible.
    """
    if not seen.any():
        return points
    left, right = points[seen, BodyJoint.LEFT_SHOULDER], points[seen, BodyJoint.RIGHT_SHOULDER]
    width = float(np.median(np.hypot(*(left - right)[:, :2].T)))
    origin = np.median((left + right) / 2, axis=0)
    scaled = (points - origin) / np.float32(max(width, MIN_SHOULDER_WIDTH))
    return np.where(seen[:, None, None], scaled, np.float32(0)).astype(np.float32)


def normalize_hand(
    points: FloatArray, seen: BoolArray, joints: BoolArray | None = None
) -> FloatArray:
    """points [T, 21, 3] of any unit -> hand lengths from the wrist, per frame. seen: bool [T].

    joints: bool [T, 21], which joints were found; default, all of a hand that was seen.

    The unit is the window's median of the mean bone, which a turn of the hand changes little.
    """
    if not seen.any():
        return points
    centered = points - points[:, HandJoint.WRIST : HandJoint.WRIST + 1]
    if joints is not None:
        centered = np.where(joints[..., None], centered, np.float32(np.nan))
    bones = np.linalg.norm(centered[seen] - centered[seen][:, HAND_PARENTS], axis=2)
    length = float(np.median(sum_of_bones(bones))) / (HAND.joint_count - 1) * HAND_LENGTH_IN_BONES
    scaled: FloatArray = centered / np.float32(max(length, 1e-4))
    return scaled if joints is None else np.where(joints[..., None], scaled, np.float32(0))


def _channels(
    points: FloatArray,
    joints: BoolArray,
    presence: npt.NDArray[np.generic],
    skeleton: Skeleton,
    config: FeatureConfig,
) -> FloatArray:
    """Points [M, T, V, 3], joints and presence [M, T, V] -> contiguous float32 [C, T, V, M]."""
    bones, ends = BONES[skeleton.name], joints & joints[..., list(skeleton.parents)]
    joint = np.ascontiguousarray(points.transpose(0, 3, 1, 2), np.float32)
    parts: list[FloatArray] = []
    for modality in config.modalities:
        match modality:
            case Modality.JOINT:
                parts.append(joint)
            case Modality.BONE:
                parts.append(_bones(joint, ends, bones))
            case Modality.JOINT_MOTION:
                parts.append(_motion(joint, joints))
            case Modality.BONE_MOTION:
                parts.append(_motion(_bones(joint, ends, bones), ends))
            case _:
                assert_never(modality)
    if config.presence:
        parts.append(presence[:, None].astype(np.float32))
    return np.ascontiguousarray(np.concatenate(parts, axis=1).transpose(1, 2, 3, 0))


def _bones(joint: FloatArray, ends: BoolArray, bones: FloatArray) -> FloatArray:
    """Joint [M, 3, T, V] -> bones, 0 unless both ends [M, T, V] are there."""
    return np.where(ends[:, None], graph_aggregate(joint[:, None], bones), np.float32(0))


def _motion(values: FloatArray, seen: BoolArray) -> FloatArray:
    """Change since the frame before: values [M, 3, T, V] -> the same shape, the first frame 0.

    Where either frame is missing it is 0, not a leap from or to the origin.
    """
    motion = np.zeros_like(values)
    both = (seen[:, 1:] & seen[:, :-1])[:, None]
    motion[:, :, 1:] = np.where(both, values[:, :, 1:] - values[:, :, :-1], np.float32(0))
    return motion


def model_skeletons() -> tuple[Skeleton, Skeleton]:
    """The skeletons of the two inputs: body, hand."""
    return BODY, HAND
