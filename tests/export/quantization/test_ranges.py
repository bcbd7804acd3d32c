"""Promises of the ranges that eight bits are to cover."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bhar_export.quantization.ranges import BINS, Histogram, RangeMethod, observe, ranges_of

FloatArray = npt.NDArray[np.float32]
FINITE = st.floats(-1e6, 1e6, width=32)


def _error(values: FloatArray, limits: tuple[float, float]) -> float:
    """Mean squared, of ``values`` in eight bits that cover ``limits``."""
    step = (limits[1] - limits[0]) / 255
    rounded = np.rint(values.astype(np.float64).clip(*limits) / step) * step
    return float(((rounded - values) ** 2).mean())


@given(arrays.arrays(np.float32, st.integers(1, 50), elements=FINITE))
def test_every_range_holds_zero_and_is_within_what_was_seen(values: FloatArray) -> None:
    seen = Histogram.of(values)
    for method in RangeMethod:
        least, most = seen.range(method)
        assert min(values.min(), 0) <= least <= 0 <= most <= max(values.max(), 0)
        both = seen.range(method, symmetric=True)
        assert both[0] == -both[1]


@given(
    arrays.arrays(np.float32, st.integers(1, 40), elements=FINITE),
    arrays.arrays(np.float32, st.integers(1, 40), elements=FINITE),
)
def test_what_is_seen_in_parts_is_what_is_seen_at_once(a: FloatArray, b: FloatArray) -> None:
    parts, whole = Histogram.of(a) + Histogram.of(b), Histogram.of(np.concatenate([a, b]))
    assert (parts.least, parts.most, parts.limit) == (whole.least, whole.most, whole.limit)
    assert parts.counts.sum() == whole.counts.sum() == a.size + b.size
    # A value at the edge of two bins may be in either; none is further off.
    widened = np.convolve(whole.counts, [1, 1, 1], "same")
    assert (widened[parts.counts > 0] > 0).all()


def test_one_rare_value_does_not_make_every_step_coarse() -> None:
    random = np.random.default_rng(0)
    values = random.standard_normal(4000).astype(np.float32)
    values[0] = 60.0
    seen = Histogram.of(values)
    whole, percentile = (seen.range(m) for m in (RangeMethod.MIN_MAX, RangeMethod.PERCENTILE))
    assert whole[1] == percentile[1] == 60.0  # one of 4000 is more than one of ten thousand
    values = np.concatenate([values, *(random.standard_normal((40, 4000)).astype(np.float32))])
    seen = sum((Histogram.of(part) for part in np.split(values, 41)[1:]), seen)
    clipped = seen.range(RangeMethod.PERCENTILE)
    assert _error(values[1:], clipped) < 0.1 * _error(values[1:], whole)


def test_squared_error_is_least_where_it_says() -> None:
    random = np.random.default_rng(1)
    values = random.laplace(size=4000).astype(np.float32)
    seen = Histogram.of(values)
    best = _error(values, seen.range(RangeMethod.MSE))
    for method in (RangeMethod.MIN_MAX, RangeMethod.PERCENTILE):
        assert best <= 1.02 * _error(values, seen.range(method))


def test_the_percentile_leaves_out_one_value_in_ten_thousand() -> None:
    values = np.linspace(0, 1, 4000, dtype=np.float32)
    seen = sum((Histogram.of(values) for _ in range(99)), Histogram.of(values))
    rare = seen + Histogram.of(np.full(3, 50, np.float32))
    assert rare.range(RangeMethod.MIN_MAX)[1] == 50
    assert rare.range(RangeMethod.PERCENTILE)[1] == pytest.approx(1, abs=2 * 64 / BINS)


def test_nothing_but_zeros_and_the_smallest_values_have_a_range() -> None:
    for values in (np.zeros(3, np.float32), np.full(3, 1e-38, np.float32)):
        for method in RangeMethod:
            least, most = Histogram.of(values).range(method)
            assert least <= 0 <= most < 1e-6


def test_tensors_are_told_apart_and_what_is_not_finite_left_out() -> None:
    one, two = np.ones(4, np.float32), np.full(4, -2, np.float32)
    nothing, padded = np.zeros(0, np.float32), np.float32([-np.inf, -2, 0])
    first = [("a", one), ("b", two), ("c", nothing), ("d", np.full(2, -np.inf, np.float32))]
    seen = observe([iter(first), iter([("a", 3 * one), ("b", padded)])])
    assert ranges_of(seen, RangeMethod.MIN_MAX) == {"a": (0.0, 3.0), "b": (-2.0, 0.0)}
