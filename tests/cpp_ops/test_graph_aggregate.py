"""graph_aggregate on every instruction set of this CPU, against float64 numpy."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk import _ops

ISAS = _ops.available_isas()
Array = npt.NDArray[np.float32]


def _random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _exact(x: npt.NDArray[np.floating], a: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    rule = "nkctv,kvw->nctw" if a.ndim == 3 else "nkctv,nkcvw->nctw"
    return np.einsum(rule, x.astype(np.float64), a.astype(np.float64))


def _assert_within_the_stated_bound(out: Array, x: Array, a: Array) -> None:
    exact = _exact(x, a)
    bound = x.shape[1] * x.shape[4] * 2.0**-23 * _exact(np.abs(x), np.abs(a))
    assert out.shape == exact.shape
    assert out.dtype == np.float32
    assert np.all(np.abs(out - exact) <= bound)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("channel_wise", [False, True], ids=["static", "channel-wise"])
@pytest.mark.parametrize(
    ("n", "k", "c", "t", "v", "w"),
    [
        (1, 3, 64, 32, 25, 25),
        (2, 3, 16, 13, 21, 21),
        (1, 2, 3, 5, 67, 67),
        (1, 1, 1, 1, 1, 1),
        (3, 2, 5, 7, 6, 3),
        (1, 3, 2, 9, 25, 32),
        (1, 3, 2, 9, 32, 33),
        (2, 3, 2, 17, 46, 129),
        (1, 2, 3, 97, 33, 34),
        (2, 3, 1, 112, 16, 9),
        (1, 5, 2, 100, 46, 65),
        (1, 1, 2, 99, 16, 17),
    ],
)
def test_sums_are_within_the_stated_bound(
    isa: str, channel_wise: bool, n: int, k: int, c: int, t: int, v: int, w: int
) -> None:
    """Joint counts in use, tails of every vector and tile, sizes below one, and many rows."""
    x = _random(n, k, c, t, v)
    a = _random(n, k, c, v, w, seed=1) if channel_wise else _random(k, v, w, seed=1)
    _assert_within_the_stated_bound(_ops.graph_aggregate(x, a, None, isa), x, a)


@pytest.mark.parametrize("isa", ISAS)
@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(*(st.integers(0, high) for high in (2, 3, 4, 11, 40, 70))),
    channel_wise=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_any_shape_is_right(
    isa: str, sizes: tuple[int, int, int, int, int, int], channel_wise: bool, seed: int
) -> None:
    """Whatever the sizes, zero included, the sums are within the bound."""
    n, k, c, t, v, w = sizes
    x = _random(n, k, c, t, v, seed=seed)
    a = _random(n, k, c, v, w, seed=seed) if channel_wise else _random(k, v, w, seed=seed)
    _assert_within_the_stated_bound(_ops.graph_aggregate(x, a, None, isa), x, a)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("k", "v"), [(0, 25), (3, 0)])
def test_an_empty_sum_is_zero(isa: str, k: int, v: int) -> None:
    """K = 0 or V = 0 writes zeros, also over what out held before."""
    out = np.full((1, 4, 5, 25), 7, np.float32)
    _ops.graph_aggregate(_random(1, k, 4, 5, v), _random(k, v, 25), out, isa)
    assert not out.any()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("offset", [1, 2, 3, 5, 7, 15])
def test_arrays_may_start_at_any_float(isa: str, offset: int) -> None:
    """Neither x, a nor out need the alignment of a vector; nothing beside out is written."""
    x_store, a_store = _random(offset + 2 * 3 * 4 * 5 * 21), _random(offset + 3 * 21 * 21, seed=1)
    x, a = x_store[offset:].reshape(2, 3, 4, 5, 21), a_store[offset:].reshape(3, 21, 21)
    count = 2 * 4 * 5 * 21
    out_store = np.full(offset + count + 16, 7, np.float32)
    out = out_store[offset : offset + count].reshape(2, 4, 5, 21)
    assert _ops.graph_aggregate(x, a, out, isa) is out
    _assert_within_the_stated_bound(out, x, a)
    assert np.all(out_store[:offset] == 7)
    assert np.all(out_store[offset + count :] == 7)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("frames", [9, 70])
def test_nan_and_infinity_propagate_even_over_zero(isa: str, frames: int) -> None:
    """A NaN joint spoils its own row only, and zero times infinity is NaN."""
    x, a = _random(1, 3, 2, frames, 25), np.zeros((3, 25, 25), np.float32)
    x[0, 1, 1, 4, 24] = np.nan
    x[0, 0, 0, 3, 0] = np.inf
    out = _ops.graph_aggregate(x, a, None, isa)
    spoilt = np.zeros((1, 2, frames, 25), bool)
    spoilt[0, 1, 4] = spoilt[0, 0, 3] = True
    np.testing.assert_array_equal(np.isnan(out), spoilt)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("channel_wise", [False, True], ids=["static", "channel-wise"])
@pytest.mark.parametrize("frames", [9, 101])
@pytest.mark.parametrize("joints_out", [25, 40])
def test_infinity_stays_infinity(
    isa: str, channel_wise: bool, frames: int, joints_out: int
) -> None:
    """Where a sum is infinite and not NaN it is so with its sign, and nowhere else."""
    x = _random(1, 3, 2, frames, 25)
    a = _random(*((1, 3, 2, 25) if channel_wise else (3, 25)), joints_out, seed=1)
    x[0, 0, 1, frames - 1, 24] = np.inf
    x[0, 2, 0, 5, 7] = -np.inf
    a[..., 3, 20] = np.inf
    with np.errstate(invalid="ignore"):
        exact = _exact(x, a)
    out = _ops.graph_aggregate(x, a, None, isa)
    finite = np.isfinite(exact)
    np.testing.assert_array_equal(out[~finite], exact[~finite])
    assert np.isfinite(out[finite]).all()
    np.testing.assert_allclose(out[finite], exact[finite], atol=1e-4)


def _active_in_a_new_process(forced: str) -> subprocess.CompletedProcess[str]:
    program = (
        "import numpy as np\n"
        "from bharsdk.kernels import ops\n"
        "from bharsdk.errors import BharError\n"
        "try:\n"
        "    out = ops.graph_aggregate(np.ones((1, 2, 1, 3, 5), 'f4'), np.ones((2, 5, 7), 'f4'))\n"
        "    print(ops.active_isa(), out.min(), out.max())\n"
        "except BharError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    environment = {**os.environ, "BHAR_FORCE_ISA": forced}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


@pytest.mark.parametrize("isa", ISAS)
def test_the_forced_instruction_set_is_the_active_one(isa: str) -> None:
    """BHAR_FORCE_ISA decides, and the kernel runs."""
    assert _active_in_a_new_process(isa).stdout == f"{isa} 10.0 10.0\n"


def test_without_a_forced_one_the_best_is_active() -> None:
    """An empty BHAR_FORCE_ISA is none."""
    assert _active_in_a_new_process("").stdout == f"{ISAS[0]} 10.0 10.0\n"


def test_an_unknown_instruction_set_is_an_error() -> None:
    """A typing mistake never runs something else in silence."""
    line = _active_in_a_new_process("avx3").stdout
    assert line.startswith(
        "UsageError got instruction set 'avx3', expected one of amx, avx512, avx2, "
    )


def test_an_instruction_set_of_another_cpu_is_an_error() -> None:
    """A known name that cannot run here is refused and the ones that can are listed."""
    absent = next(name for name in ("neon", "avx2") if name not in ISAS)
    line = _active_in_a_new_process(absent).stdout
    assert line.startswith(f"IncompatibleError got instruction set '{absent}', which this CPU")
    assert ", ".join(ISAS) in line


def test_scalar_is_always_there_and_last() -> None:
    """The reference runs on every CPU and is never preferred."""
    assert ISAS[-1] == "scalar"
