"""Taps between frames become taps at whole frames that compute the same, on every machine."""

from __future__ import annotations

import numpy as np
import pytest

from bharsdk.engines.fold_taps import MOST_INTEGER, folded_taps
from bharsdk.errors import InputError

OFFSETS, FRACTIONS = (-3, -1, 0, 2), (0.25, 0.9, 0.0, 0.5)


def test_folded_taps_compute_what_samples_between_frames_do() -> None:
    """Within half a step of seven bits for each tap."""
    random = np.random.default_rng(0)
    values = random.integers(-127, 128, (2, 4, 8, 5), np.int8)
    scales = random.uniform(0.01, 0.02, (2, 5)).astype(np.float32)
    frames = random.standard_normal((2, 20, 8))
    folded = folded_taps(values, scales, OFFSETS, FRACTIONS)
    assert folded.offsets == (-3, -2, -1, 0, 1, 2, 3)
    assert np.abs(folded.values.astype(int)).max(axis=(1, 2)).tolist() == [[MOST_INTEGER] * 5] * 2
    at = 10
    samples = np.stack(
        [
            (1 - f) * frames[:, at + o] + f * frames[:, at + o + 1]
            for o, f in zip(OFFSETS, FRACTIONS, strict=True)
        ],
        1,
    )
    expected = np.einsum("gki,gkio,go->go", samples, values, scales)
    whole = frames[:, [at + o for o in folded.offsets]]
    got = np.einsum("gki,gkio,go->go", whole, folded.values, folded.scales)
    bound = 0.5 * np.abs(whole).sum(axis=(1, 2))[:, None] * folded.scales
    assert (np.abs(got - expected) <= bound * (1 + 1e-5)).all()


def test_whole_frames_keep_their_integers() -> None:
    """A tap on a frame is that frame; an output without weights has none."""
    values = np.zeros((1, 2, 4, 2), np.int8)
    values[0, 0, :, 0] = 63
    values[0, 1, :, 0] = (1, -20, 40, -63)
    folded = folded_taps(values, np.ones((1, 2), np.float32), (-1, 0), (0.0, 0.0))
    assert folded.offsets == (-1, 0)
    np.testing.assert_array_equal(folded.values, values)
    assert folded.scales.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("offsets", "fractions", "reason"),
    [
        ((0, 1), (0.5,), "got 2 offsets and 1 fractions"),
        ((0,), (0.5,), "for every tap"),
        ((0, 1), (0.5, 1.5), "expected 0 to 1"),
        ((0, 1), (0.5, float("nan")), "expected 0 to 1"),
        ((0, 10**12), (0.5, 0.5), "expected less than 64"),
    ],
)
def test_taps_that_contradict_are_refused(
    offsets: tuple[int, ...], fractions: tuple[float, ...], reason: str
) -> None:
    values = np.ones((1, 2, 4, 3), np.int8)
    with pytest.raises(InputError, match=reason):
        folded_taps(values, np.ones((1, 3), np.float32), offsets, fractions)
