from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bharsdk.errors import InputError
from bharsdk.landmarks.landmarks import DEFAULT_ASPECT, Landmarks, LandmarkSequence, pose_mirror
from bharsdk.landmarks.skeleton import MEDIAPIPE_BODY25

RNG = np.random.default_rng(7)


def _body(frames: int) -> Any:
    return RNG.random((frames, 33, 4), np.float32)


def _hands(frames: int) -> Any:
    return RNG.random((frames, 2, 21, 3), np.float32)


def _sequence(frames: int = 4, **changes: Any) -> LandmarkSequence:
    times = np.arange(frames) * 40.0
    parts = {"timestamps_ms": times, "body": _body(frames), "hands": _hands(frames), **changes}
    return LandmarkSequence(**parts)


def test_hands_alone_are_read_without_a_body() -> None:
    """126 values: no body is detected, the hands are those of the longer form."""
    whole = RNG.random((5, 258), np.float32) + 0.1
    hands = LandmarkSequence.from_flat(whole[:, 132:], fps=15)
    assert np.isnan(hands.body).all()
    np.testing.assert_array_equal(hands.hands, LandmarkSequence.from_flat(whole, fps=15).hands)


def test_both_public_layouts_are_detected() -> None:
    """1,662 values are 258 with the face mesh between pose and hands."""
    short = RNG.random((5, 258), np.float32) + 0.1
    long = np.concatenate(
        [short[:, :132], RNG.random((5, 1404), np.float32), short[:, 132:]], axis=1
    )
    one = LandmarkSequence.from_flat(short, fps=20)
    other = LandmarkSequence.from_flat(long, fps=20)
    np.testing.assert_array_equal(one.body, other.body)
    np.testing.assert_array_equal(one.hands, other.hands)
    np.testing.assert_array_equal(one.body[:, 1], short[:, 4:8])
    np.testing.assert_array_equal(one.hands[:, 1, 0], short[:, 195:198])
    np.testing.assert_array_equal(one.timestamps_ms, [0, 50, 100, 150, 200])
    np.testing.assert_array_equal(one.to_flat(), short)


@pytest.mark.parametrize("count", [0, 1, 125, 127, 257, 259, 1661, 1663])
def test_another_value_count_is_refused_with_the_count(count: int) -> None:
    """The message names the place, what was got and what was expected."""
    with pytest.raises(InputError, match=f"clip 3: got {count} values .*126 .*258 .*1662"):
        LandmarkSequence.from_flat(np.zeros((2, count)), fps=15, where="clip 3")


def test_zeros_in_the_flat_layout_mean_not_detected() -> None:
    """Body and each hand on their own."""
    values = np.ones((3, 258), np.float32)
    values[0, :132] = 0
    values[1, 132:195] = 0
    values[2, 195:] = 0
    sequence = LandmarkSequence.from_flat(values, fps=15)
    missing = [np.isnan(sequence.body).all((1, 2)), *np.isnan(sequence.hands).all((2, 3)).T]
    np.testing.assert_array_equal(missing, np.eye(3, dtype=bool))
    np.testing.assert_array_equal(sequence.to_flat(), values)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_flat_values_that_are_not_finite_are_refused(bad: float) -> None:
    """The flat layout has zeros for what was not detected."""
    values = np.ones((3, 258), np.float32)
    values[1, 140] = bad
    with pytest.raises(InputError, match="here: got NaN or infinite"):
        LandmarkSequence.from_flat(values, fps=15, where="here")


@pytest.mark.parametrize("values", [np.ones(258), np.full((2, 258), "x"), np.ones((2, 258), bool)])
def test_flat_values_of_another_kind_are_refused(values: Any) -> None:
    """One frame alone, text and booleans are mistakes."""
    with pytest.raises(InputError, match="expected numbers"):
        LandmarkSequence.from_flat(values, fps=15)


@pytest.mark.parametrize("fps", [0.0, -15.0, float("nan"), float("inf")])
def test_a_frame_rate_that_is_none_is_refused(fps: float) -> None:
    """It would give timestamps that do not increase."""
    with pytest.raises(InputError, match="frames a second"):
        LandmarkSequence.from_flat(np.ones((2, 258)), fps=fps)


@pytest.mark.parametrize(
    "times", [[0, 40, 40, 80], [0, 80, 40, 120], [0, 40, np.nan, 120], [-1, 0, 1, 2]]
)
def test_timestamps_must_increase_strictly(times: list[float]) -> None:
    """Equal, falling, negative or missing times are refused."""
    with pytest.raises(InputError, match="timestamp"):
        _sequence(timestamps_ms=np.array(times, float))


def test_a_wrong_timestamp_is_named() -> None:
    """Both neighbors stand in the message."""
    with pytest.raises(InputError, match="got timestamp 40 ms after 80 ms"):
        _sequence(timestamps_ms=np.array([0, 80, 40, 120.0]))


def test_a_sequence_needs_a_frame() -> None:
    """Nothing is no recording."""
    with pytest.raises(InputError, match="expected at least one"):
        _sequence(0)
    with pytest.raises(InputError, match="expected at least one"):
        LandmarkSequence.from_frames([])


@pytest.mark.parametrize("name", ["body", "hands"])
def test_a_partly_missing_joint_is_refused(name: str) -> None:
    """A joint is found or not: half of one is a bug upstream."""
    values = {"body": _body(4), "hands": _hands(4)}
    values[name][2, 1, ..., 0] = np.nan
    with pytest.raises(InputError, match="some NaN coordinates in frame 2"):
        _sequence(**values)


