from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk.bundle.feature_config import FeatureConfig, Modality
from bharsdk.errors import InputError
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.landmarks.skeleton import MEDIAPIPE_BODY25, MEDIAPIPE_HAND21
from bharsdk.recognition.features import Features, extract

CONFIG = FeatureConfig()
RNG = np.random.default_rng(11)
POSE = RNG.uniform(-0.2, 0.2, (33, 3))
POSE[11], POSE[12] = (0.15, -0.1, 0.02), (-0.15, -0.1, -0.02)
HANDS = POSE[[15, 16]][:, None] + RNG.uniform(-0.05, 0.05, (2, 21, 3))
BODY_MOTION, HAND_MOTION = RNG.uniform(-0.1, 0.1, (33, 3)), RNG.uniform(-0.1, 0.1, (2, 21, 3))
VISIBILITY = RNG.uniform(0.3, 1.0, (33, 1))


def _moving(
    fps: float = 30.0,
    seconds: float = 2.0,
    aspect: float = 16 / 9,
    place: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] = lambda points: points,
) -> LandmarkSequence:
    """A person whose every joint moves evenly; ``place`` maps points in image heights."""
    times = np.arange(round(seconds * fps) + 1) / fps
    step = times[:, None, None]
    to_image = np.array([1 / aspect, 1.0, 1 / aspect])
    body = place(POSE + step * BODY_MOTION) * to_image
    hands = place(HANDS + step[..., None] * HAND_MOTION) * to_image
    visibility = np.broadcast_to(VISIBILITY, (len(times), 33, 1))
    return LandmarkSequence(times * 1000, np.concatenate([body, visibility], 2), hands, aspect)


def _without_hand(clip: LandmarkSequence, lost: slice, side: int = 0) -> LandmarkSequence:
    hands = clip.hands.copy()
    hands[lost, side] = np.nan
    return clip.replaced(hands=hands)


def _assert_equal(one: Features, other: Features, atol: float = 2e-4) -> None:
    np.testing.assert_allclose(one.body, other.body, atol=atol)
    np.testing.assert_allclose(one.hands, other.hands, atol=atol)


def test_position_in_the_image_does_not_matter() -> None:
    """A step aside, down or back gives the same features."""
    _assert_equal(
        extract(_moving(place=lambda p: p + np.array([0.4, 0.3, -0.2])), CONFIG), REFERENCE
    )


@pytest.mark.parametrize("scale", [0.4, 2.5])
def test_distance_to_the_camera_does_not_matter(scale: float) -> None:
    """The same gesture smaller or larger in the image gives the same features."""
    _assert_equal(extract(_moving(place=lambda p: p * scale), CONFIG), REFERENCE)


@pytest.mark.parametrize("aspect", [9 / 16, 1.0, 4 / 3, 2.4])
def test_image_aspect_does_not_matter(aspect: float) -> None:
    """The same person filmed in another format, with the aspect noted, gives the same features."""
    _assert_equal(extract(_moving(aspect=aspect), CONFIG), REFERENCE)


def test_an_aspect_that_is_wrong_does_matter() -> None:
    """So the tests above can fail."""
    wrong = extract(_moving(aspect=4 / 3).replaced(aspect=1.0), CONFIG)
    assert np.abs(wrong.body - REFERENCE.body).max() > 0.1


@pytest.mark.parametrize("fps", [15.0, 60.0])
def test_the_rate_of_the_camera_does_not_matter(fps: float) -> None:
    """Even motion seen 15, 30 or 60 times a second gives the same features."""
    _assert_equal(extract(_moving(fps=fps), CONFIG), REFERENCE)


def test_mirroring_swaps_sides_and_turns_x() -> None:
    """Features of a mirrored clip are the features with sides swapped and x negated."""
    flip = np.array([-1, 1, 1, -1, 1, 1, 1])[:, None, None, None]
    mirrored = extract(_moving().mirrored(), CONFIG)
    swapped = Features(
        (REFERENCE.body * flip)[:, :, MEDIAPIPE_BODY25.mirror],
        (REFERENCE.hands * flip)[:, :, MEDIAPIPE_HAND21.mirror, ::-1],
    )
    _assert_equal(mirrored, swapped)


