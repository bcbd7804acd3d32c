from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bhar_training.data.clips import load_clips
from bhar_training.data.hand_preprocessing import (
    DetectedHand,
    HandClip,
    HandFrame,
    Side,
    prepare_hands,
)
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import InputError
from bharsdk.recognition.features import extract

LETTERS = Path(__file__).parents[2] / "data" / "letters.npz"
SHAPE = np.random.default_rng(7).normal(0, 20, (21, 3)).astype(np.float32)
SHAPE -= SHAPE[0]  # the wrist is the origin
LENGTH = DetectedHand(SHAPE, Side.LEFT).length
FRAMES = 12
seeds = st.integers(0, 2**32 - 1)


def _hand(x: float, y: float, side: Side, **more: float | int | None) -> DetectedHand:
    """A hand of one shape, its wrist at x, y pixels."""
    return DetectedHand(SHAPE + np.array([x, y, 0], np.float32), side, **more)


def _fist(x: float, y: float, side: Side, **more: float | int | None) -> DetectedHand:
    """Another shape there, to tell two hands apart."""
    return DetectedHand(SHAPE[:, ::-1] + np.array([x, y, 0], np.float32), side, **more)


def _looks_like(found: HandClip, side: Side, hand: DetectedHand) -> bool:
    """Whether that hand is seen on that side in every frame."""
    shape = (hand.joints - hand.joints[0]) / hand.length
    mine = found.joints[:, :, :21, side.value].transpose(1, 2, 0)
    return bool(np.allclose(mine, shape, atol=1e-4))


def _scene(seed: int, people: int = 3, lost: float = 0.2, bodies: bool = True) -> list[HandFrame]:
    """People far apart, both hands of each moving, hands and wrists lost and sides mistaken."""
    random = np.random.default_rng(seed)
    frames = []
    at = np.array([[[900 * p + 300 * s, 500] for s in range(2)] for p in range(people)], float)
    for _ in range(FRAMES):
        at = at + random.normal(0, 4, at.shape) * (1 + np.arange(people))[:, None, None]
        hands = []
        for p, s in np.ndindex(people, 2):
            if random.random() >= lost:
                side = Side(s if random.random() < 0.8 else 1 - s)
                near = at[p, s] + random.normal(0, 2, 2)
                hands.append(_hand(*near, side, score=random.random()))
        wrists = {p: at[p].astype(np.float32) for p in range(people) if random.random() >= lost / 2}
        frames.append(HandFrame(tuple(hands), wrists if bodies else {}))
    return frames


def _equal(a: HandClip, b: HandClip) -> None:
    np.testing.assert_array_equal(a.joints, b.joints)
    np.testing.assert_array_equal(a.presence, b.presence)
    np.testing.assert_array_equal(a.detected, b.detected)


