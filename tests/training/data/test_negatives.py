from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bhar_training.data.clips import load_clips
from bhar_training.data.negatives import NegativeKind, make_negative
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recognition.features import extract

WORDS = load_clips(Path(__file__).parents[2] / "data" / "words.npz")
ALL = tuple(NegativeKind)
METRIC = np.array([16 / 9, 1.0, 16 / 9], np.float32)


def _clip(label: str) -> LandmarkSequence:
    return WORDS.sequences[WORDS.labels.index(label)]


COFFEE, HELLO, NO, TEA = (_clip(label) for label in ("coffee", "hello", "no", "tea"))


def _wave(frames: int = 20) -> LandmarkSequence:
    """``hello`` with a right hand that crosses the picture: a sign that is sure to move."""
    way = np.linspace(0, 0.5, frames, dtype=np.float32)[:, None, None] * np.array([1, 0, 0])
    hands = np.repeat(HELLO.hands[10:11], frames, axis=0)
    hands[:, 1] += way
    return HELLO.replaced(hands=hands.astype(np.float32))


def _made(
    kind: NegativeKind, clip: LandmarkSequence, other: LandmarkSequence, seed: int = 0
) -> LandmarkSequence:
    made = make_negative(clip, other, (kind,), np.random.default_rng(seed))
    assert made is not None
    return made


@pytest.mark.parametrize("kind", NegativeKind)
@pytest.mark.parametrize("frames", [1, 2, 20])
def test_every_kind_gives_a_clip_that_can_be_used_or_none(kind: NegativeKind, frames: int) -> None:
    """As long as the first clip, with finite features; the recording is not changed."""
    whole = _wave()
    clip = whole.replaced(
        timestamps_ms=whole.timestamps_ms[:frames],
        body=whole.body[:frames],
        hands=whole.hands[:frames],
    )
    body, hands = clip.body.copy(), clip.hands.copy()
    for seed in range(5):
        for other in (TEA, clip):
            made = make_negative(clip, other, (kind,), np.random.default_rng(seed))
            if made is not None:
                assert len(made) == frames
                found = extract(made, FeatureConfig(frames=6))
                assert np.isfinite(found.body).all()
                assert np.isfinite(found.hands).all()
    np.testing.assert_array_equal(clip.body, body)
    np.testing.assert_array_equal(clip.hands, hands)


@pytest.mark.parametrize("kind", [NegativeKind.FROZEN, NegativeKind.BEGUN, NegativeKind.REVERSED])
def test_a_sign_that_is_a_pose_is_not_held_or_reversed(kind: NegativeKind) -> None:
    """That would be the sign itself, taught to be none."""
    still = NO.replaced(
        body=np.repeat(NO.body[:1], 20, axis=0), hands=np.repeat(NO.hands[9:10], 20, axis=0)
    )
    assert make_negative(still, TEA, (kind,), np.random.default_rng(0)) is None
    assert make_negative(_wave(), TEA, (kind,), np.random.default_rng(0)) is not None


def test_frozen_begun_and_reversed_play_frames_of_the_clip() -> None:
    """One frame for good; a first third, then its last frame; all of them backwards."""
    clip = _wave()
    at = {float(x): i for i, x in enumerate(clip.hands[:, 1, 0, 0])}

    def played(kind: NegativeKind) -> list[int]:
        return [at[float(x)] for x in _made(kind, clip, TEA).hands[:, 1, 0, 0]]

    assert len(set(played(NegativeKind.FROZEN))) == 1
    begun = played(NegativeKind.BEGUN)
    assert begun == [min(i, begun[-1]) for i in range(20)]
    assert begun[-1] < 7
    assert played(NegativeKind.REVERSED) == list(range(19, -1, -1))


def test_a_seam_has_less_than_two_thirds_of_either_clip() -> None:
    """The end of one, then the beginning of the other."""
    for seed in range(20):
        made = _made(NegativeKind.SEAM, COFFEE, TEA, seed)
        first = (made.body == COFFEE.body[-1:]).all((1, 2))
        (cut,) = np.flatnonzero(first)[-1:] + 1
        assert 8 <= cut <= 12
        np.testing.assert_array_equal(made.body[:cut], COFFEE.body[20 - cut :])
        np.testing.assert_array_equal(made.body[cut:], TEA.body[: 20 - cut])


