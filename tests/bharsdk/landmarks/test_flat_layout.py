from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bharsdk.errors import InputError
from bharsdk.landmarks.flat_layout import wrist_distances, wrist_finding
from bharsdk.landmarks.landmarks import LandmarkSequence

WORDS = Path(__file__).parents[2] / "data" / "words.npz"


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    """A real recording of 480 frames: pose, both hands, and a face made about the nose."""
    with np.load(WORDS) as data:
        flat = data["landmarks"][data["signer"] == "s2"].astype(np.float32).reshape(-1, 258)
    random = np.random.default_rng(0)
    face = flat[:, None, :3] * (1, 1, 0) + random.normal(0, 1, (478, 3)) * (0.04, 0.07, 0.03)
    return {
        "pose": flat[:, :132],
        "left": flat[:, 132:195],
        "right": flat[:, 195:],
        "face": face[:, :468].reshape(len(flat), -1),
        "irises": face[:, 468:].reshape(len(flat), -1),
    }


def _read(parts: dict[str, Any], order: str) -> LandmarkSequence:
    values = np.concatenate([parts[name] for name in order.split()], axis=1)
    return LandmarkSequence.from_flat(values, fps=15, where="clip 7")


@pytest.mark.parametrize("order", ["pose left right", "pose face left right", "left right"])
def test_the_order_of_mediapipe_is_read(parts: dict[str, Any], order: str) -> None:
    """With and without the face, and hands alone."""
    hands = _read(parts, order).hands
    np.testing.assert_array_equal(hands, _read(parts, "left right").hands)


def test_a_face_with_irises_is_read_as_one_without(parts: dict[str, Any]) -> None:
    """1,692 values are 1,662 with ten more points of the face."""
    one, other = _read(parts, "pose face left right"), _read(parts, "pose face irises left right")
    np.testing.assert_array_equal(one.body, other.body)
    np.testing.assert_array_equal(one.hands, other.hands)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ("left right pose", "visibility of -.* expected 0 to 1"),
        ("left pose right", "visibility of -.* expected 0 to 1"),
        ("left right face pose", "visibility of -.* expected 0 to 1"),
        ("left right pose face", "visibility of -.* expected 0 to 1"),
        ("face pose left right", "visibility of -.* expected 0 to 1"),
        ("face irises pose left right", "visibility of -.* expected 0 to 1"),
        ("pose left right face", "shoulder widths away from their wrists"),
        ("pose left right face irises", "shoulder widths away from their wrists"),
        ("pose right left", "left and right hand are swapped"),
        ("pose face right left", "left and right hand are swapped"),
    ],
)
def test_another_order_is_refused(parts: dict[str, Any], order: str, message: str) -> None:
    """It has as many values; what they mean shows in what they are."""
    with pytest.raises(InputError, match=f"clip 7: .*{message}"):
        _read(parts, order)


def test_pixels_are_refused(parts: dict[str, Any]) -> None:
    """Coordinates are fractions of the picture."""
    pixels = dict(parts)
    pixels["pose"] = parts["pose"] * np.tile([640, 480, 640, 1], 33)
    with pytest.raises(InputError, match=r"body coordinates of typically .*divide pixels"):
        _read(pixels, "pose left right")
    pixels["left"], pixels["right"] = (
        parts[side] * np.tile([640, 480, 640], 21) for side in ("left", "right")
    )
    with pytest.raises(InputError, match=r"hand coordinates of typically .*divide pixels"):
        _read(pixels, "left right")


@pytest.mark.parametrize("stands_for_nothing", [-1, -999, 0.5])
def test_another_value_for_what_was_not_detected_is_refused(
    parts: dict[str, Any], stands_for_nothing: float
) -> None:
    """A hand or a body is never one value in all its points; zeros stand for nothing there."""
    for name in ("left", "pose"):
        changed = parts[name].copy()
        changed[:12] = stands_for_nothing
        with pytest.raises(InputError, match=f"all {stands_for_nothing:g}, in 12 frames"):
            _read({**parts, name: changed}, "pose left right")


def test_a_visibility_in_percent_is_refused(parts: dict[str, Any]) -> None:
    """It would weigh a hundred times."""
    percent = parts["pose"] * np.tile([1, 1, 1, 100], 33)
    with pytest.raises(InputError, match=r"visibility of .* to 100"):
        _read({**parts, "pose": percent}, "pose left right")


def test_one_odd_frame_is_no_other_order(parts: dict[str, Any]) -> None:
    """A landmarker errs in single frames."""
    odd = parts["pose"].copy()
    odd[5, 3::4] = -0.4
    sequence = _read({**parts, "pose": odd}, "pose left right")
    assert len(sequence) == len(odd)


def test_some_recordings_with_swapped_hands_are_a_doubt(parts: dict[str, Any]) -> None:
    """Not certain: hands that meet lie near both wrists."""
    good = _read(parts, "pose left right")
    distances = wrist_distances(good.body, good.hands, good.aspect)
    assert wrist_finding(distances) is None
    swapped = distances[:, [1, 0, 2]]
    assert wrist_finding(swapped[:49]) is None  # too few to say
    mixed = np.concatenate([distances, swapped[: len(swapped) // 2]])
    text, sure = wrist_finding(mixed) or ("", True)
    assert "in some recordings" in text
    assert not sure


def test_hands_that_are_nowhere_near_their_wrists_are_a_doubt(parts: dict[str, Any]) -> None:
    """Another order, or other units for the body than for the hands."""
    good = _read(parts, "pose left right")
    body = good.body * np.array([0.2, 0.2, 1, 1], np.float32)
    text, sure = wrist_finding(wrist_distances(body, good.hands, good.aspect)) or ("", True)
    assert "shoulder widths away from their wrists" in text
    assert not sure


def test_numbers_beyond_float32_are_refused() -> None:
    """They would become infinite on the way."""
    with pytest.raises(InputError, match="NaN or infinite"):
        LandmarkSequence.from_flat(np.full((3, 258), 1e300), fps=15)
