"""How near the kernels come to what one thread of this machine can do at most: the roofline.

The least time of a row is the longest of three, each of which it needs whatever else it does:

- its multiply-adds, at the greatest rate of their kind of arithmetic: ``fma``, of float32 in the
  vectors of the instruction set, ``tiles``, where a product takes six of bfloat16, or ``bytes``, in
  vectors, as the kernels of bytes multiply;
- its divisions, of which a machine does far fewer;
- its bytes, inputs once and the result once, read from the level that they fit in all together: a
  row is repeated, so that they lie there. Where its multiply-adds are many for a byte, as in most
  rows, this time is the shortest.

Its roof is its multiply-adds over that time. All rates are medians of the same turns as the rows.

Source: Williams et al. 2009 (the roofline).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from machine import LANES, Level, MachineError, Probe, aligned, cache_levels, compiled_probes
from measure import Arithmetic, Kernel, Row
from tqdm import tqdm

from bharsdk.kernels import ops

__all__ = ["Point", "Roofs", "point", "roofline"]

PRODUCTS_IN_TILES = 6
"""Of bfloat16, for one of float32."""

SIDE = 512
"""Of the square matrices whose product, by libraries, no peak may be below."""

NOISE = 1.05


@dataclass(frozen=True)
class Roofs:
    """What one thread does at most, a second.

    multiply_adds: by kind of arithmetic. bandwidths: bytes read from each level,
    nearest first. products: multiply-adds of large matrix products of libraries, by their names.
    """

    isa: str
    multiply_adds: Mapping[Arithmetic, float]
    divisions: float
    bandwidths: Sequence[tuple[Level, float]]
    products: Mapping[str, float]

    def arithmetic_of(self, kernel: Kernel) -> Arithmetic:
        """The kind of its multiply-adds on this machine."""
        has = kernel.arithmetic in self.multiply_adds
        return kernel.arithmetic if has else Arithmetic.FMA

    def least_seconds(self, kernel: Kernel, multiply_adds: int) -> dict[str, float]:
        """What it needs -> for how long."""
        arithmetic = self.arithmetic_of(kernel)
        level, bandwidth = next(
            ((level, rate) for level, rate in self.bandwidths if kernel.bytes <= level.size_bytes),
            self.bandwidths[-1],
        )
        return {
            arithmetic.value: multiply_adds / self.multiply_adds[arithmetic],
            "divisions": kernel.divisions / self.divisions,
            level.name: kernel.bytes / bandwidth,
        }


@dataclass(frozen=True)
class Point:
    """A row under its roof. bound_by: what it needs longest: arithmetic, divisions or a level."""

    row: str
    work: str
    multiply_adds: int
    bytes: int
    arithmetic: str
    bound_by: str
    roof_gmacs_per_second: float
    gmacs_per_second: float

    @property
    def intensity(self) -> float:
        """Multiply-adds for a byte."""
        return self.multiply_adds / self.bytes

    @property
    def percent_of_roof(self) -> float:
        """100 is the roof."""
        return 100 * self.gmacs_per_second / self.roof_gmacs_per_second


def point(row: Row, kernel: Kernel, seconds: float, roofs: Roofs) -> Point:
    """Of a row whose kernel took so long."""
    least = roofs.least_seconds(kernel, row.multiply_adds)
    bound_by = max(least, key=lambda name: least[name])
    return Point(
        row.name,
        row.work,
        row.multiply_adds,
        kernel.bytes,
        roofs.arithmetic_of(kernel).value,
        bound_by,
        row.multiply_adds / least[bound_by] / 1e9,
        row.multiply_adds / seconds / 1e9,
    )


def roofline(rows: Sequence[Row], rounds: int) -> tuple[Roofs, list[Point]]:
    """Measure the machine and the kernels of the rows in turns, on the instruction set in use.

    Raises MachineError where the machine cannot be measured, or a library's product is faster than
    the peak that was found.
    """
    isa = ops.active_isa()
    kernels = [(row, row.kernel) for row in rows if row.kernel is not None]
    levels = cache_levels()
    probes = [*compiled_probes(isa, levels), *_products()]
    calls = [*(probe.call for probe in probes), *(kernel.call for _, kernel in kernels)]
    seconds = _seconds(calls, rounds)
    rates = {probe.name: probe.amount / took for probe, took in zip(probes, seconds, strict=False)}
    roofs = _roofs(isa, levels, rates)
    timed = zip(kernels, seconds[len(probes) :], strict=True)
    return roofs, [point(row, kernel, took, roofs) for (row, kernel), took in timed]


def _seconds(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Medians. Of two calls in a turn the second counts: its data lie where the first left them."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in tqdm(range(rounds), desc="roofline", unit="round", leave=False):
        for call, times in zip(calls, taken, strict=True):
            call()
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in taken]


def _products() -> list[Probe]:
    """Of libraries, on one thread."""
    torch.set_num_threads(1)
    left, right, out = (aligned(4 * SIDE**2).reshape(SIDE, SIDE) for _ in range(3))
    tensors = [torch.from_numpy(array) for array in (left, right, out)]
    calls = {
        "numpy": lambda: np.matmul(left, right, out=out),
        "torch": lambda: torch.mm(tensors[0], tensors[1], out=tensors[2]),
    }
    return [Probe(name, call, SIDE**3) for name, call in calls.items()]


def _roofs(isa: str, levels: Sequence[Level], rates: Mapping[str, float]) -> Roofs:
    multiply_adds = {kind: rates[kind.value] for kind in Arithmetic if kind.value in rates}
    if Arithmetic.TILES in multiply_adds:
        multiply_adds[Arithmetic.TILES] /= PRODUCTS_IN_TILES
    products = {name: rates[name] for name in ("numpy", "torch")}
    for name, rate in products.items():
        # Libraries take the best instruction set, whichever we were told to take.
        if LANES[isa] == LANES[ops.available_isas()[0]] and rate > NOISE * rates["fma"]:
            raise MachineError(
                f"got a peak of {rates['fma'] / 1e9:.1f} GMAC/s and a matrix product of {name} at"
                f" {rate / 1e9:.1f}, expected none above it: run again when the machine is at rest"
            )
    bandwidths = [(level, rates[level.name]) for level in levels]
    return Roofs(isa, multiply_adds, rates["division"], bandwidths, products)
