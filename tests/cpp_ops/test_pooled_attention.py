"""pooled_attention on every instruction set of this CPU, against float64 numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk import _ops
from bharsdk.errors import InputError
from bharsdk.kernels import ops

ISAS = _ops.available_isas()
Array = npt.NDArray[np.float32]
Exact = npt.NDArray[np.float64]
Sizes = tuple[int, int, int]
"""T, M, V."""


def _problem(
    n: int, x: Sizes, context: Sizes, c: int, heads: int, width: int, random: int, outputs: int
) -> dict[str, Array]:
    generator = np.random.default_rng(c + 100 * heads)

    def values(*shape: int, scale: float = 1.0) -> Array:
        drawn: Array = (scale * generator.standard_normal(shape)).astype(np.float32)
        return drawn

    inner = heads * width
    return {
        "x": values(n, *x, c),
        "context": values(n, *context, c),
        "query": values(3, c, inner, scale=c**-0.5),
        "query_bias": values(3, inner, scale=0.1),
        "key": values(3, c, inner, scale=c**-0.5),
        "key_bias": values(3, inner, scale=0.1),
        "directions": values(3, width, random),
        "value": values(3, heads, c, outputs, scale=c**-0.5),
        "bias": values(outputs),
    }


def _tokens(x: Exact, axes: tuple[int, int]) -> Exact:
    tokens = x.mean(axes)
    normalized: Exact = (tokens - tokens.mean(-1, keepdims=True)) / np.sqrt(
        tokens.var(-1, keepdims=True) + 1e-5
    )
    return normalized


def _features(x: Exact, directions: Exact, axes: tuple[int, ...]) -> Exact:
    exponent = x @ directions
    raised: Exact = np.exp(
        exponent - (x**2).sum(-1, keepdims=True) / 2 - exponent.max(axes, keepdims=True)
    )
    return raised + 1e-6


def _exact(problem: dict[str, Array]) -> tuple[Exact, Exact]:
    """The definition, every weight written out; and the size of what is added up."""
    p = {name: array.astype(np.float64) for name, array in problem.items()}
    heads, width = p["value"].shape[1], p["directions"].shape[1]
    out = np.tile(p["bias"], (len(p["x"]), 1))
    size = 1 + np.abs(out)
    for a, axes in enumerate(((2, 3), (1, 2), (1, 3))):
        tokens, context = _tokens(p["x"], axes), _tokens(p["context"], axes)
        query, key = (
            (of @ p[name][a] + p[f"{name}_bias"][a])
            .reshape(*of.shape[:2], heads, width)
            .swapaxes(1, 2)
            for of, name in ((tokens, "query"), (context, "key"))
        )
        directions = p["directions"][a]
        weights = _features(query, directions, (-1,)) @ _features(
            key, directions, (-1, -2)
        ).swapaxes(-1, -2)
        weights /= weights.sum(-1, keepdims=True)
        mean = weights.mean(2)
        out += np.einsum("nhk,nkc,hco->no", mean, context, p["value"][a])
        size += np.einsum("nhk,nkc,hco->no", mean, np.abs(context), np.abs(p["value"][a]))
    return out, size


def _assert_right(out: Array, problem: dict[str, Array]) -> None:
    exact, size = _exact(problem)
    assert out.shape == exact.shape
    assert out.dtype == np.float32
    assert np.all(np.abs(out - exact) <= 1e-5 * size)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("n", "x", "context", "c", "heads", "width", "random", "outputs"),
    [
        (1, (16, 1, 25), (16, 2, 21), 256, 8, 64, 266, 60),
        (2, (6, 2, 21), (6, 1, 25), 256, 8, 64, 266, 15),
        (1, (1, 1, 1), (1, 1, 1), 1, 1, 1, 1, 1),
        (3, (3, 2, 5), (4, 1, 7), 19, 3, 5, 23, 4),
        (1, (2, 3, 4), (7, 2, 1), 33, 1, 31, 17, 33),
    ],
)
def test_it_computes_its_definition(
    isa: str,
    n: int,
    x: Sizes,
    context: Sizes,
    c: int,
    heads: int,
    width: int,
    random: int,
    outputs: int,
) -> None:
    """BHaRNet-P's shapes, one of everything, streams of other lengths, tails of every vector."""
    problem = _problem(n, x, context, c, heads, width, random, outputs)
    _assert_right(_ops.pooled_attention(*problem.values(), isa=isa), problem)


