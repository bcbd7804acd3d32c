"""temporal_conv and its step on every instruction set of this CPU, against float64 numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk import _ops

ISAS = _ops.available_isas()
Array = npt.NDArray[np.float32]
DETGC = (-2, -1, 0, 1, 2, 3)  # five taps around the frame, each between two of these frames


def _random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _problem(
    n: int, t: int, v: int, inputs: int, outputs: int, taps: int, seed: int = 0
) -> tuple[Array, Array, Array]:
    """x [N, T, V, I], weight [K, I, O], bias [O]."""
    return (
        _random(n, t, v, inputs, seed=seed),
        _random(taps, inputs, outputs, seed=seed + 1),
        _random(outputs, seed=seed + 2),
    )


def _sums(
    x: npt.NDArray[np.floating],
    weight: npt.NDArray[np.floating],
    bias: npt.NDArray[np.floating],
    offsets: tuple[int, ...],
    stride: int,
) -> npt.NDArray[np.float64]:
    """The definition, one frame and tap after the other, before the activation."""
    frames = x.shape[1]
    out = np.zeros((len(x), -(-frames // stride), x.shape[2], len(bias)))
    out += bias.astype(np.float64)
    for at in range(out.shape[1]):
        for offset, matrix in zip(offsets, weight.astype(np.float64), strict=True):
            frame = min(max(at * stride + offset, 0), frames - 1)
            out[:, at] += x[:, frame].astype(np.float64) @ matrix
    return out


def _assert_within_the_stated_bound(
    out: Array,
    problem: tuple[Array, Array, Array],
    offsets: tuple[int, ...],
    stride: int = 1,
    slope: float = 1.0,
) -> None:
    x, weight, bias = problem
    exact = _sums(x, weight, bias, offsets, stride)
    size = _sums(np.abs(x), np.abs(weight), np.abs(bias), offsets, stride)
    bound = (weight.shape[0] * weight.shape[1] + 2) * 2.0**-23 * size
    assert out.shape == exact.shape
    assert out.dtype == np.float32
    assert np.all(np.abs(out - np.where(exact < 0, np.float32(slope) * exact, exact)) <= bound)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("slope", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(
    ("n", "t", "v", "inputs", "outputs", "offsets", "stride"),
    [
        (1, 64, 25, 16, 16, DETGC, 1),
        (2, 16, 42, 32, 32, (-4, -3, -1, 0, 1, 3, 4, 5), 2),
        (1, 8, 25, 64, 256, (0,), 1),
        (1, 8, 67, 6, 64, (-2, 0, 2), 3),
        (1, 1, 1, 1, 1, (0,), 1),
        (1, 3, 19, 5, 33, (-100, 100), 1),
    ],
)
def test_sums_are_within_the_stated_bound(
    isa: str,
    slope: float,
    n: int,
    t: int,
    v: int,
    inputs: int,
    outputs: int,
    offsets: tuple[int, ...],
    stride: int,
) -> None:
    """Shapes of the models, a 1x1 convolution, tails, and taps far beyond the clip."""
    problem = _problem(n, t, v, inputs, outputs, len(offsets))
    out = _ops.temporal_conv(*problem, offsets, stride, slope, None, isa)
    _assert_within_the_stated_bound(out, problem, offsets, stride, slope)


@pytest.mark.parametrize("isa", ISAS)
@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(*(st.integers(0, high) for high in (2, 9, 30, 9, 70))),
    offsets=st.lists(st.integers(-12, 12), max_size=6).map(tuple),
    stride=st.integers(1, 5),
    seed=st.integers(0, 2**16),
)
def test_any_shape_is_right(
    isa: str,
    sizes: tuple[int, int, int, int, int],
    offsets: tuple[int, ...],
    stride: int,
    seed: int,
) -> None:
    """Whatever the sizes, zero included, and however the taps lie."""
    problem = _problem(*sizes, len(offsets), seed)
    out = _ops.temporal_conv(*problem, offsets, stride, 0.1, None, isa)
    _assert_within_the_stated_bound(out, problem, offsets, stride, 0.1)


@pytest.mark.parametrize("isa", ISAS)
def test_without_taps_there_is_the_bias(isa: str) -> None:
    """K = 0 or I = 0 writes the bias, also over what out held before."""
    for taps, inputs in ((0, 4), (2, 0)):
        x, weight, bias = _problem(1, 3, 5, inputs, 18, taps)
        out = np.full((1, 3, 5, 18), 7, np.float32)
        _ops.temporal_conv(x, weight, bias, [0] * taps, 1, 1.0, out, isa)
        np.testing.assert_array_equal(out, np.broadcast_to(bias, out.shape))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("offset", [1, 2, 3, 5, 7, 15])
def test_arrays_may_start_at_any_float(isa: str, offset: int) -> None:
    """No array needs the alignment of a vector; nothing beside out is written."""
    x, weight, bias = (
        np.concatenate([_random(offset), part.ravel()])[offset:].reshape(part.shape)
        for part in _problem(2, 4, 21, 6, 37, len(DETGC))
    )
    count = 2 * 4 * 21 * 37
    store = np.full(offset + count + 16, 7, np.float32)
    out = store[offset : offset + count].reshape(2, 4, 21, 37)
    assert _ops.temporal_conv(x, weight, bias, DETGC, 1, 1.0, out, isa) is out
    _assert_within_the_stated_bound(out, (x, weight, bias), DETGC)
    assert np.all(store[:offset] == 7)
    assert np.all(store[offset + count :] == 7)


@pytest.mark.parametrize("isa", ISAS)
def test_nan_propagates_through_the_activation_and_no_further(isa: str) -> None:
    """A NaN joint spoils the frames whose taps see it, in its own row only."""
    x, weight, bias = _problem(1, 9, 25, 4, 40, 3)
    weight[:] = 0
    x[0, 4, 24, 1] = np.nan
    x[0, 4, 3, 0] = np.inf  # times zero
    out = _ops.temporal_conv(x, weight, bias, (-2, 0, 1), 1, 0.1, None, isa)
    spoilt = np.zeros((1, 9, 25, 40), bool)
    for frame in (6, 4, 3):
        spoilt[0, frame, [3, 24]] = True
    np.testing.assert_array_equal(np.isnan(out), spoilt)


@pytest.mark.parametrize("isa", ISAS)
@settings(max_examples=30, deadline=None)
@given(
    joints=st.integers(1, 30),
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 70),
    offsets=st.lists(st.integers(-6, 0), min_size=1, max_size=5).map(tuple),
    spare=st.integers(0, 3),
    seed=st.integers(0, 2**16),
)
def test_frame_by_frame_gives_what_the_clip_gives_bit_for_bit(
    isa: str,
    joints: int,
    inputs: int,
    outputs: int,
    offsets: tuple[int, ...],
    spare: int,
    seed: int,
) -> None:
    """From a ring that a first frame has filled: one model, whichever way it is asked."""
    x, weight, bias = _problem(1, 17, joints, inputs, outputs, len(offsets), seed)
    clip = _ops.temporal_conv(x, weight, bias, offsets, 1, 0.1, None, isa)
    size = 1 - min(offsets) + spare
    ring = np.repeat(x[0, :1], size, axis=0)
    for frame in range(17):
        ring[frame % size] = x[0, frame]
        got = _ops.temporal_conv_step(ring, frame % size, weight, bias, offsets, 0.1, None, isa)
        np.testing.assert_array_equal(got, clip[0, frame])
