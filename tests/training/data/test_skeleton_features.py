from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bhar_training.data.skeleton_features import (
    SkeletonAugmentConfig,
    SkeletonFeatureConfig,
    augment_skeleton,
    skeleton_input,
)
from bharsdk.bundle.feature_config import Modality
from bharsdk.errors import InputError, UsageError
from bharsdk.landmarks.skeleton import KINECT20, NTU25, OPENPOSE18, SKELETONS, Skeleton

CONFIG = SkeletonFeatureConfig("ntu25", persons=2, frames=16)
NOTHING = SkeletonAugmentConfig(
    **{field.name: 0.0 for field in fields(SkeletonAugmentConfig)} | {"crop": 1.0}
)
RNG = np.random.default_rng(8)
TURN = [[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]]


def _clip(skeleton: Skeleton = NTU25, frames: int = 20, persons: int = 2) -> np.ndarray:
    """People whose joints each move evenly, meters."""
    start = RNG.normal(0, 0.4, (1, skeleton.joint_count, 3, persons))
    speed = RNG.normal(0, 0.02, start.shape)
    points: np.ndarray = start + np.arange(frames)[:, None, None, None] * speed
    return points.astype(np.float32)


@pytest.mark.parametrize(
    "moved",
    [
        lambda points: points + np.array([3, -1, 2])[:, None],
        lambda points: points * 1.7,
        lambda points: np.einsum("tvdm,de->tvem", points, TURN),
    ],
    ids=["place", "size", "direction"],
)
def test_place_size_and_direction_do_not_matter(moved: Any) -> None:
    """Somewhere else, of another height, facing elsewhere: the same input."""
    points = _clip()
    found = skeleton_input(moved(points).astype(np.float32), CONFIG)
    np.testing.assert_allclose(found, skeleton_input(points, CONFIG), atol=2e-4)


def test_the_first_person_faces_the_camera() -> None:
    """Its left shoulder to the positive side, no shoulder nearer; joints 4 and 8 of NTU."""
    joint = skeleton_input(_clip(), CONFIG)[:3, ..., 0]
    across = np.median(joint[:, :, 4] - joint[:, :, 8], axis=1)
    assert across[0] > 0
    assert abs(across[2]) < 0.2 * across[0] + 0.05


def test_centered_people_may_walk_anywhere() -> None:
    """In one place or across the room: the same input, also where the first is not seen at times.

    How far the second is from the first stays.
    """
    points = _clip(frames=16)
    points[[0, 5, 6], ..., 0] = np.nan
    path = RNG.normal(0, 1, (16, 1, 3, 1)).astype(np.float32)
    path[[5, 6]] = path[4]
    path[0] = path[1]
    config = replace(CONFIG, centered=True, modalities=tuple(Modality))
    found = skeleton_input(points, config)
    np.testing.assert_allclose(skeleton_input(points + path, config), found, atol=2e-4)
    assert np.abs(found[:3, 1:, ..., 1]).max() > 0.1
    walked = skeleton_input(points + path, replace(config, centered=False))
    assert np.abs(walked - found).max() > 1


def test_another_rate_gives_the_same_input() -> None:
    """Even movement, recorded at twice the rate; the unit is a mean over frames, so nearly."""
    points = _clip(frames=41)
    np.testing.assert_allclose(
        skeleton_input(points[::2], CONFIG), skeleton_input(points, CONFIG), rtol=5e-3, atol=2e-4
    )


def test_channels_are_joints_bones_and_their_motion() -> None:
    """Three each, in order; motion starts with 0 and follows from the still channels."""
    config = replace(CONFIG, modalities=tuple(Modality))
    found = skeleton_input(_clip(), config)
    assert found.shape == (config.channels, 16, 25, 2) == (12, 16, 25, 2)
    joint, bone, joint_motion, bone_motion = np.split(found, 4)
    np.testing.assert_allclose(bone, joint - joint[:, :, list(NTU25.parents)], atol=1e-6)
    for motion, still in ((joint_motion, joint), (bone_motion, bone)):
        assert not motion[:, 0].any()
        np.testing.assert_allclose(motion[:, 1:], np.diff(still, axis=1), atol=1e-6)