def test_a_transition_leads_from_one_pose_to_another() -> None:
    """Its ends are frames of the two clips, and it does not leap."""
    made = _made(NegativeKind.TRANSITION, COFFEE, TEA, 1)
    ends = (made.body[0], COFFEE.body), (made.body[-1], TEA.body)
    for pose, clip in ends:
        assert np.abs(pose - clip).max(axis=(1, 2)).min() < 1e-6
    steps = np.abs(np.diff(made.body, axis=0)).max(axis=(1, 2))
    assert steps.max() < 0.5 * np.abs(made.body[-1] - made.body[0]).max()


def test_a_blend_lies_between_both_clips() -> None:
    """Near the middle of either, in every frame."""
    made = _made(NegativeKind.BLENDED, COFFEE, TEA)
    whole = TEA.body - COFFEE.body
    part = (made.body - COFFEE.body)[np.abs(whole) > 0.05] / whole[np.abs(whole) > 0.05]
    assert 0.39 < part.min() < part.max() < 0.61


def test_hands_are_exchanged_only_for_others_of_another_shape() -> None:
    """They hang where the hands were; a clip's own hands would leave the sign as it is."""
    kind = (NegativeKind.OTHER_HANDS,)
    assert make_negative(COFFEE, COFFEE, kind, np.random.default_rng(0)) is None
    made = _made(NegativeKind.OTHER_HANDS, NO, HELLO)
    np.testing.assert_array_equal(made.body, NO.body)
    both = np.isfinite(made.hands)
    assert both.any()
    np.testing.assert_allclose(made.hands[:, :, 0][both[:, :, 0]], NO.hands[:, :, 0][both[:, :, 0]])


def test_contorted_hands_keep_their_bones() -> None:
    """Lengths stay, directions do not: another gesture of the same hand."""
    made = _made(NegativeKind.CONTORTED, COFFEE, TEA)

    def lengths(clip: LandmarkSequence) -> np.ndarray:
        points = clip.hands * METRIC
        fingers = [points[:, :, i] - points[:, :, i - 1] for i in (6, 7, 8, 10, 11, 12)]
        return np.linalg.norm(np.stack(fingers), axis=-1)

    np.testing.assert_allclose(lengths(made), lengths(COFFEE), rtol=2e-3, atol=1e-5)
    shapes = [(clip.hands - clip.hands[:, :, :1])[:, 1] for clip in (made, COFFEE)]
    assert np.nanmax(np.abs(shapes[0] - shapes[1])) > 0.02


def test_a_wandering_hand_stays_within_reach_and_on_its_arm() -> None:
    """It moves smoothly between lap and head, the wrist of the body with it."""
    for seed in range(10):
        made = _made(NegativeKind.WANDER, COFFEE, TEA, seed)
        moved = [
            side
            for side in range(2)
            if np.isfinite(made.hands[:, side]).all()
            and not np.array_equal(made.hands[:, side], COFFEE.hands[:, side])
        ]
        assert moved
        for side in moved:
            wrist = made.body[:, 15 + side, :2] * METRIC[:2]
            np.testing.assert_allclose(made.hands[:, side, 0, :2] * METRIC[:2], wrist, atol=1e-4)
            width = np.linalg.norm(
                (COFFEE.body[:, 11] - COFFEE.body[:, 12])[:, :2] * METRIC[:2], axis=1
            )
            away = (wrist - made.body[:, 11 + side, :2] * METRIC[:2]) / np.median(width)
            assert (np.abs(away[:, 0]) < 1.1).all()
            assert (away[:, 1] > -1.3).all()
            assert (away[:, 1] < 1.6).all()


def test_kinds_that_are_switched_off_are_not_made() -> None:
    """No kind at all: no negative."""
    assert make_negative(COFFEE, TEA, (), np.random.default_rng(0)) is None
