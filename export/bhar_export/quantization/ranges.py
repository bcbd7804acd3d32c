"""What tensors hold, seen on calibration clips, and the range that eight bits are to cover.

A range that holds the rarest value makes every step coarse; one that clips it is wrong there. Which
loses less depends on the model, so several are tried and measured (see ``selection.py``).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bharsdk.errors import assert_never

__all__ = ["BINS", "Histogram", "RangeMethod", "limit_of", "observe", "ranges_of"]

FloatArray = npt.NDArray[np.float32]

BINS = 2048
"""Of each histogram, between minus and plus its limit."""
SAMPLES = 4096
"""Values of one tensor of one clip that are counted, evenly spread; least and most are exact."""
PERCENTILE = 99.99
STEPS = 255
"""Of eight bits."""
FRACTIONS = np.linspace(0.2, 1.0, 41)
"""Of the whole range, tried for the least squared error."""


class RangeMethod(enum.Enum):
    """How the range of a tensor follows from what it held."""

    MIN_MAX = "min-max"
    """All of it."""
    PERCENTILE = "percentile"
    """All but one value in ten thousand, on either side."""
    MSE = "mse"
    """The part of it whose values, rounded and clipped, have the least squared error.
    (Wu et al. 2020, "Integer Quantization for Deep Learning Inference", section 3.4)"""


@dataclass(frozen=True, eq=False)
class Histogram:
    """What one tensor held. least, most: exact. limit: a power of two, no value is larger.

    counts: int64 [BINS], of values from -limit to limit.
    """

    least: float
    most: float
    limit: float
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, values: FloatArray) -> Histogram:
        """Of finite ``values``, any shape, not empty."""
        least, most = float(values.min()), float(values.max())
        limit = limit_of(least, most)
        # An odd stride: an even one would meet the same joints and frames again and again.
        few = values.ravel()[:: max(1, values.size // SAMPLES) | 1]
        bins = ((few + limit) * (BINS / 2 / limit)).astype(np.int64).clip(0, BINS - 1)
        return cls(least, most, limit, np.bincount(bins, minlength=BINS))

    def __add__(self, other: Histogram) -> Histogram:
        limit = max(self.limit, other.limit)
        return Histogram(
            min(self.least, other.least),
            max(self.most, other.most),
            limit,
            self._within(limit) + other._within(limit),
        )

    def range(self, method: RangeMethod, *, symmetric: bool = False) -> tuple[float, float]:
        """(least, most) that eight bits are to cover, zero always among them.

        symmetric: about zero, as far to one side as to the other.
        """
        whole = min(self.least, 0.0), max(self.most, 0.0)
        match method:
            case RangeMethod.MIN_MAX:
                found = whole
            case RangeMethod.PERCENTILE:
                found = self._percentile(whole)
            case RangeMethod.MSE:
                found = self._least_error(_both(whole) if symmetric else whole)
            case _:
                assert_never(method)
        return _both(found) if symmetric else found

    def _within(self, limit: float) -> npt.NDArray[np.int64]:
        """``counts`` between wider limits: bins become pairs, and pairs of pairs."""
        counts = self.counts
        for _ in range(round(math.log2(limit / self.limit))):
            pairs = counts.reshape(-1, 2).sum(1)
            counts = np.pad(pairs, BINS // 4)
        return counts

    @property
    def _centers(self) -> npt.NDArray[np.float64]:
        return (np.arange(BINS) + 0.5) * (2 * self.limit / BINS) - self.limit

    def _percentile(self, whole: tuple[float, float]) -> tuple[float, float]:
        below = np.cumsum(self.counts) / max(1, self.counts.sum())
        rare = 1 - PERCENTILE / 100
        first = int(np.searchsorted(below, rare, side="right"))
        last = int(np.searchsorted(below, 1 - rare))
        width = 2 * self.limit / BINS
        least, most = first * width - self.limit, (last + 1) * width - self.limit
        return max(whole[0], min(least, 0.0)), min(whole[1], max(most, 0.0))

    def _least_error(self, whole: tuple[float, float]) -> tuple[float, float]:
        seen = self.counts > 0
        values, counts = self._centers[seen], self.counts[seen]

        def error(fraction: float) -> float:
            least, most = fraction * whole[0], fraction * whole[1]
            step = max((most - least) / STEPS, 1e-20)
            rounded = np.rint(values.clip(least, most) / step) * step
            return float(counts @ (values - rounded) ** 2)

        best = float(min(FRACTIONS, key=error))
        return best * whole[0], best * whole[1]


def _both(found: tuple[float, float]) -> tuple[float, float]:
    most = max(-found[0], found[1])
    return -most, most


def limit_of(least: float, most: float) -> float:
    """The power of two that no value between ``least`` and ``most`` exceeds; at least 2**-40."""
    return 2.0 ** max(-40, math.ceil(math.log2(max(abs(least), abs(most), 2.0**-40))))


def observe(seen: Iterable[Iterator[tuple[str, FloatArray]]]) -> dict[str, Histogram]:
    """Histograms of tensors by name; ``seen``: of each clip, name and values of each tensor.

    What is not finite is left out: before a maximum, edges are padded with minus infinity, which
    bytes hold as the least there is.
    """
    found: dict[str, Histogram] = {}
    for clip in seen:
        for name, values in clip:
            if not values.size:
                continue
            # Least and most tell, without an array of answers.
            whole = math.isfinite(values.min()) and math.isfinite(values.max())
            finite = values if whole else values[np.isfinite(values)]
            if finite.size:
                one = Histogram.of(finite)
                found[name] = found[name] + one if name in found else one
    return found


def ranges_of(
    observed: Mapping[str, Histogram], method: RangeMethod, *, symmetric: bool = False
) -> dict[str, tuple[float, float]]:
    """The range of each tensor."""
    return {name: seen.range(method, symmetric=symmetric) for name, seen in observed.items()}
