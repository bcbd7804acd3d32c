"""Aggregation in integers: exact sums, the same on every instruction set, whatever the sizes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk import _ops
from bharsdk.errors import InputError
from bharsdk.kernels import ops

STEP, ZERO = 0.013, 77
SIZES = st.tuples(
    st.integers(0, 2),  # samples
    st.integers(0, 4),  # partitions
    st.integers(0, 5),  # channels
    st.integers(0, 11),  # frames
    st.integers(0, 30),  # joints in
    st.integers(0, 50),  # joints out
)


def _random(
    sizes: tuple[int, ...], channel_wise: bool, seed: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    n, k, c, t, v, w = sizes
    random = np.random.default_rng(seed)
    shape = (n, k, c, v, w) if channel_wise else (k, v, w)
    x, a = random.integers(0, 256, (n, k, c, t, v), np.uint8), random.integers(-63, 64, shape)
    return x, a.astype(np.int8), random.standard_normal(w, np.float32)


def _sums(x: npt.NDArray[np.integer], a: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    rule = "nkctv,kvw->nctw" if a.ndim == 3 else "nkctv,nkcvw->nctw"
    sums: npt.NDArray[np.int64] = np.einsum(rule, x.astype(np.int64), a.astype(np.int64))
    return sums


@pytest.mark.parametrize("isa", ops.available_isas())
@pytest.mark.parametrize("channel_wise", [False, True], ids=["static", "channel-wise"])
@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 2**32 - 1))
def test_sums_are_exact_on_every_instruction_set(
    isa: str, channel_wise: bool, sizes: tuple[int, ...], seed: int
) -> None:
    """Against sums of 64 bits; what follows them is one multiply-add, of the zeros too."""
    x, a, scale = _random(sizes, channel_wise, seed)
    got = _ops.integer_graph_aggregate(x, a, scale, STEP, ZERO, isa)
    factor = scale.astype(np.float64) * np.float32(STEP)
    expected = _sums(x.astype(np.int64) - ZERO, a) * factor
    assert got.shape == expected.shape and got.dtype == np.float32
    room = 4e-7 * _sums(np.maximum(x, ZERO), np.abs(a)) * np.abs(factor)
    assert (np.abs(got - expected) <= room).all()
    np.testing.assert_array_equal(
        got, _ops.integer_graph_aggregate(x, a, scale, STEP, ZERO, "scalar")
    )


@pytest.mark.parametrize("isa", ops.available_isas())
@pytest.mark.parametrize("channel_wise", [False, True], ids=["static", "channel-wise"])
def test_sums_of_the_greatest_values_are_exact(isa: str, channel_wise: bool) -> None:
    """Products of the greatest byte and integer meet in 16 bits nowhere."""
    x, a, scale = _random((1, 3, 4, 9, 25, 25), channel_wise)
    x[:], a[:], scale[:] = 255, 63, 1
    got = _ops.integer_graph_aggregate(x, a, scale, 1.0, 0, isa)
    np.testing.assert_array_equal(got, 3 * 25 * 255 * 63)
    np.testing.assert_array_equal(_ops.integer_graph_aggregate(x, -a, scale, 1.0, 0, isa), -got)


def test_without_a_zero_and_scales_the_sums_come_out() -> None:
    """Those of floats, which hold them all."""
    x, a, scale = _random((2, 3, 5, 7, 21, 21), channel_wise=True)
    got = ops.integer_graph_aggregate(x, a, np.ones_like(scale), step=1.0, zero=0)
    np.testing.assert_array_equal(got, _sums(x, a))
    floats = ops.graph_aggregate(x.astype(np.float32), a.astype(np.float32))
    np.testing.assert_array_equal(got, floats)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": np.zeros((2, 3, 4, 5), np.uint8)}, r"got x \[2, 3, 4, 5\] and a .*, expected x"),
        ({"x": np.zeros((1, 2, 3, 4, 8), np.int8)}, "got another x, expected a C-contiguous uint8"),
        ({"x": np.zeros((4, 3, 2, 1, 8), np.uint8).T}, "got another x, expected a C-contiguous"),
        ({"a": np.zeros((2, 7, 5), np.int8)}, r"expected a \[2, 8, 5\] to fit x"),
        ({"a": np.zeros((1, 2, 4, 8, 5), np.int8)}, r"expected a \[1, 2, 3, 8, 5\] to fit x"),
        ({"a": np.zeros((2, 8, 5), np.float32)}, "got another a, expected a C-contiguous int8"),
        ({"a": np.full((2, 8, 5), 64, np.int8)}, "got an a in integers of 64, expected -63 to 63"),
        ({"a": np.full((2, 8, 5), -64, np.int8)}, "got an a in integers of -64, expected -63"),
        ({"scale": np.ones(4, np.float32)}, r"got scale \[4\], expected \[5\] to fit a"),
        ({"scale": np.ones(5)}, "got scale of dtype float64, expected a C-contiguous float32"),
        ({"step": 0.0}, "got a step of bytes of 0"),
        ({"step": float("nan")}, "got a step of bytes"),
        ({"zero": 256}, "got the byte of zero 256, expected 0 to 255"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, object], message: str) -> None:
    right: dict[str, object] = {
        "x": np.zeros((1, 2, 3, 4, 8), np.uint8),
        "a": np.zeros((2, 8, 5), np.int8),
        "scale": np.ones(5, np.float32),
        "step": 0.1,
        "zero": 0,
    }
    assert ops.integer_graph_aggregate(**right).shape == (1, 3, 4, 5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=f"integer_graph_aggregate: .*{message}"):
        ops.integer_graph_aggregate(**(right | changed))  # type: ignore[arg-type]


def test_a_sum_of_too_many_products_is_refused() -> None:
    """Of more it could be beyond 32 bits."""
    x, a = np.zeros((1, 2, 1, 1, 2**16 - 3), np.uint8), np.zeros((2, 2**16 - 3, 1), np.int8)
    one = np.ones(1, np.float32)
    assert ops.integer_graph_aggregate(x, a, one, step=1.0, zero=0).shape == (1, 1, 1, 1)
    x, a = np.zeros((1, 2, 1, 1, 2**16 + 1), np.uint8), np.zeros((2, 2**16 + 1, 1), np.int8)
    with pytest.raises(InputError, match="got 131080 products of one sum in integers, expected at"):
        ops.integer_graph_aggregate(x, a, one, step=1.0, zero=0)