def test_a_missing_person_is_zero_and_does_not_leap() -> None:
    """In joint and motion; one who leaves stops where the clip says."""
    points = _clip(frames=16)
    points[10:, ..., 1] = np.nan
    config = replace(CONFIG, modalities=(Modality.JOINT, Modality.JOINT_MOTION))
    found = skeleton_input(points, config)
    assert not found[:, 10:, :, 1].any()
    assert found[:3, :10, :, 1].all()
    assert np.abs(found[3:, :, :, 1]).max() < 0.3
    alone = skeleton_input(points[..., :1], CONFIG)
    assert not alone[..., 1].any()


def test_a_part_of_a_clip_is_resampled_to_the_same_length() -> None:
    """The middle half, frame by frame."""
    points = _clip(frames=33)
    config = replace(CONFIG, frames=17)
    found = skeleton_input(points, config, (0.25, 0.75))
    # Origin and unit come from the whole clip, so compare shapes of movement.
    whole = skeleton_input(points, replace(config, frames=33))
    np.testing.assert_allclose(found, whole[:, 8:25], atol=2e-4)


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_every_skeleton_gives_input(name: str) -> None:
    """Any of skeleton.py, one person and several."""
    skeleton = SKELETONS[name]
    config = replace(SkeletonFeatureConfig.for_skeleton(skeleton, 3), frames=5)
    points = _clip(skeleton, persons=1)
    found = skeleton_input(points, config)
    assert found.shape == (6, 5, skeleton.joint_count, 3)
    assert np.isfinite(found).all()
    assert config.flat == (name == "openpose18")


def test_a_confidence_is_no_depth() -> None:
    """It is neither moved, nor scaled, nor turned, in features and in augmentation."""
    points = _clip(OPENPOSE18, frames=5)
    points[:, :, 2] = RNG.random((5, 18, 2))
    config = replace(SkeletonFeatureConfig.for_skeleton(OPENPOSE18, 2), frames=5)
    augment = SkeletonAugmentConfig(lose_joints=0, bone_length=0.2, posture=0.1)
    random = np.random.default_rng(0)
    changed, _ = augment_skeleton(points, OPENPOSE18, augment, random, flat=True)
    for clip in (points, changed):
        found = skeleton_input(clip, config)
        np.testing.assert_allclose(found[2], points[:, :, 2], rtol=1e-5)
        np.testing.assert_array_equal(found[5], found[2])


def test_nothing_is_augmented_at_zero() -> None:
    """The clip comes back, all of it."""
    points = _clip()
    changed, span = augment_skeleton(points, NTU25, NOTHING, np.random.default_rng(0))
    np.testing.assert_allclose(changed, points, atol=1e-6)
    assert span == (0.0, 1.0)


@pytest.mark.parametrize("name", ["turn_rad", "tilt_rad"])
def test_turning_keeps_bones_as_long_as_they_were(name: str) -> None:
    """And moves joints."""
    points = _clip()
    config = replace(NOTHING, **{name: 0.5})
    changed, _ = augment_skeleton(points, NTU25, config, np.random.default_rng(1))
    before, after = (
        np.linalg.norm(clip - clip[:, list(NTU25.parents)], axis=2) for clip in (points, changed)
    )
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert np.abs(changed - points).max() > 0.01


def test_another_person_has_other_bones_the_same_on_both_sides() -> None:
    """Every bone points where it did, and is longer or shorter by one factor all through."""
    points = _clip(KINECT20, persons=1)
    config = replace(NOTHING, bone_length=0.2)
    changed, _ = augment_skeleton(points, KINECT20, config, np.random.default_rng(3))
    before, after = (clip - clip[:, list(KINECT20.parents)] for clip in (points, changed))
    factor = ((after * before).sum(2) / (before**2).sum(2).clip(1e-9))[0]  # of the root, 0
    np.testing.assert_allclose(after, before * factor[:, None], atol=1e-5)
    np.testing.assert_allclose(factor, factor[list(KINECT20.mirror)], rtol=1e-3)
    bones = factor[factor[:, 0] > 0]
    assert len(bones) == KINECT20.joint_count - 1
    assert 0.8 <= bones.min() < bones.max() <= 1.2


