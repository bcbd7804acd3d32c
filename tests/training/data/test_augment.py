from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from bhar_training.data.augment import AugmentConfig, augment
from bhar_training.data.clips import load_clips
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.landmarks.skeleton import MEDIAPIPE_BODY25
from bharsdk.recognition.features import extract

NOTHING = replace(
    AugmentConfig(), **{f.name: 0.0 for f in fields(AugmentConfig) if isinstance(f.default, float)}
)
WORDS = load_clips(Path(__file__).parents[2] / "data" / "words.npz")
CLIP = WORDS.sequences[10]


def _random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_all_at_zero_changes_nothing() -> None:
    """The clip comes back, and its window ends with it."""
    changed, end_ms = augment(CLIP, NOTHING, _random())
    np.testing.assert_allclose(changed.body, CLIP.body, atol=1e-6)
    np.testing.assert_allclose(changed.hands, CLIP.hands, atol=1e-6)
    np.testing.assert_array_equal(changed.timestamps_ms, CLIP.timestamps_ms)
    assert end_ms == CLIP.timestamps_ms[-1]


def test_mirroring_gives_the_mirrored_clip() -> None:
    """With probability one."""
    changed, _ = augment(CLIP, replace(NOTHING, mirror=1.0), _random())
    np.testing.assert_allclose(changed.body, CLIP.mirrored().body, atol=1e-6)
    np.testing.assert_allclose(changed.hands, CLIP.mirrored().hands, atol=1e-6)


def test_time_is_warped_within_its_bounds() -> None:
    """Speeds from 1 / time_warp to time_warp, most of them near the recorded one."""
    config = replace(NOTHING, time_warp=2.0)
    spans = [augment(CLIP, config, _random(seed))[0].timestamps_ms[-1] for seed in range(300)]
    factors = np.array(spans) / CLIP.timestamps_ms[-1]
    assert factors.min() >= 0.5
    assert factors.max() <= 2.0
    assert factors.min() < 0.65
    assert factors.max() > 1.55
    assert 0.9 < np.median(factors) < 1.1


def test_the_window_moves_by_no_more_than_its_shift() -> None:
    """Both earlier and later."""
    config = replace(NOTHING, shift_s=0.15)
    moved = np.array([augment(CLIP, config, _random(seed))[1] for seed in range(200)])
    moved -= CLIP.timestamps_ms[-1]
    assert np.abs(moved).max() <= 150
    assert moved.min() < -100
    assert moved.max() > 100


def test_a_lost_hand_is_not_detected_for_one_stretch() -> None:
    """NaN, as a landmarker would report it, and only one hand."""
    whole = CLIP.replaced(hands=np.nan_to_num(CLIP.hands, nan=0.5))
    sides = set()
    for seed in range(20):
        changed, _ = augment(whole, replace(NOTHING, lose_hand=1.0), _random(seed))
        lost = np.isnan(changed.hands).all((2, 3))
        (side,) = np.flatnonzero(lost.any(0))
        sides.add(int(side))
        assert (np.diff(np.flatnonzero(lost[:, side])) == 1).all()
    assert sides == {0, 1}


def test_a_hidden_joint_stays_with_its_parent() -> None:
    """For one stretch, unseen if of the body; frames without a detection stay without one."""
    hidden = 0
    for seed in range(10):
        changed, _ = augment(CLIP, replace(NOTHING, lose_joints=0.4), _random(seed))
        np.testing.assert_array_equal(np.isnan(changed.hands), np.isnan(CLIP.hands))
        unseen = (changed.body[:, :25, 3] == 0) & (CLIP.body[:, :25, 3] > 0)
        assert unseen.any(0).mean() < 0.8
        np.testing.assert_array_equal(changed.body[:, :25][~unseen], CLIP.body[:, :25][~unseen])
        for joint in np.flatnonzero(unseen.any(0)):
            frames = np.flatnonzero(unseen[:, joint])
            assert (np.diff(frames) == 1).all()
            parent = MEDIAPIPE_BODY25.parents[joint]
            steady = frames[~unseen[frames, parent]]
            bones = changed.body[steady, joint, :3] - changed.body[steady, parent, :3]
            np.testing.assert_allclose(bones, np.broadcast_to(bones[:1], bones.shape), atol=1e-5)
            hidden += 1
        assert np.isfinite(extract(changed, FeatureConfig()).hands).all()
    assert hidden > 10


def test_rotation_keeps_lengths_on_the_picture() -> None:
    """In image heights, where they are lengths; in fractions of a wide picture they change."""
    config = replace(NOTHING, rotation_rad=0.5)
    changed, _ = augment(CLIP, config, _random(3))
    metric = np.array([CLIP.aspect, 1.0])

    def lengths(clip: LandmarkSequence) -> np.ndarray:
        return np.linalg.norm((clip.body[:, 11, :2] - clip.body[:, 16, :2]) * metric, axis=1)

    np.testing.assert_allclose(lengths(changed), lengths(CLIP), rtol=1e-4)
    assert np.abs(changed.body[..., :2] - CLIP.body[..., :2]).max() > 0.02


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_the_clip_stays_usable(seed: int) -> None:
    """All augmentations at once give a valid sequence and finite features."""
    config = AugmentConfig(mirror=0.5, lose_hand=0.5, lose_joints=0.3)
    random = _random(seed)
    changed, end_ms = augment(CLIP, config, random)
    assert isinstance(changed, LandmarkSequence)
    assert len(changed) == len(CLIP)
    np.testing.assert_array_equal(np.isnan(changed.body), np.isnan(CLIP.body))
    found = extract(changed, FeatureConfig(), end_ms)
    assert np.isfinite(found.body).all()
    assert np.isfinite(found.hands).all()


def test_a_single_frame_can_be_augmented() -> None:
    """The shortest clip there is."""
    one = CLIP.replaced(timestamps_ms=[0.0], body=CLIP.body[:1], hands=CLIP.hands[:1])
    for seed in range(10):
        changed, _ = augment(one, AugmentConfig(), _random(seed))
        assert len(changed) == 1


@pytest.mark.parametrize("name", ["bone_length", "posture", "depth"])
def test_another_person_makes_the_same_movement(name: str) -> None:
    """Lengths or depths differ, by a constant over the clip; nothing else does."""
    changed, _ = augment(CLIP, replace(NOTHING, **{name: 0.3}), _random(1))
    metric = np.array([CLIP.aspect, 1.0, CLIP.aspect])

    def bones(clip: LandmarkSequence) -> np.ndarray:
        body = clip.body[:, :25, :3] * metric
        return body - body[:, MEDIAPIPE_BODY25.parents]

    before, after = bones(CLIP), bones(changed)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_array_equal(changed.body[:, 0, :2], CLIP.body[:, 0, :2])
    if name == "posture":
        np.testing.assert_allclose(after - before, (after - before)[:1].repeat(20, 0), atol=1e-4)
    elif name == "depth":
        np.testing.assert_allclose(after[..., :2], before[..., :2], atol=1e-5)
        np.testing.assert_allclose(after[..., 2], before[..., 2] * 1.0, rtol=0.36, atol=1e-4)
    else:
        length = [np.linalg.norm(x, axis=2)[:, 1:] for x in (before, after)]
        ratio = length[1] / length[0]
        np.testing.assert_allclose(ratio, ratio[:1].repeat(20, 0), rtol=2e-2)
        np.testing.assert_allclose(
            ratio[0], np.r_[1, ratio[0]][list(MEDIAPIPE_BODY25.mirror)][1:], rtol=2e-2
        )
        assert 0.69 < ratio.min() < ratio.max() < 1.31