def test_a_missing_visibility_of_a_detected_body_is_refused() -> None:
    """It would reach the model as a NaN."""
    body = _body(4)
    body[1, 5, 3] = np.nan
    with pytest.raises(InputError, match="visibility"):
        _sequence(body=body)
    with pytest.raises(InputError, match="visibility"):
        Landmarks(0.0, body[1], _hands(1)[0])


@pytest.mark.parametrize("name", ["body", "hands"])
def test_an_infinite_coordinate_is_refused(name: str) -> None:
    """Only NaN means "not detected"."""
    values = {"body": _body(4), "hands": _hands(4)}
    values[name][0, 0, 0] = np.inf
    with pytest.raises(InputError, match="infinite"):
        _sequence(**values)


@pytest.mark.parametrize(
    "changes",
    [
        {"body": np.zeros((4, 25, 4), np.float32)},
        {"body": np.zeros((3, 33, 4), np.float32)},
        {"hands": np.zeros((4, 21, 3), np.float32)},
        {"hands": np.zeros((4, 2, 21, 3), np.int32)},
    ],
)
def test_other_shapes_and_types_are_refused(changes: dict[str, Any]) -> None:
    """The message names the shape that is expected."""
    with pytest.raises(InputError, match="expected float32"):
        _sequence(**changes)


@pytest.mark.parametrize("aspect", [0.0, -1.0, 0.01, 99.0, float("nan")])
def test_an_impossible_image_aspect_is_refused(aspect: float) -> None:
    """Width over height of a picture."""
    with pytest.raises(InputError, match="aspect"):
        _sequence(aspect=aspect)
    with pytest.raises(InputError, match="aspect"):
        Landmarks.empty(0.0, aspect)


@pytest.mark.parametrize("timestamp_ms", [-1.0, float("nan"), float("inf")])
def test_a_frame_needs_a_real_timestamp(timestamp_ms: float) -> None:
    """Finite and not negative."""
    with pytest.raises(InputError, match="timestamp"):
        Landmarks.empty(timestamp_ms)


def test_arrays_cannot_be_written_to() -> None:
    """What was checked once stays as it is."""
    sequence = _sequence()
    frame = next(sequence.frames())
    arrays = (sequence.body, sequence.hands, sequence.timestamps_ms, frame.body, frame.hands)
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_float64_landmarks_are_stored_as_float32() -> None:
    """Whatever precision they come in."""
    sequence = _sequence(body=_body(4).astype(np.float64), hands=_hands(4).astype(np.float16))
    assert sequence.body.dtype == sequence.hands.dtype == np.float32


def test_mirroring_twice_gives_the_clip_back() -> None:
    """Up to the rounding of 1 - x."""
    hands = _hands(4)
    hands[1, 0] = np.nan
    sequence = _sequence(hands=hands)
    again = sequence.mirrored().mirrored()
    np.testing.assert_allclose(again.body, sequence.body, atol=1e-6)
    np.testing.assert_allclose(again.hands, sequence.hands, atol=1e-6)


def test_a_mirror_swaps_sides() -> None:
    """The left hand becomes the right one, the left shoulder the right one, x turns around."""
    sequence = _sequence()
    mirrored = sequence.mirrored()
    np.testing.assert_array_equal(mirrored.hands[:, 1, :, 1:], sequence.hands[:, 0, :, 1:])
    np.testing.assert_allclose(mirrored.hands[:, 0, :, 0], 1 - sequence.hands[:, 1, :, 0])
    np.testing.assert_allclose(mirrored.body[:, 12, 0], 1 - sequence.body[:, 11, 0])
    np.testing.assert_array_equal(mirrored.body[:, 12, 1:], sequence.body[:, 11, 1:])


def test_the_pose_mirror_is_an_involution_that_extends_the_skeletons() -> None:
    """33 landmarks: the 25 of the model, then knees to feet in pairs."""
    mirror = np.array(pose_mirror())
    assert tuple(mirror[:25]) == MEDIAPIPE_BODY25.mirror
    np.testing.assert_array_equal(mirror[mirror], np.arange(33))
    assert (mirror[25:] != np.arange(25, 33)).all()


def test_frames_and_sequence_are_two_forms_of_the_same() -> None:
    """Apart and together again without a difference."""
    hands = _hands(3)
    hands[0] = np.nan
    sequence = _sequence(3, hands=hands, aspect=4 / 3)
    again = LandmarkSequence.from_frames(sequence.frames())
    np.testing.assert_array_equal(again.timestamps_ms, sequence.timestamps_ms)
    np.testing.assert_array_equal(again.body, sequence.body)
    np.testing.assert_array_equal(again.hands, sequence.hands)
    assert again.aspect == sequence.aspect
    assert len(again) == 3


def test_frames_of_two_cameras_do_not_make_a_sequence() -> None:
    """Their image aspects differ."""
    with pytest.raises(InputError, match="aspects"):
        LandmarkSequence.from_frames([Landmarks.empty(0.0, 1.0), Landmarks.empty(1.0, 1.5)])


def test_an_empty_frame_has_nobody_in_it() -> None:
    """All NaN, with the aspect that is assumed elsewhere."""
    frame = Landmarks.empty(3.0)
    assert not frame.has_body
    assert frame.aspect == DEFAULT_ASPECT
    assert np.isnan(frame.body).all()
    assert np.isnan(frame.hands).all()
    assert Landmarks(0.0, _body(1)[0], frame.hands).has_body