@pytest.mark.parametrize("isa", ISAS)
@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 2),
    x=st.tuples(*[st.integers(1, 9)] * 3),
    context=st.tuples(*[st.integers(1, 9)] * 3),
    of=st.tuples(st.integers(1, 40), st.integers(1, 4), *[st.integers(1, 37)] * 3),
)
def test_any_shape_is_right(
    isa: str, n: int, x: Sizes, context: Sizes, of: tuple[int, int, int, int, int]
) -> None:
    """Whatever the sizes; no clip gives no result."""
    problem = _problem(n, x, context, *of)
    _assert_right(_ops.pooled_attention(*problem.values(), isa=isa), problem)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ["x", "context"])
def test_a_nan_spoils_its_own_sample_and_no_other(isa: str, name: str) -> None:
    """Wherever it is: each of its means is in every output."""
    problem = _problem(3, (3, 2, 5), (4, 1, 7), 19, 3, 5, 23, 4)
    problem[name][1, 2, 0, 4, 18] = np.nan
    out = _ops.pooled_attention(*problem.values(), isa=isa)
    np.testing.assert_array_equal(np.isnan(out), np.array([[False], [True], [False]]) | [False] * 4)


@pytest.mark.parametrize("isa", ISAS)
def test_large_tokens_stay_finite(isa: str) -> None:
    """The exponents of one head differ by thousands: they are taken relative to the greatest."""
    problem = _problem(1, (3, 2, 5), (4, 1, 7), 32, 2, 16, 40, 4)
    problem["query"] *= 100
    problem["key"] *= 100
    out = _ops.pooled_attention(*problem.values(), isa=isa)
    assert np.isfinite(out).all()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("offset", [1, 3, 15])
def test_arrays_may_start_at_any_float(isa: str, offset: int) -> None:
    """No array needs the alignment of a vector; nothing beside out is written."""
    problem = {
        name: np.concatenate([np.zeros(offset, np.float32), array.ravel()])[offset:].reshape(
            array.shape
        )
        for name, array in _problem(2, (3, 2, 5), (4, 1, 7), 19, 3, 5, 23, 5).items()
    }
    store = np.full(offset + 10 + 16, 7, np.float32)
    out = store[offset : offset + 10].reshape(2, 5)
    assert _ops.pooled_attention(*problem.values(), out=out, isa=isa) is out
    _assert_right(out, problem)
    assert np.all(store[:offset] == 7)
    assert np.all(store[offset + 10 :] == 7)


SMALL = _problem(2, (3, 2, 5), (4, 1, 7), 6, 2, 3, 8, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": SMALL["x"].astype(np.float64)}, "got x of dtype float64, expected"),
        ({"context": SMALL["context"][:, ::2]}, "got context that is not contiguous"),
        ({"x": SMALL["x"][0]}, r"got x \[3, 2, 5, 6\], expected \[N, T, M, V, C\]"),
        ({"x": SMALL["x"][:, :0].copy()}, r"got x \[2, 0, 2, 5, 6\], expected .* none but N 0"),
        ({"context": SMALL["context"][:1]}, r"got context \[1, 4.*expected .* N and C of x \[2, 3"),
        ({"query": SMALL["query"][:2]}, r"got query \[2, 6, 6\], expected \[3, 6, H \* D\]"),
        ({"query_bias": SMALL["bias"]}, r"got query_bias \[4\], expected \[3, 6\]"),
        ({"key": SMALL["query_bias"]}, r"got key \[3, 6\], expected \[3, 6, 6\]"),
        ({"key_bias": SMALL["bias"]}, r"got key_bias \[4\], expected \[3, 6\]"),
        ({"directions": SMALL["directions"][:, :2].copy()}, "expected heads H of value .* width D"),
        ({"value": SMALL["value"][:, :, :5].copy()}, r"got value .*expected \[3, H, 6, O\]"),
        ({"value": SMALL["value"][:, :1].copy()}, "expected heads H of value .* width D"),
        ({"bias": SMALL["bias"][:3]}, r"got bias \[3\], expected \[4\]"),
        ({"out": np.zeros((2, 5), np.float32)}, r"expected \[2, 4\]"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    """One line says what was got and what was expected."""
    with pytest.raises(InputError, match=f"pooled_attention: .*{message}") as caught:
        ops.pooled_attention(**{**SMALL, **change})
    assert "\n" not in str(caught.value)


def test_out_is_filled_and_returned() -> None:
    """A caller that reuses its array allocates nothing."""
    out = np.empty((2, 4), np.float32)
    assert ops.pooled_attention(**SMALL, out=out) is out
    _assert_right(out, SMALL)