def test_joints_and_bones_match_a_float64_reference() -> None:
    """Where frames fall on the model's times, written out plainly for body and hands."""
    config = FeatureConfig(fps=20, frames=12)
    clip = _moving(fps=20, seconds=11 / 20, aspect=1.5)
    found = extract(clip, config)
    metric = np.array([1.5, 1.0, 1.5])

    body = clip.body[:, :25, :3].astype(np.float64) * metric
    shoulders = body[:, 11], body[:, 12]
    width = np.median(np.hypot(*(shoulders[0] - shoulders[1])[:, :2].T))
    body = (body - np.median((shoulders[0] + shoulders[1]) / 2, axis=0)) / width
    bone = body - body[:, MEDIAPIPE_BODY25.parents]
    np.testing.assert_allclose(found.body[:3, ..., 0], body.transpose(2, 0, 1), atol=2e-5)
    np.testing.assert_allclose(found.body[3:6, ..., 0], bone.transpose(2, 0, 1), atol=2e-5)
    np.testing.assert_allclose(found.body[6, ..., 0], clip.body[:, :25, 3], atol=1e-6)

    for side in range(2):
        hand = clip.hands[:, side].astype(np.float64) * metric
        hand -= hand[:, :1]
        bone = hand - hand[:, MEDIAPIPE_HAND21.parents]
        length = np.median(np.linalg.norm(bone, axis=2).sum(1)) / 20 * 4
        expected = np.concatenate([hand / length, bone / length], 2).transpose(2, 0, 1)
        np.testing.assert_allclose(found.hands[:6, ..., side], expected, atol=2e-5)
        assert (found.hands[6, ..., side] == 1).all()


def test_a_hand_lost_for_a_moment_is_interpolated() -> None:
    """Two frames at 15 a second are a gap of 200 ms, shorter than max_gap_s."""
    clip = _moving(fps=15)
    lost = extract(_without_hand(clip, slice(20, 22)), CONFIG)
    _assert_equal(lost, extract(clip, CONFIG))


def test_a_hand_lost_for_long_is_zero_and_marked_missing() -> None:
    """Zeros in every channel and in presence; the rest of the window and the other hand stay."""
    clip = _moving(fps=15)
    found = extract(_without_hand(clip, slice(18, 25)), CONFIG)
    times = clip.timestamps_ms[-1] - np.arange(CONFIG.frames)[::-1] * 1000 / CONFIG.fps
    present = found.hands[6, :, 0, 0]
    inside = (times > clip.timestamps_ms[17] + 20) & (times < clip.timestamps_ms[25] - 20)
    outside = (times <= clip.timestamps_ms[17]) | (times >= clip.timestamps_ms[25])
    assert inside.any()
    assert outside.any()
    assert (present[inside] == 0).all()
    assert (present[outside] == 1).all()
    assert (found.hands[:, inside, :, 0] == 0).all()
    assert (found.hands[6, :, :, 1] == 1).all()


def test_a_hand_that_leaves_is_held_for_half_the_longest_gap() -> None:
    """Whether it comes back is not known yet; after that it is missing."""
    clip = _moving(fps=50)
    found = extract(_without_hand(clip, slice(81, None)), FeatureConfig(fps=50, max_gap_s=0.3))
    present = found.hands[6, :, 0, 0]
    last = CONFIG.frames - 1 - 20
    np.testing.assert_array_equal(present[: last + 8], 1)
    np.testing.assert_array_equal(present[last + 8 :], 0)


def test_a_hand_that_comes_or_goes_does_not_leap() -> None:
    """Motion is 0 where either frame is missing; elsewhere it is what it would be."""
    config = FeatureConfig(modalities=(Modality.JOINT_MOTION, Modality.BONE_MOTION))
    clip = _moving(fps=15)
    found = extract(_without_hand(clip, slice(18, 25)), config)
    whole = extract(clip, config)
    present = found.hands[6, :, 0, 0] == 1
    assert 0 < present.sum() < len(present)
    both = present & np.concatenate([[False], present[:-1]])
    assert not found.hands[:6, ~both, :, 0].any()
    np.testing.assert_allclose(found.hands[:6, both, :, 0], whole.hands[:6, both, :, 0], atol=5e-3)