def test_another_posture_leaves_what_moves_as_it_was() -> None:
    """Joints stand elsewhere against their parents, by the same all through the clip."""
    points = _clip(KINECT20, persons=1)
    config = replace(NOTHING, posture=0.1)
    changed, _ = augment_skeleton(points, KINECT20, config, np.random.default_rng(3))
    moved = changed - points
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:1], moved.shape), atol=1e-5)
    assert np.abs(moved).max() > 0.01


def test_time_is_warped_within_the_same_part_of_the_clip() -> None:
    """Forwards, from its first frame to its last, at other speeds; samples lie on the clip."""
    points = _clip(frames=33)
    config = replace(NOTHING, time_warp=0.4)
    _, span = augment_skeleton(points, NTU25, config, np.random.default_rng(0))
    assert (span[0], span[-1]) == (0.0, 1.0)
    speeds = np.diff(span)
    assert speeds.min() > 0
    assert speeds.max() > 1.2 * speeds.min()
    found = skeleton_input(points, CONFIG, span)
    # Even movement: what is seen at a time is where that time is.
    even = skeleton_input(points, CONFIG)
    at = np.interp(np.linspace(0, 1, 16), np.linspace(0, 1, len(span)), span)
    expected = even[:, :1] + (even[:, -1:] - even[:, :1]) * at[:, None, None]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_mirroring_swaps_sides() -> None:
    """x turns its sign, left and right joints change places."""
    points = _clip(KINECT20)
    config = replace(NOTHING, mirror=1.0)
    changed, _ = augment_skeleton(points, KINECT20, config, np.random.default_rng(0))
    left, right = (KINECT20.joints.index(f"{side}_hand") for side in ("left", "right"))
    np.testing.assert_allclose(changed[:, left, 0], -points[:, right, 0], atol=1e-6)
    np.testing.assert_allclose(changed[:, left, 1:], points[:, right, 1:], atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 3))
def test_any_clip_gives_finite_input(seed: int, frames: int, persons: int) -> None:
    """Whoever is missing wherever, augmented or not."""
    random = np.random.default_rng(seed)
    points = random.normal(0, 1, (frames, 20, 3, persons)).astype(np.float32)
    frame, person = np.nonzero(random.random((frames, persons)) < 0.4)
    points[frame, :, :, person] = np.nan
    config = SkeletonFeatureConfig("kinect20", persons=2, frames=8, modalities=tuple(Modality))
    augment = SkeletonAugmentConfig(time_warp=0.4, bone_length=0.2, posture=0.1)
    changed, span = augment_skeleton(points, KINECT20, augment, random)
    for clip, part in ((points, (0.0, 1.0)), (changed, span)):
        found = skeleton_input(clip, config, part)
        assert found.shape == (12, 8, 20, 2)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()


@pytest.mark.parametrize(
    "changes",
    [{"persons": 0}, {"frames": 1}, {"modalities": ()}, {"skeleton": "dog"}, {"flat": True}],
)
def test_a_configuration_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    """With what was got and expected."""
    with pytest.raises(InputError, match="got"):
        replace(CONFIG, **changes)


@pytest.mark.parametrize("changes", [{"time_warp": -0.4}, {"crop": 1.1}, {"jitter": math.nan}])
def test_a_strength_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    """When it is set, not after a training that ran backwards."""
    with pytest.raises(UsageError, match=f"got {next(iter(changes))} .*, expected"):
        replace(NOTHING, **changes)


def test_points_of_another_skeleton_are_refused() -> None:
    """25 joints where 20 are expected."""
    with pytest.raises(InputError, match="20, 3, persons"):
        skeleton_input(_clip(), SkeletonFeatureConfig("kinect20"))