@given(seeds, st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_order_of_detection_decides_nothing(seed: int, bodies: bool) -> None:
    """Any order of hands and bodies within each frame gives the same input, to the bit."""
    random, scene = np.random.default_rng(seed), _scene(seed, bodies=bodies)
    shuffled = []
    for frame in scene:
        hands = tuple(frame.hands[i] for i in random.permutation(len(frame.hands)))
        order = random.permutation(list(frame.wrists))
        shuffled.append(HandFrame(hands, {int(p): frame.wrists[int(p)] for p in order}))
    _equal(prepare_hands(scene), prepare_hands(shuffled))


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_the_numbers_of_persons_decide_nothing(seed: int) -> None:
    """The same person is chosen under another number."""
    names = np.random.default_rng(seed).permutation(100)[:3].tolist()
    scene = _scene(seed)
    renamed = [
        replace(frame, wrists={names[p]: w for p, w in frame.wrists.items()}) for frame in scene
    ]
    found, again = prepare_hands(scene), prepare_hands(renamed)
    _equal(found, again)
    assert found.person is not None
    assert again.person == names[found.person]


@given(seeds, st.integers(0, 1))
@settings(max_examples=30, deadline=None)
def test_who_moves_most_is_chosen(seed: int, mover: int) -> None:
    """By hands and wrists summed over the clip, not by who is seen first or surest."""
    random = np.random.default_rng(seed)
    frames = []
    for t in range(FRAMES):
        x = np.array([[100.0, 400.0], [1100.0, 1400.0]])
        x[mover] += 8 * t
        x[1 - mover] += random.normal(0, 0.5)
        hands = tuple(
            _hand(x[p, s], 0, Side(s), score=1.0 if p != mover else 0.5)
            for p, s in np.ndindex(2, 2)
        )
        frames.append(HandFrame(hands, {p: np.stack([x[p], [0, 0]], axis=1) for p in range(2)}))
    assert prepare_hands(frames).person == mover


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_a_gap_lies_on_the_line_between_its_ends(seed: int) -> None:
    """Of hands that move and turn evenly, lost frames come back as they were; edges are held."""
    random = np.random.default_rng(seed)
    turned = SHAPE + random.normal(0, 3, SHAPE.shape).astype(np.float32)
    turned -= turned[0]

    def at(t: float) -> DetectedHand:
        return DetectedHand(SHAPE + (turned - SHAPE) * np.float32(t / FRAMES) + t, Side.RIGHT)

    kept = np.sort(random.permutation(FRAMES)[: random.integers(2, FRAMES)])
    whole = [HandFrame((at(float(np.clip(t, kept[0], kept[-1]))),)) for t in range(FRAMES)]
    lossy = [frame if t in kept else HandFrame() for t, frame in enumerate(whole)]
    found, expected = prepare_hands(lossy), prepare_hands(whole)
    # The hand's unit is a median over detections; other frames, another median.
    unit = np.abs(expected.joints).max() / np.abs(found.joints).max()
    np.testing.assert_allclose(found.joints * unit, expected.joints, atol=2e-4)
    assert unit == pytest.approx(1, abs=0.1)
    np.testing.assert_array_equal(np.flatnonzero(found.detected[:, 1]), kept)
    np.testing.assert_array_equal(found.presence, expected.presence)


def test_a_hand_never_seen_is_zero_and_absent() -> None:
    """Also where nobody has any."""
    frames = [HandFrame((_hand(t, t, Side.LEFT),)) for t in range(5)]
    found = prepare_hands(frames)
    assert found.joints.shape == (3, 5, 25, 2)
    assert found.presence.shape == (5, 25, 2)
    assert not found.joints[..., 1].any()
    assert not found.presence[..., 1].any()
    assert found.presence[:, :21, 0].all()
    nobody = prepare_hands([HandFrame(wrists={3: np.zeros((2, 2))})] * 4)
    assert nobody.person is None
    assert not nobody.joints.any()
    assert not nobody.presence.any()


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_dummy_joints_fill_up_to_the_body(seed: int) -> None:
    """Zeros, without presence; the wrist of a hand is its origin; nothing is NaN."""
    found = prepare_hands(_scene(seed), joint_count=25)
    assert not found.joints[:, :, 21:].any()
    assert not found.presence[:, 21:].any()
    assert not found.joints[:, :, 0].any()
    assert np.isfinite(found.joints).all()
    assert prepare_hands(_scene(seed), joint_count=33).joints.shape[2] == 33


@pytest.mark.parametrize("bodies", [True, False])
def test_a_hand_that_jumps_sides_jumps_back(bodies: bool) -> None:
    """Body wrists say so, or, without a body, where the hands were before."""
    frames, mistaken = [], (4, 5, 8)
    for t in range(FRAMES):
        left, right = (300.0 + 2 * t, 100.0), (700.0 - 3 * t, 100.0)
        sides = (Side.RIGHT, Side.LEFT) if t in mistaken else (Side.LEFT, Side.RIGHT)
        hands = [_hand(*left, sides[0]), _fist(*right, sides[1])]
        if t == 8:
            hands = hands[1:]  # the right hand alone, called left
        frames.append(HandFrame(tuple(hands), {0: np.array([left, right])} if bodies else {}))
    found = prepare_hands(frames)
    assert found.detected[:, 0].tolist() == [t != 8 for t in range(FRAMES)]
    assert found.detected[:, 1].all()
    assert _looks_like(found, Side.LEFT, _hand(0, 0, Side.LEFT))
    assert _looks_like(found, Side.RIGHT, _fist(0, 0, Side.RIGHT))


def test_two_hands_of_one_side_become_both_sides() -> None:
    """The nearer to a wrist takes it; where nothing but the landmarker speaks, the surer keeps."""
    hand, fist = _hand(300, 0, Side.LEFT, score=0.9), _fist(600, 0, Side.LEFT, score=0.8)
    wrists = {0: np.array([[610.0, 0], [310.0, 0]])}
    swapped = prepare_hands([HandFrame((hand, fist), wrists)])
    assert _looks_like(swapped, Side.LEFT, fist)
    assert _looks_like(swapped, Side.RIGHT, hand)
    kept = prepare_hands([HandFrame((hand, fist))])
    assert _looks_like(kept, Side.LEFT, hand)
    assert _looks_like(kept, Side.RIGHT, fist)


def test_hands_go_to_the_nearest_wrist_and_no_wrist_takes_two() -> None:
    """The closest pair first; who comes too late takes the next wrist within reach."""
    unseen, frames = [np.nan, np.nan], []
    for t in range(4):
        wrists = {0: np.array([[0.0, 0.0], unseen]), 1: np.array([[150.0 + 5 * t, 0.0], unseen])}
        frames.append(HandFrame((_hand(40, 0, Side.LEFT), _fist(10, 0, Side.LEFT)), wrists))
    found = prepare_hands(frames)
    assert found.person == 1
    assert _looks_like(found, Side.LEFT, _hand(0, 0, Side.LEFT))


def test_a_hand_out_of_reach_is_nobody_s() -> None:
    """Further than two hands from every wrist; it is nearest to none."""
    wrists = {0: np.zeros((2, 2))}
    for lengths, seen in ((1.9, True), (2.1, False)):
        hand = _hand(lengths * LENGTH, 0, Side.LEFT)
        assert prepare_hands([HandFrame((hand,), wrists)]).detected.any() == seen


@pytest.mark.parametrize("mover", [3, 7])
def test_a_person_named_by_the_landmarker_is_believed(mover: int) -> None:
    """No wrist is asked; hands alone tell who moves."""
    frames = [
        HandFrame(tuple(_hand(20 * t * (p == mover), 0, Side.LEFT, person=p) for p in (3, 7)))
        for t in range(3)
    ]
    assert prepare_hands(frames).person == mover


def test_real_hands_get_the_coordinates_of_the_run_time() -> None:
    """A clip seen whole is normalized as ``extract`` does it: one definition of a hand's space."""
    clip = load_clips(LETTERS).sequences[2]
    config = FeatureConfig(fps=15.0, frames=len(clip))
    assert not np.isnan(clip.hands[:, 1]).any()
    metric = np.array([clip.aspect, 1, clip.aspect], np.float32)
    frames = [HandFrame((DetectedHand(hand * metric, Side.RIGHT),)) for hand in clip.hands[:, 1]]
    expected = extract(clip, config).hands[:3, ..., 1]
    np.testing.assert_allclose(prepare_hands(frames).joints[:, :, :21, 1], expected, atol=1e-5)


def test_what_is_no_hand_is_refused() -> None:
    """Shapes, values that are not finite, no frames, fewer joints than a hand has."""
    with pytest.raises(InputError, match=r"joints \[20, 3\]"):
        DetectedHand(SHAPE[:20], Side.LEFT)
    with pytest.raises(InputError, match="finite"):
        DetectedHand(SHAPE * np.nan, Side.LEFT)
    with pytest.raises(InputError, match="score"):
        DetectedHand(SHAPE, Side.LEFT, score=float("nan"))
    with pytest.raises(InputError, match="wrists"):
        HandFrame(wrists={0: np.zeros(2)})
    with pytest.raises(InputError, match="no frames"):
        prepare_hands([])
    with pytest.raises(InputError, match="at least 21"):
        prepare_hands([HandFrame()], joint_count=20)
