"""Measure how far a person moves: it tells a gesture from the pose that it ends in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.landmarks.partial import is_body, is_hand, sum_of_bones
from bharsdk.landmarks.skeleton import MEDIAPIPE_HAND21, BodyJoint, HandJoint

__all__ = ["movement"]

FloatArray = npt.NDArray[np.float32]

SHOULDERS = [BodyJoint.LEFT_SHOULDER, BodyJoint.RIGHT_SHOULDER]
WRISTS = [BodyJoint.LEFT_WRIST, BodyJoint.RIGHT_WRIST]
HAND_PARENTS = np.array(MEDIAPIPE_HAND21.parents)
MIN_FRAMES = 3
"""A hand that was found less often says nothing about how it moves."""


def movement(sequence: LandmarkSequence, since_ms: float) -> float:
    """Return how far a wrist or a hand moved from ``since_ms`` to the end of ``sequence``.

    It is the largest extent of a path in the image. A wrist is seen from the shoulders, in shoulder
    widths. A hand is the median of its joints, seen from its wrist, in hand lengths (four mean
    bones). A joint counts if it was found at least three times. The result is 0 where too little
    was found.
    """
    sequence = sequence.mapped()
    first = int(np.searchsorted(sequence.timestamps_ms, since_ms))
    flat = np.array([sequence.aspect, 1.0], np.float32)
    body = sequence.body[first:, :, :2] * flat
    extents = [0.0]
    body = body[is_body(body)]
    if len(body) >= MIN_FRAMES:
        shoulders = body[:, SHOULDERS]
        width = float(np.median(np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1)))
        if width > 0:
            wrists = (body[:, WRISTS] - shoulders.mean(axis=1, keepdims=True)) / width
            extents.append(float(_extent(wrists).max()))
    for side in range(2):
        hand = sequence.hands[first:, side, :, :2] * flat
        hand = hand[is_hand(hand)]
        if len(hand) >= MIN_FRAMES:
            bones = sum_of_bones(np.linalg.norm(hand - hand[:, HAND_PARENTS], axis=2))
            length = 4 * float(np.median(bones)) / (MEDIAPIPE_HAND21.joint_count - 1)
            if length > 0:
                shape = (hand - hand[:, HandJoint.WRIST : HandJoint.WRIST + 1]) / length
                is_seen = (~np.isnan(shape[..., 0])).sum(axis=0) >= MIN_FRAMES
                extents.append(float(np.median(_extent(shape)[is_seen])))
    return max(extents)


def _extent(points: FloatArray) -> FloatArray:
    """Points [T, V, 2] -> diagonal of the box of each one's path [V]; 0 where rarely seen."""
    is_seen = ~np.isnan(points[..., :1])
    high = np.where(is_seen, points, -np.inf).max(axis=0)
    low = np.where(is_seen, points, np.inf).min(axis=0)
    is_enough = is_seen.sum(axis=0) >= MIN_FRAMES
    size = np.where(is_enough, np.where(is_enough, high, 0) - np.where(is_enough, low, 0), 0)
    diagonal: FloatArray = np.linalg.norm(size, axis=1)
    return diagonal
