"""The same movement by somebody of other proportions, for augmentation."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.skeleton import Skeleton

__all__ = ["Tree", "other_proportions", "tree_of"]


class Tree:
    """A skeleton in the order in which a joint follows its parent."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.parents = np.array(skeleton.parents)
        self.mirror = np.array(skeleton.mirror)
        depths = [len(_ancestors(skeleton.parents, j)) for j in range(skeleton.joint_count)]
        self.order = [int(j) for j in np.argsort(depths, kind="stable")]


@cache
def tree_of(skeleton: Skeleton) -> Tree:
    """Made once for each skeleton."""
    return Tree(skeleton)


def _ancestors(parents: tuple[int, ...], joint: int) -> list[int]:
    found = []
    while parents[joint] != joint:
        joint = parents[joint]
        found.append(joint)
    return found


def other_proportions(
    points: npt.NDArray[Any],
    tree: Tree,
    bone_length: float,
    posture: float,
    random: np.random.Generator,
) -> npt.NDArray[Any]:
    """Points [T, joints, 3] in one unit along all axes, NaN where unknown -> a changed copy.

    bone_length: every bone is longer or shorter by up to this part, left as right. posture: every
    joint moves against its parent by a constant of this standard deviation, in mean bones. The root
    stays where it is, as do joints beyond those of the tree.
    """
    joints = len(tree.parents)
    length = 1 + random.uniform(-1, 1, joints) * bone_length
    length = (length + length[tree.mirror]) / 2
    bones = points[:, :joints] - points[:, tree.parents]
    moved = points.copy()
    if not np.isfinite(bones).any():
        return moved
    scale = float(np.nanmean(np.linalg.norm(bones[:, tree.order[1:]], axis=2)))
    offset = random.standard_normal((joints, 3)) * posture * scale
    bones = bones * length[:, None] + offset
    for joint in tree.order[1:]:
        moved[:, joint] = moved[:, tree.parents[joint]] + bones[:, joint]
    return moved
