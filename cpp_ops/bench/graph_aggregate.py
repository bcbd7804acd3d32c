"""Time graph_aggregate against numpy.matmul and torch.einsum: medians, interleaved, one thread.

Run it with ``make bench``. A ratio above 1 means that graph_aggregate is faster.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np  # the thread counts above are read when these load
import torch

from bharsdk import _ops, ops

SHAPES = [
    ((1, 3, 64, 32, 25), (3, 25, 25)),
    ((1, 3, 128, 16, 25), (3, 25, 25)),
    ((2, 3, 64, 32, 21), (3, 21, 21)),
    ((1, 2, 32, 8, 67), (2, 67, 67)),
    ((1, 3, 64, 32, 25), (1, 3, 64, 25, 25)),
]
ROUNDS = 200


def contenders(
    x_shape: tuple[int, ...], a_shape: tuple[int, ...]
) -> dict[str, Callable[[], object]]:
    """Return the same sum in every way, by name."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal(x_shape).astype(np.float32)
    a = generator.standard_normal(a_shape).astype(np.float32)
    x_torch, a_torch = torch.from_numpy(x), torch.from_numpy(a)
    static = a.ndim == 3
    rule = "nkctv,kvw->nctw" if static else "nkctv,nkcvw->nctw"
    a_spread = a[None, :, None] if static else a
    ways: dict[str, Callable[[], object]] = {
        "numpy.matmul": lambda: np.matmul(x, a_spread).sum(axis=1),
        "torch.einsum": lambda: torch.einsum(rule, x_torch, a_torch),
    }
    if static:
        n, k, c, t, v = x_shape
        flat = a.reshape(k * v, -1)
        # One large product, the rearrangement of x included: the best that BLAS can do.
        ways["numpy one matmul"] = lambda: (
            x.transpose(0, 2, 3, 1, 4).reshape(n * c * t, k * v) @ flat
        )
    for isa in ops.available_isas():
        ways[isa] = lambda isa=isa: _ops.graph_aggregate(x, a, None, isa)
    return ways


def medians_us(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median time of each, taken in turns so that all meet the same machine."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, call in ways.items():
            start = time.perf_counter()
            call()
            times[name].append(1e6 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Print one block for each shape."""
    torch.set_num_threads(1)
    for x_shape, a_shape in SHAPES:
        found = medians_us(contenders(x_shape, a_shape))
        isas = ops.available_isas()
        rival = min(value for name, value in found.items() if name not in isas)
        print(f"x {list(x_shape)}  a {list(a_shape)}")
        for name, value in found.items():
            ratio = f"  {rival / value:5.2f}x the fastest other" if name in isas else ""
            print(f"  {name:18s} {value:8.1f} us{ratio}")


if __name__ == "__main__":
    main()
