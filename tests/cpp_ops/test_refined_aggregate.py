"""refined_aggregate on every instruction set of this CPU, against float64 numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk import _ops

ISAS = _ops.available_isas()
Array = npt.NDArray[np.float32]
Problem = tuple[Array, Array, Array, Array, Array]


def _random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _problem(
    n: int, k: int, t: int, v: int, w: int, groups: int, channels: int, r: int, seed: int = 0
) -> Problem:
    """value, relation, weight, shift and a; ``channels`` of each group."""
    c = groups * channels
    return (
        _random(n, k, t, v, c, seed=seed),
        _random(n, k, groups, w, v, r, seed=seed + 1),
        _random(k, r, c, seed=seed + 2),
        _random(k, c, seed=seed + 3),
        _random(k, w, v, seed=seed + 4),
    )


def _sums(problem: Problem) -> npt.NDArray[np.float64]:
    """The definition, every adjacency written out."""
    value, relation, weight, shift, a = (part.astype(np.float64) for part in problem)
    k, r, c = weight.shape
    groups = relation.shape[2]
    grouped = weight.reshape(k, r, groups, c // groups)
    refined = np.einsum("krgj,nkgwvr->nkwvgj", grouped, relation)
    refined = refined.reshape(*refined.shape[:4], c)
    adjacency = a[None, ..., None] + shift[None, :, None, None] + refined
    return np.einsum("nktvc,nkwvc->ntwc", value, adjacency)


def _assert_within_the_stated_bound(out: Array, problem: Problem) -> None:
    value, relation = problem[:2]
    exact = _sums(problem)
    terms = value.shape[1] * value.shape[3] + relation.shape[5] + 3
    magnitudes = tuple(np.abs(part) for part in problem)
    assert out.shape == exact.shape
    assert out.dtype == np.float32
    assert np.all(np.abs(out - exact) <= terms * 2.0**-23 * _sums(magnitudes))  # type: ignore[arg-type]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("n", "k", "t", "v", "w", "groups", "channels", "r"),
    [
        (1, 3, 24, 25, 25, 4, 16, 2),
        (2, 3, 12, 21, 21, 4, 32, 4),
        (1, 3, 6, 21, 21, 4, 64, 8),
        (1, 3, 1, 25, 25, 4, 64, 8),
        (1, 1, 1, 1, 1, 1, 1, 1),
        (1, 2, 23, 5, 3, 3, 19, 3),
        (2, 2, 11, 7, 4, 2, 3, 0),
        (1, 2, 13, 67, 67, 1, 33, 1),
    ],
)
def test_sums_are_within_the_stated_bound(
    isa: str, n: int, k: int, t: int, v: int, w: int, groups: int, channels: int, r: int
) -> None:
    """Shapes of the models, one frame alone, tails of frames, joints and channels."""
    problem = _problem(n, k, t, v, w, groups, channels, r)
    _assert_within_the_stated_bound(_ops.refined_aggregate(*problem, None, isa), problem)


@pytest.mark.parametrize("isa", ISAS)
@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(*(st.integers(0, high) for high in (2, 3, 25, 7, 8))),
    groups=st.integers(1, 4),
    channels=st.integers(0, 35),
    r=st.integers(0, 5),
    seed=st.integers(0, 2**16),
)
def test_any_shape_is_right(
    isa: str,
    sizes: tuple[int, int, int, int, int],
    groups: int,
    channels: int,
    r: int,
    seed: int,
) -> None:
    """Whatever the sizes, zero included."""
    problem = _problem(*sizes, groups, channels, r, seed)
    _assert_within_the_stated_bound(_ops.refined_aggregate(*problem, None, isa), problem)


@pytest.mark.parametrize("isa", ISAS)
def test_it_is_the_channel_wise_graph_aggregate(isa: str) -> None:
    """The same adjacencies written out, and aggregated by the other kernel."""
    problem = _problem(2, 3, 9, 25, 25, 4, 16, 2)
    value, relation, weight, shift, a = problem
    grouped = weight.reshape(3, 2, 4, 16)
    refined = np.einsum("krgj,nkgwvr->nkgjvw", grouped, relation).reshape(2, 3, 64, 25, 25)
    adjacency = refined + a.transpose(0, 2, 1)[:, None] + shift[..., None, None]
    x = np.ascontiguousarray(value.transpose(0, 1, 4, 2, 3))
    other = _ops.graph_aggregate(x, np.ascontiguousarray(adjacency), None, isa)
    got = _ops.refined_aggregate(*problem, None, isa)
    np.testing.assert_allclose(got.transpose(0, 3, 1, 2), other, atol=2e-4)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("k", "v"), [(0, 25), (3, 0)])
def test_an_empty_sum_is_zero(isa: str, k: int, v: int) -> None:
    """K = 0 or V = 0 writes zeros, also over what out held before."""
    out = np.full((1, 5, 25, 12), 7, np.float32)
    _ops.refined_aggregate(*_problem(1, k, 5, v, 25, 4, 3, 2), out, isa)
    assert not out.any()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("offset", [1, 2, 3, 5, 7, 15])
def test_arrays_may_start_at_any_float(isa: str, offset: int) -> None:
    """No array needs the alignment of a vector; nothing beside out is written."""
    value, relation, weight, shift, a = (
        np.concatenate([_random(offset), part.ravel()])[offset:].reshape(part.shape)
        for part in _problem(2, 3, 4, 21, 21, 3, 13, 2)
    )
    problem = (value, relation, weight, shift, a)
    count = 2 * 4 * 21 * 39
    store = np.full(offset + count + 16, 7, np.float32)
    out = store[offset : offset + count].reshape(2, 4, 21, 39)
    assert _ops.refined_aggregate(*problem, out, isa) is out
    _assert_within_the_stated_bound(out, problem)
    assert np.all(store[:offset] == 7)
    assert np.all(store[offset + count :] == 7)


@pytest.mark.parametrize("isa", ISAS)
def test_nan_and_infinity_propagate_and_no_further(isa: str) -> None:
    """A NaN value spoils its own frame and channel, a NaN relation its joint and group."""
    value, relation, weight, shift, a = _problem(1, 2, 13, 9, 7, 2, 20, 1)
    weight[:], shift[:], a[:] = 0, 0, 0
    value[0, 1, 4, 8, 39] = np.nan
    value[0, 0, 12, 0, 0] = np.inf  # times zero
    relation[0, 1, 1, 6, 3, 0] = np.nan
    out = _ops.refined_aggregate(value, relation, weight, shift, a, None, isa)
    spoilt = np.zeros((1, 13, 7, 40), bool)
    spoilt[0, 4, :, 39] = spoilt[0, 12, :, 0] = True
    spoilt[0, :, 6, 20:] = True
    np.testing.assert_array_equal(np.isnan(out), spoilt)
