"""Change the proportions of the person in a clip, for augmentation."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.landmarks.skeleton import Skeleton

__all__ = ["other_proportions"]


@cache
def _from_root(skeleton: Skeleton) -> tuple[int, ...]:
    """All joints but the root, each after its parent."""

    def depth(joint: int) -> int:
        parent = skeleton.parents[joint]
        return 0 if parent == joint else 1 + depth(parent)

    return tuple(sorted(range(skeleton.joint_count), key=depth)[1:])


def other_proportions(
    points: npt.NDArray[Any],
    skeleton: Skeleton,
    bone_length: float,
    posture: float,
    random: np.random.Generator,
) -> npt.NDArray[Any]:
    """Return a changed copy of points [T, joints, 3], NaN where unknown.

    All axes have one unit. bone_length: each bone is longer or shorter by up to this part, left as
    right. posture: each joint moves against its parent by a constant with this standard deviation,
    in mean bones. The root and joints beyond the skeleton stay.
    """
    joints, parents, order = skeleton.joint_count, list(skeleton.parents), _from_root(skeleton)
    length = 1 + random.uniform(-1, 1, joints) * bone_length
    length = (length + length[list(skeleton.mirror)]) / 2
    bones = points[:, :joints] - points[:, parents]
    moved = points.copy()
    if not np.isfinite(bones).any():
        return moved
    scale = float(np.nanmean(np.linalg.norm(bones[:, order], axis=2)))
    offset = random.standard_normal((joints, 3)) * posture * scale
    bones = bones * length[:, None] + offset
    for joint in order:
        moved[:, joint] = moved[:, parents[joint]] + bones[:, joint]
    return moved
