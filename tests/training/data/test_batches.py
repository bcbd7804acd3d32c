from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bhar_training.data.augment import AugmentConfig
from bhar_training.data.batches import (
    Batch,
    features_of,
    input_specs,
    split_blocks,
    training_batches,
)
from bhar_training.data.clip_set import ClipSet
from bhar_training.data.clips import load_clips
from bhar_training.data.skeleton_features import SkeletonFeatureConfig
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import UsageError

CONFIG = FeatureConfig(frames=8)


@pytest.fixture(scope="module")
def clips() -> ClipSet:
    """The fixture: 48 clips, eight of each label."""
    return load_clips(Path(__file__).parents[2] / "data" / "words.npz")


def _batches(clips: ClipSet, seed: tuple[int, int], negative: float = 0.1) -> list[Batch]:
    augment = AugmentConfig(negative=negative)
    return list(training_batches(clips, clips.classes, CONFIG, augment, 10, "-", seed))


def test_the_same_seed_gives_the_same_batches(clips: ClipSet) -> None:
    """Order and augmentation; another epoch or run gives others."""
    one, same = _batches(clips, (3, 1)), _batches(clips, (3, 1))
    for left, right in zip(one, same, strict=True):
        for a, b in zip(left, right, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
    for other in (_batches(clips, (3, 2)), _batches(clips, (4, 1))):
        assert not torch.equal(one[0][0]["body"], other[0][0]["body"])


def test_batches_are_whole_and_shaped_for_the_model(clips: ClipSet) -> None:
    """48 clips make four batches of ten; a set smaller than a batch makes one."""
    batches = _batches(clips, (0, 0))
    assert len(batches) == 4
    shapes = {name: spec.shape for name, spec in input_specs(CONFIG).items()}
    assert shapes == {"body": (7, 8, 25, 1), "hands": (7, 8, 21, 2)}
    for inputs, target in batches:
        assert {name: x.shape for name, x in inputs.items()} == {
            name: (10, *shape) for name, shape in shapes.items()
        }
        assert target.shape == (10,)
        assert all(x.isfinite().all() for x in inputs.values())
        assert 0 <= int(target.min()) <= int(target.max()) < 6
    (few,) = _batches(clips.take(range(4)), (0, 0))
    assert len(few[1]) == 4


def test_few_clips_are_drawn_more_than_once(clips: ClipSet) -> None:
    """An epoch of four clips still has its number of draws; more clips are all drawn."""
    few, config = clips.take(range(4)), AugmentConfig()
    made = training_batches(few, clips.classes, CONFIG, config, 10, None, (0, 0), 40)
    assert [len(target) for *_, target in made] == [10] * 4
    made = training_batches(clips, clips.classes, CONFIG, config, 10, None, (0, 0), 40)
    assert len(list(made)) == 4


def test_negatives_take_the_background_label(clips: ClipSet) -> None:
    """With probability one, all clips become "no sign"; with zero, none does."""
    always = torch.cat([target for *_, target in _batches(clips, (0, 0), negative=1.0)])
    assert (always == clips.classes.index("-")).all()
    signs = clips.where(lambda i: clips.labels[i] != "-")
    augment = AugmentConfig(negative=1.0)
    plain = training_batches(signs, clips.classes, CONFIG, augment, 10, None, (0, 0))
    assert not any((target == 0).any() for *_, target in plain)


def test_a_short_window_sees_all_of_the_action_when_cropped(clips: ClipSet) -> None:
    """Without crop it sees the middle alone; a clip no longer than the window is not cut."""
    ramp = np.linspace(0.0, 1.0, 20, dtype=np.float32)[:, None, None]
    held = []
    for clip in clips.sequences:  # a finger that points further and further to the right
        hands = np.zeros_like(clip.hands)
        hands[:, :, 1:] = 0.01
        hands[:, :, 8, 0] = 0.05 * ramp[..., 0]
        held.append(clip.replaced(hands=hands, body=np.full_like(clip.body, np.nan)))
    pointing = replace(clips, sequences=tuple(held))

    def seen(crop: float, frames: int) -> np.ndarray:
        """How far the hand points in the last frame of each window."""
        config = AugmentConfig(
            negative=0,
            lose_hand=0,
            time_warp=1,
            shift_s=0,
            crop=crop,
            mirror=0,
            jitter=0,
            rotation_rad=0,
            turn_rad=0,
            stretch=0,
        )
        features = FeatureConfig(frames=frames)
        made = training_batches(pointing, pointing.classes, features, config, 24, None, (0, 0))
        return np.concatenate([inputs["hands"][:, 0, -1, 8, 0].numpy() for inputs, _ in made])

    assert np.ptp(seen(0.0, 8)) == 0
    assert np.ptp(seen(1.0, 8)) > 0.5 * seen(1.0, 8).max()
    assert np.ptp(seen(1.0, 24)) == 0


def test_rare_labels_are_drawn_more_often_than_their_share(clips: ClipSet) -> None:
    """In proportion to the root of their number."""
    rare = clips.where(lambda i: clips.labels[i] == "tea" or clips.labels[i] == "no")
    few = [i for i in range(len(rare)) if rare.labels[i] == "tea"][:2]
    keep = rare.where(lambda i: rare.labels[i] == "no" or i in few)
    drawn = [
        target
        for epoch in range(30)
        for *_, target in training_batches(
            keep, keep.classes, CONFIG, AugmentConfig(), 10, None, (0, epoch)
        )
    ]
    share = float((torch.cat(drawn) == 1).float().mean())
    assert share == pytest.approx(2**0.5 / (2**0.5 + 8**0.5), abs=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_a_recording_block_is_never_split(clips: ClipSet, seed: int) -> None:
    """Clips of one block are all in training or all in validation; every clip is somewhere."""
    train, validation = split_blocks(clips, 0.3, seed)
    assert len(train) + len(validation) == len(clips)
    assert len(validation) > 0

    def blocks(part: ClipSet) -> set[tuple[str, str, int]]:
        return set(zip(part.labels, part.signers, part.blocks, strict=True))

    assert not blocks(train) & blocks(validation)
    assert train.classes == clips.classes


def test_a_label_of_a_single_block_stays_in_training(clips: ClipSet) -> None:
    """It could not be learnt otherwise."""
    blocks = tuple(
        7 if label == "tea" else block
        for label, block in zip(clips.labels, clips.blocks, strict=True)
    )
    one_signer = replace(clips, blocks=blocks, signers=("s1",) * len(clips))
    train, validation = split_blocks(one_signer, 0.5, 0)
    assert "tea" in train.labels
    assert "tea" not in validation.labels
    assert len(validation) > 0


def test_without_block_numbers_every_clip_is_a_block(clips: ClipSet) -> None:
    """So a folder of clips can be split too; a part of nothing holds nothing out."""
    unknown = replace(clips, blocks=(-1,) * len(clips))
    _, validation = split_blocks(unknown, 0.25, 0)
    assert len(validation) == 6 * 2
    train, nothing = split_blocks(unknown, 0.0, 0)
    assert len(train) == len(clips)
    assert len(nothing) == 0


def test_features_of_clips_keep_their_order(clips: ClipSet) -> None:
    """Without augmentation, the same every time."""
    inputs, again = features_of(clips, CONFIG), features_of(clips.take([5]), CONFIG)
    assert list(inputs) == ["body", "hands"]
    for name, x in inputs.items():
        np.testing.assert_array_equal(x[5], again[name][0])
        assert len(x) == len(clips)


def test_features_of_the_other_kind_of_clips_are_a_usage_error(clips: ClipSet) -> None:
    """Skeleton features for landmarks: named, not a crash."""
    config, names = SkeletonFeatureConfig("ntu25"), clips.classes
    with pytest.raises(UsageError, match="got MediaPipe landmarks, expected skeleton clips"):
        features_of(clips, config)
    with pytest.raises(UsageError, match="got MediaPipe landmarks, expected skeleton clips"):
        list(training_batches(clips, names, config, AugmentConfig(), 4, None, (0, 0)))