def test_a_body_lost_for_long_is_marked_missing_too() -> None:
    """Nobody in the picture is no pose at the origin."""
    clip = _moving(fps=15)
    body = clip.body.copy()
    body[18:25] = np.nan
    found = extract(clip.replaced(body=body), CONFIG)
    missing = found.body[6, :, 0, 0] == 0
    assert 0 < missing.sum() < CONFIG.frames
    assert (found.body[:, missing] == 0).all()
    across = (found.body[:2, :, 11, 0] - found.body[:2, :, 12, 0])[:, ~missing]
    assert np.median(np.hypot(*across)) == pytest.approx(1.0, abs=1e-4)


def test_nobody_at_all_gives_finite_zeros() -> None:
    """A clip in which nothing was ever detected."""
    clip = _moving()
    nobody = clip.replaced(body=np.full_like(clip.body, np.nan), hands=clip.hands * np.nan)
    found = extract(nobody, CONFIG)
    assert not found.body.any()
    assert not found.hands.any()


def test_a_person_seen_from_the_side_gives_finite_features() -> None:
    """Shoulders one behind the other have no width to divide by."""
    clip = _moving()
    body = clip.body.copy()
    body[:, 12, :3] = body[:, 11, :3]
    found = extract(clip.replaced(body=body, hands=clip.hands * 0 + 0.5), CONFIG)
    assert np.isfinite(found.body).all()
    assert np.isfinite(found.hands).all()
    assert np.abs(found.body).max() < 100


def test_a_window_beyond_the_clip_holds_its_edge() -> None:
    """Before the first and after the last frame the nearest one stands still."""
    clip = _moving()
    end = float(clip.timestamps_ms[-1])
    late, early = extract(clip, CONFIG, end + 60_000), extract(clip, CONFIG, -60_000)
    for found, index in ((late, -1), (early, 0)):
        np.testing.assert_array_equal(found.body, np.repeat(found.body[:, :1], 24, axis=1))
        one = clip.replaced(timestamps_ms=[0.0], body=clip.body[[index]], hands=clip.hands[[index]])
        _assert_equal(found, extract(one, CONFIG), atol=1e-6)
    half = extract(clip, CONFIG, end + 500)
    np.testing.assert_array_equal(half.hands[:, -9:], np.repeat(half.hands[:, -1:], 9, axis=1))
    assert (half.hands[:, -12] != half.hands[:, -1]).any()


def test_the_window_ends_with_the_clip_unless_told() -> None:
    """The default end is the last frame; another end moves the window."""
    clip = _moving()
    _assert_equal(extract(clip, CONFIG, float(clip.timestamps_ms[-1])), REFERENCE, atol=0)
    assert np.abs(extract(clip, CONFIG, 1500.0).hands - REFERENCE.hands).max() > 1e-3


def test_what_lies_before_the_window_does_not_matter() -> None:
    """Only frames that the window reaches count, so a stream may forget the others."""
    clip = _moving(fps=30, seconds=4)
    start = 70
    part = clip.replaced(
        timestamps_ms=clip.timestamps_ms[start:], body=clip.body[start:], hands=clip.hands[start:]
    )
    _assert_equal(extract(part, CONFIG), extract(clip, CONFIG), atol=0)


