from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bhar_training.data.clip_set import ClipSet
from bhar_training.data.clips import load_clips
from bhar_training.data.degrade import drop_hands, lose_hand
from bharsdk.errors import UsageError


@pytest.fixture(scope="module")
def clips() -> ClipSet:
    """The fixture: 48 clips of 20 frames."""
    return load_clips(Path(__file__).parents[2] / "data" / "words.npz")


def _seen(clips: ClipSet) -> np.ndarray:
    return np.stack([~np.isnan(clip.hands[:, :, 0, 0]) for clip in clips.sequences])


def test_hands_are_dropped_from_their_part_of_the_frames(clips: ClipSet) -> None:
    """Of those that were seen; the rest, the bodies and the labels stay as they were."""
    before, worse = _seen(clips), drop_hands(clips, 0.3)
    after = _seen(worse)
    assert not (after & ~before).any()
    assert (before & ~after).sum() / before.sum() == pytest.approx(0.3, abs=0.03)
    assert worse.labels == clips.labels
    for one, other in zip(worse.sequences, clips.sequences, strict=True):
        np.testing.assert_array_equal(one.body, other.body)
    np.testing.assert_array_equal(_seen(drop_hands(clips, 0.3)), after)


def test_one_hand_is_never_seen(clips: ClipSet) -> None:
    """And the other as before."""
    for i, side in enumerate(("left", "right")):
        after = _seen(lose_hand(clips, side))
        assert not after[..., i].any()
        np.testing.assert_array_equal(after[..., 1 - i], _seen(clips)[..., 1 - i])


def test_what_cannot_be_done_is_a_usage_error(clips: ClipSet) -> None:
    """A part beyond one, a third hand."""
    with pytest.raises(UsageError, match=r"got 1\.5, expected a part from 0 to 1"):
        drop_hands(clips, 1.5)
    with pytest.raises(UsageError, match="'both', expected left or right"):
        lose_hand(clips, "both")
