"""Convolutions in integers: exact sums, the same on every instruction set, whatever the sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk import _ops
from bharsdk.errors import InputError
from bharsdk.kernels import ops

SIZES = st.tuples(
    st.integers(0, 2),  # clips
    st.integers(1, 5),  # frames
    st.integers(0, 26),  # joints
    st.integers(0, 9).map(lambda fours: 4 * fours),  # inputs
    st.integers(0, 50),  # outputs
    st.lists(st.integers(-3, 3), max_size=4),  # offsets
    st.integers(1, 3),  # stride
)


@pytest.mark.parametrize("isa", ops.available_isas())
@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 2**32 - 1))
def test_sums_are_exact_on_every_instruction_set(
    isa: str, sizes: tuple[int, int, int, int, int, list[int], int], seed: int
) -> None:
    n, t, v, i, o, offsets, stride = sizes
    random = np.random.default_rng(seed)
    x = random.integers(0, 256, (n, t, v, i), np.uint8)
    weight = random.integers(-63, 64, (len(offsets), i, o), np.int8)
    scale, bias = random.random(o, np.float32), random.standard_normal(o, np.float32)
    arguments = (x, weight, scale, bias, offsets, 0.01, 77, stride, 0.1)
    got = _ops.integer_temporal_conv(*arguments, isa=isa)
    frames = np.clip(np.arange(0, t, stride)[:, None] + np.array(offsets, int), 0, t - 1)
    shifted = x.astype(np.int64)[:, frames] - 77  # [N, T', K, V, I]
    sums = np.einsum("ntkvi,kio->ntvo", shifted, weight.astype(np.int64))
    exact = sums * (scale.astype(np.float64) * np.float32(0.01)) + bias
    expected = np.where(exact < 0, np.float32(0.1) * exact, exact)
    # The sums are exact; what follows is one multiply-add, of a bias that holds the zeros too.
    room = 4e-7 * (np.abs(bias) + 255 * 63 * max(len(offsets) * i, 1) * 0.01 * scale)
    assert (np.abs(got - expected) <= room).all()
    np.testing.assert_array_equal(got, _ops.integer_temporal_conv(*arguments, isa="scalar"))


@pytest.mark.parametrize("isa", ops.available_isas())
def test_floats_become_the_nearest_byte(isa: str) -> None:
    x = np.array([0.0, 0.24, 0.26, 0.25, 0.75, -9, 200, np.nan, np.inf, -np.inf, 3e38], np.float32)
    got = _ops.quantize(x, 0.5, 3, isa=isa)
    np.testing.assert_array_equal(got, [3, 3, 4, 4, 4, 0, 255, 0, 255, 0, 255])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": np.zeros((1, 2, 3, 6), np.uint8)}, "weight .* to fit x"),
        ({"x": np.zeros((1, 2, 3, 8), np.int8)}, "got another x, expected a C-contiguous uint8"),
        ({"weight": np.full((1, 8, 5), 64, np.int8)}, "got a weight in integers of 64, expected"),
        ({"weight": np.zeros((1, 8, 5), np.float32)}, "expected a C-contiguous int8"),
        ({"scale": np.ones(4, np.float32)}, "got 4 scales of a weight in integers, expected 5"),
        ({"bias": np.zeros(4, np.float32)}, r"got bias \[4\], expected \[5\]"),
        ({"offsets": [0, 1]}, "got 2 offsets"),
        ({"step": 0.0}, "got a step of bytes of 0"),
        ({"step": float("nan")}, "got a step of bytes"),
        ({"zero": 256}, "got the byte of zero 256, expected 0 to 255"),
        ({"stride": 0}, "got stride 0"),
        ({"slope": 2.0}, "got slope 2"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, object], message: str) -> None:
    right: dict[str, object] = {
        "x": np.zeros((1, 2, 3, 8), np.uint8),
        "weight": np.zeros((1, 8, 5), np.int8),
        "scale": np.ones(5, np.float32),
        "bias": np.zeros(5, np.float32),
        "offsets": [0],
        "step": 0.1,
        "zero": 0,
    }
    assert ops.integer_temporal_conv(**right).shape == (1, 2, 3, 5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        ops.integer_temporal_conv(**(right | changed))  # type: ignore[arg-type]


def test_inputs_come_in_fours() -> None:
    x, weight = np.zeros((1, 1, 1, 6), np.uint8), np.zeros((1, 6, 5), np.int8)
    ones = np.ones(5, np.float32)
    with pytest.raises(InputError, match="got 6 inputs of a weight in integers, expected a mult"):
        ops.integer_temporal_conv(x, weight, ones, ones, [0], step=0.1, zero=0)
    with pytest.raises(InputError, match="got the byte of zero -1"):
        ops.quantize(ones, step=1.0, zero=-1)