@pytest.mark.parametrize(
    ("modalities", "presence"),
    [
        ((Modality.JOINT,), False),
        ((Modality.BONE,), True),
        ((Modality.BONE, Modality.JOINT), True),
        ((Modality.BONE_MOTION, Modality.JOINT, Modality.JOINT_MOTION), True),
    ],
)
def test_channels_follow_the_configuration(
    modalities: tuple[Modality, ...], presence: bool
) -> None:
    """Three per modality in the order given, then presence; contiguous float32."""
    config = FeatureConfig(modalities=modalities, presence=presence)
    found = extract(_moving(), config)
    assert found.body.shape == (config.channels, config.frames, 25, 1)
    assert found.hands.shape == (config.channels, config.frames, 21, 2)
    order = {Modality.JOINT: slice(0, 3), Modality.BONE: slice(3, 6)}
    still = {Modality.JOINT_MOTION: Modality.JOINT, Modality.BONE_MOTION: Modality.BONE}
    for i, modality in enumerate(modalities):
        block = slice(3 * i, 3 * i + 3)
        for part, reference in ((found.body, REFERENCE.body), (found.hands, REFERENCE.hands)):
            expected = reference[order[still.get(modality, modality)]]
            if modality in still:
                expected = np.diff(expected, axis=1, prepend=expected[:, :1])
            np.testing.assert_array_equal(part[block], expected)
    if presence:
        np.testing.assert_array_equal(found.body[-1], REFERENCE.body[-1])
    for array in (found.body, found.hands):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous


@pytest.mark.parametrize("end_ms", [float("nan"), float("inf")])
def test_a_window_end_that_is_no_time_is_refused(end_ms: float) -> None:
    """Milliseconds, finite."""
    with pytest.raises(InputError, match="window end"):
        extract(_moving(), CONFIG, end_ms)


@pytest.mark.parametrize(
    "changes",
    [
        {"fps": 0.5},
        {"fps": float("nan")},
        {"frames": 1},
        {"frames": 5000},
        {"max_gap_s": -0.1},
        {"modalities": ()},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    """When it is made, not when it is used."""
    with pytest.raises(InputError, match="features"):
        FeatureConfig(**changes)


@st.composite
def _clips(draw: st.DrawFn) -> LandmarkSequence:
    frames = draw(st.integers(1, 30))
    gaps = draw(st.lists(st.floats(1, 300), min_size=frames, max_size=frames))
    seen = np.array(
        draw(st.lists(st.tuples(*[st.booleans()] * 3), min_size=frames, max_size=frames))
    )
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    body = random.random((frames, 33, 4), np.float32)
    hands = random.random((frames, 2, 21, 3), np.float32)
    body[~seen[:, 0]], hands[~seen[:, 1:]] = np.nan, np.nan
    return LandmarkSequence(np.cumsum(gaps), body, hands, draw(st.floats(0.5, 2.5)))


@settings(max_examples=60, deadline=None)
@given(
    _clips(),
    st.floats(5, 60),
    st.integers(2, 40),
    st.floats(0.04, 1),
    st.floats(-1000, 10_000),
)
def test_any_clip_gives_finite_features_that_hold_nothing_too_long(
    clip: LandmarkSequence, fps: float, frames: int, max_gap_s: float, end_ms: float
) -> None:
    """Shapes as configured; missing is zero; present only within half max_gap_s of a detection."""
    config = FeatureConfig(fps=fps, frames=frames, max_gap_s=max_gap_s)
    found = extract(clip, config, end_ms)
    assert found.body.shape == (7, frames, 25, 1)
    assert found.hands.shape == (7, frames, 21, 2)
    assert np.isfinite(found.body).all()
    assert np.isfinite(found.hands).all()
    presence = found.hands[6, :, 0]
    assert set(np.unique(presence)) <= {0.0, 1.0}
    times = end_ms - np.arange(frames)[::-1] * 1000 / fps
    times = np.clip(times, clip.timestamps_ms[0], clip.timestamps_ms[-1])
    for side in range(2):
        missing = presence[:, side] == 0
        assert not found.hands[:, missing, :, side].any()
        detected = clip.timestamps_ms[~np.isnan(clip.hands[:, side, 0, 0])]
        if len(detected) == 0:
            assert missing.all()
            continue
        nearest = np.abs(times[:, None] - detected).min(1)
        assert (nearest[~missing] <= max_gap_s * 500 + 1e-6).all()
        assert not missing[nearest < 1e-6].any()


REFERENCE = extract(_moving(), CONFIG)
