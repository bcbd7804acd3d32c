from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bhar_training.data.augment import AugmentConfig, augment
from bhar_training.data.batches import action_window, features_of, training_batches
from bhar_training.data.clip_set import ClipSet
from bhar_training.data.clips import load_clips
from bhar_training.data.negatives import NegativeKind
from bhar_training.data.placement import shown_part, window_end
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.landmarks.action import find_action, fits
from bharsdk.landmarks.landmarks import LandmarkSequence

FEATURES = FeatureConfig()
WINDOW_MS = FEATURES.window_ms
FRAME_MS = 1000 / 15
SIGN_MS = (20 * FRAME_MS, 39 * FRAME_MS)


@pytest.fixture(scope="module")
def short() -> ClipSet:
    """Clips of one signer, 20 frames each, as long as a window."""
    return load_clips(Path(__file__).parents[2] / "data" / "words.npz").of_signers(["s2"])


@pytest.fixture(scope="module")
def long(short: ClipSet) -> ClipSet:
    """Each of them between 20 idle frames of the same signer before and after: 4 s."""
    idle = [clip for clip, label in zip(short.sequences, short.labels, strict=True) if label == "-"]
    made = [_between(clip, idle[0], idle[1]) for clip in short.sequences]
    return replace(short, sequences=tuple(made))


def _between(
    clip: LandmarkSequence, before: LandmarkSequence, after: LandmarkSequence
) -> LandmarkSequence:
    return LandmarkSequence(
        np.arange(60) * FRAME_MS,
        np.concatenate([before.body, clip.body, after.body]),
        np.concatenate([before.hands, clip.hands, after.hands]),
        clip.aspect,
    )


def _signs(clips: ClipSet) -> list[LandmarkSequence]:
    return [x for x, label in zip(clips.sequences, clips.labels, strict=True) if label != "-"]


def _shares(clip: LandmarkSequence, config: AugmentConfig, seed: int) -> tuple[float, float]:
    """(of the sign in one drawn window, the most that a window of its speed can hold)."""
    random = np.random.default_rng(seed)
    changed, end_ms = augment(clip, config, random)
    action = find_action(clip, WINDOW_MS)
    end_ms = window_end(clip, changed, end_ms, action, config.crop, WINDOW_MS, random)
    slower = changed.timestamps_ms[-1] / clip.timestamps_ms[-1]
    start, end = SIGN_MS[0] * slower, SIGN_MS[1] * slower
    seen = max(0.0, min(end, end_ms) - max(start, end_ms - WINDOW_MS)) / (end - start)
    return seen, min(1.0, WINDOW_MS / (end - start))


@pytest.mark.parametrize("crop", [0.0, 1.0])
def test_every_training_window_of_a_long_clip_shows_the_sign(long: ClipSet, crop: float) -> None:
    """Whatever is drawn; a sign that is played twice as slowly is longer than a window."""
    config = AugmentConfig(crop=crop)
    found = [_shares(clip, config, seed) for clip in _signs(long) for seed in range(30)]
    seen, most = np.array(found).T
    assert (seen / most).min() >= 0.6
    assert seen.mean() >= 0.8


def test_evaluation_looks_at_the_action_of_long_clips(long: ClipSet, short: ClipSet) -> None:
    """The window of the trimmed clip, but for two frames and the held ends."""
    for clip in _signs(long):
        middle_ms = find_action(clip, WINDOW_MS).middle_ms
        assert abs(middle_ms - sum(SIGN_MS) / 2) <= 3 * FRAME_MS
    inputs = features_of(long, FEATURES)
    for i in (0, len(long) - 1):
        window = action_window(long.sequences[i], FEATURES)
        np.testing.assert_array_equal(inputs["body"][i].numpy(), window.body)
        np.testing.assert_array_equal(inputs["hands"][i].numpy(), window.hands)


def test_clips_that_fit_are_trained_on_as_before(short: ClipSet) -> None:
    """The window of every draw ends with the clip, give or take ``shift_s``."""
    config = AugmentConfig()
    for seed, clip in enumerate(short.sequences):
        assert fits(clip, WINDOW_MS)
        changed, end_ms = augment(clip, config, np.random.default_rng(seed))
        random = np.random.default_rng(0)
        assert window_end(clip, changed, end_ms, None, 0.0, WINDOW_MS, random) == end_ms
        assert random.random() == np.random.default_rng(0).random()
        assert shown_part(clip, 0.0, WINDOW_MS) is clip


def test_negatives_are_made_of_the_action_of_long_clips(long: ClipSet) -> None:
    """A sign that was only begun shows hands: it is not begun in the idle second before."""
    for clip in _signs(long):
        part = shown_part(clip, 0.0, WINDOW_MS)
        assert np.isfinite(part.hands[:, :, 0, 0]).any(axis=1).mean() >= 0.8
        assert 18 <= len(part) <= 21
    config = AugmentConfig(negative=1.0, lose_hand=0.0, negatives=(NegativeKind.BEGUN,))
    signs = long.where(lambda i: long.labels[i] in ("hello", "tea"))
    classes = ("-", "hello", "tea")
    (batch,) = training_batches(signs, classes, FEATURES, config, len(signs), "-", (0, 0))
    begun = batch[0]["hands"][batch[1] == 0]
    assert len(begun) >= 2
    assert (begun[:, -1].mean((1, 2)).max(1).values >= 0.6).all()


def test_any_part_of_a_long_clip_of_no_sign_is_trained_on(long: ClipSet) -> None:
    """Live all of it is seen; hands are up in its first half alone."""
    idle = long.where(lambda i: long.labels[i] == "-")
    hands = np.full_like(idle.sequences[0].hands, np.nan)
    hands[:30] = 0.5 + np.arange(63, dtype=np.float32).reshape(21, 3) / 100
    clips = replace(idle, sequences=tuple(c.replaced(hands=hands) for c in idle.sequences))
    config = AugmentConfig(lose_hand=0.0, negative=0.0)
    batches = training_batches(clips, ("-",), FEATURES, config, len(clips), "-", (0, 0), 40)
    shares = np.concatenate([x["hands"][:, -1].mean((1, 2, 3)).numpy() for x, _ in batches])
    assert shares.min() == 0
    assert shares.max() == 1
