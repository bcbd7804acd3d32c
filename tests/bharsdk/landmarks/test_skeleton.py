from __future__ import annotations

import numpy as np
import pytest

from bharsdk.errors import InputError
from bharsdk.landmarks.skeleton import (
    KINECT20,
    MEDIAPIPE_BODY25,
    MEDIAPIPE_HAND21,
    MEDIAPIPE_HOLISTIC67,
    NTU25,
    OPENPOSE18,
    SKELETONS,
    BodyJoint,
    HandJoint,
    Skeleton,
    skeleton_by_name,
)

each_skeleton = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=list(SKELETONS))


@pytest.mark.parametrize(
    ("skeleton", "count"),
    [
        (MEDIAPIPE_BODY25, 25),
        (MEDIAPIPE_HAND21, 21),
        (MEDIAPIPE_HOLISTIC67, 67),
        (NTU25, 25),
        (KINECT20, 20),
        (OPENPOSE18, 18),
    ],
)
def test_joint_counts_are_those_of_the_sources(skeleton: Skeleton, count: int) -> None:
    """As many joints as the device or landmarker gives."""
    assert skeleton.joint_count == count == len(skeleton.parents) == len(skeleton.mirror)
    assert len(set(skeleton.joints)) == count


@each_skeleton
def test_every_skeleton_is_one_tree(skeleton: Skeleton) -> None:
    """V - 1 bones, one root, and every joint leads to it."""
    assert len(skeleton.bones) == skeleton.joint_count - 1
    (root,) = (j for j, parent in enumerate(skeleton.parents) if j == parent)
    for start in range(skeleton.joint_count):
        joint = start
        for _ in range(skeleton.joint_count):
            joint = skeleton.parents[joint]
        assert joint == root


@each_skeleton
def test_mirroring_twice_changes_nothing(skeleton: Skeleton) -> None:
    """Left becomes right and right becomes left, joints on the midline stay."""
    mirror = np.array(skeleton.mirror)
    np.testing.assert_array_equal(mirror[mirror], np.arange(skeleton.joint_count))
    for joint, other in enumerate(skeleton.mirror):
        swapped = skeleton.joints[joint].replace("left", "*").replace("right", "*")
        assert swapped == skeleton.joints[other].replace("left", "*").replace("right", "*")


@each_skeleton
def test_the_mirror_keeps_bones_and_extra_edges(skeleton: Skeleton) -> None:
    """The counterpart of a bone is a bone with the counterpart's parent."""
    for child, parent in skeleton.bones:
        assert skeleton.parents[skeleton.mirror[child]] == skeleton.mirror[parent]
    extra = {frozenset(edge) for edge in skeleton.extra_edges}
    assert {frozenset(skeleton.mirror[j] for j in edge) for edge in extra} == extra


@each_skeleton
def test_partitions_are_column_normalized(skeleton: Skeleton) -> None:
    """Each column of A·D^-1 sums to one where the joint has such a neighbor, else to zero."""
    itself, inward, outward = skeleton.partitions()
    np.testing.assert_array_equal(itself, np.eye(skeleton.joint_count))
    for matrix in (inward, outward):
        assert (matrix >= 0).all()
        sums = matrix.sum(0)
        assert np.all(np.isclose(sums, 1, atol=1e-6) | (sums == 0))


@each_skeleton
def test_partitions_cover_exactly_the_edges(skeleton: Skeleton) -> None:
    """Centripetal from child to parent, centrifugal the other way, extra edges both ways."""
    _, inward, outward = skeleton.partitions()
    extra = {*skeleton.extra_edges, *((b, a) for a, b in skeleton.extra_edges)}
    assert set(zip(*np.nonzero(inward), strict=True)) == {*skeleton.bones, *extra}
    assert set(zip(*np.nonzero(outward), strict=True)) == {
        *((p, c) for c, p in skeleton.bones),
        *extra,
    }


@each_skeleton
def test_the_bone_matrix_subtracts_the_parent(skeleton: Skeleton) -> None:
    """``joint @ B`` is joint minus parent, and zero at the root."""
    joints = np.random.default_rng(0).standard_normal((3, skeleton.joint_count))
    expected = joints - joints[:, skeleton.parents]
    np.testing.assert_allclose(joints @ skeleton.bone_matrix(), expected, atol=1e-12)


def test_named_joints_point_at_their_names() -> None:
    """The indices that code uses are those of the joint tables."""
    body, hand = MEDIAPIPE_BODY25.joints, MEDIAPIPE_HAND21.joints
    for name in ("NOSE", "LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_WRIST", "RIGHT_HIP"):
        assert body[getattr(BodyJoint, name)] == name.lower()
    for name in ("WRIST", "INDEX_MCP", "MIDDLE_MCP", "PINKY_MCP"):
        assert hand[getattr(HandJoint, name)] == name.lower()


def test_the_holistic_graph_hangs_each_hand_from_its_wrist() -> None:
    """67 joints: body, left hand, right hand, in the order in which models join them."""
    joints, parents = MEDIAPIPE_HOLISTIC67.joints, MEDIAPIPE_HOLISTIC67.parents
    assert joints[:25] == MEDIAPIPE_BODY25.joints
    assert joints[25] == "left_hand_wrist"
    assert joints[46] == "right_hand_wrist"
    assert joints[parents[25]] == "left_wrist"
    assert joints[parents[46]] == "right_wrist"


def test_skeletons_are_found_by_name() -> None:
    """Every name leads to its skeleton; another one is refused with the list."""
    for name, skeleton in SKELETONS.items():
        assert skeleton_by_name(name) is skeleton
    with pytest.raises(InputError, match=r"got 'ntu52', expected one of .*'ntu25'"):
        skeleton_by_name("ntu52")
