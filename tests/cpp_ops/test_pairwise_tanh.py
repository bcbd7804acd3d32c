"""pairwise_tanh on every instruction set of this CPU, against float64 numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk import _ops

ISAS = _ops.available_isas()
Array = npt.NDArray[np.float32]


def _random(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    values = scale * np.random.default_rng(seed).standard_normal(shape)
    return values.astype(np.float32)


def _exact(to: Array, from_: Array) -> npt.NDArray[np.float64]:
    differences = to.astype(np.float64)[:, :, None] - from_.astype(np.float64)[:, None]
    return np.tanh(differences).transpose(0, 3, 1, 2, 4)


def _assert_within_the_stated_bound(out: Array, to: Array, from_: Array) -> None:
    exact = _exact(to, from_)
    assert out.shape == exact.shape
    assert out.dtype == np.float32
    assert np.all(np.abs(out - exact) <= 4 * 2.0**-23 * np.abs(exact) + 1e-37)
    assert np.all(np.abs(out) <= 1)


@pytest.mark.parametrize("isa", ISAS)
def test_every_difference_has_its_tanh(isa: str) -> None:
    """From next to nothing to far beyond where it is one, of both signs."""
    sizes = np.concatenate([np.logspace(-30, 2, 20001), np.linspace(0, 12, 20001)])
    to = np.concatenate([-sizes, sizes]).astype(np.float32).reshape(1, -1, 1, 1)
    from_ = np.zeros((1, 1, 1, 1), np.float32)
    _assert_within_the_stated_bound(_ops.pairwise_tanh(to, from_, None, isa), to, from_)
    across = _ops.pairwise_tanh(from_, to, None, isa)
    _assert_within_the_stated_bound(across, from_, to)


@pytest.mark.parametrize("isa", ISAS)
@settings(max_examples=80, deadline=None)
@given(
    sizes=st.tuples(*(st.integers(0, high) for high in (2, 9, 27, 5, 20))),
    seed=st.integers(0, 2**16),
    scale=st.sampled_from([1e-3, 1.0, 20.0]),
)
def test_any_shape_is_right(
    isa: str, sizes: tuple[int, int, int, int, int], seed: int, scale: float
) -> None:
    """Whatever the sizes, zero included."""
    n, w, v, maps, r = sizes
    to = _random(n, w, maps, r, seed=seed, scale=scale)
    from_ = _random(n, v, maps, r, seed=seed + 1, scale=scale)
    _assert_within_the_stated_bound(_ops.pairwise_tanh(to, from_, None, isa), to, from_)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("offset", [1, 2, 3, 5, 7, 15])
def test_arrays_may_start_at_any_float(isa: str, offset: int) -> None:
    """No array needs the alignment of a vector; nothing beside out is written."""
    to = _random(offset + 5 * 3 * 7)[offset:].reshape(1, 5, 3, 7)
    from_ = _random(offset + 9 * 3 * 7, seed=1)[offset:].reshape(1, 9, 3, 7)
    count = 3 * 5 * 9 * 7
    store = np.full(offset + count + 16, 7, np.float32)
    out = store[offset : offset + count].reshape(1, 3, 5, 9, 7)
    assert _ops.pairwise_tanh(to, from_, out, isa) is out
    _assert_within_the_stated_bound(out, to, from_)
    assert np.all(store[:offset] == 7)
    assert np.all(store[offset + count :] == 7)


@pytest.mark.parametrize("isa", ISAS)
def test_nan_propagates_and_no_further(isa: str) -> None:
    """A joint that is not known spoils its own relations only; infinity is far away, no more."""
    to, from_ = _random(1, 5, 2, 3), _random(1, 9, 2, 3)
    to[0, 1, 0, 2] = np.nan
    from_[0, 8, 1, 0] = np.nan
    to[0, 4, 1, 1] = np.inf
    out = _ops.pairwise_tanh(to, from_, None, isa)
    spoilt = np.zeros((1, 2, 5, 9, 3), bool)
    spoilt[0, 0, 1, :, 2] = spoilt[0, 1, :, 8, 0] = True
    np.testing.assert_array_equal(np.isnan(out), spoilt)
    np.testing.assert_allclose(out[0, 1, 4, :, 1], 1, rtol=4 * 2.0**-23)
