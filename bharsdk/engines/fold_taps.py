"""Taps between frames, in integers, as the taps at whole frames that compute the same.

A convolution that samples between frames is stored by its samples: fewer bytes than the kernel
that it folds into. Integers compute at whole frames, so it is folded as a network is loaded: the
same numbers on every machine, since each is a few products and sums in float64, in a fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError

__all__ = ["MOST_INTEGER", "FoldedTaps", "folded_taps"]

MOST_INTEGER = 63
"""Of a weight that multiplies bytes: seven bits."""
MOST_TAPS = 64
"""That a kernel takes (``cpp_ops/include/bhar_ops/temporal_conv.h``)."""


@dataclass(frozen=True, eq=False)
class FoldedTaps:
    """values: int8 [G, F, I, O] of magnitude 63 or less. scales: float32 [G, O]. offsets: of F."""

    values: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    offsets: tuple[int, ...]


def folded_taps(
    values: npt.NDArray[np.int8],
    scales: npt.NDArray[np.float32],
    offsets: Sequence[int],
    fractions: Sequence[float],
) -> FoldedTaps:
    """Taps ``values`` int8 [G, K, I, O], at ``offsets`` plus ``fractions``, at whole frames.

    scales: float32 [G, O]. A sample at ``o + f`` is ``1 - f`` of frame ``o`` and ``f`` of the next
    one. Raises InputError unless there are as many of each, and fractions are from 0 to 1.
    """
    taps = values.shape[1] if values.ndim == 4 else 0
    if not len(offsets) == len(fractions) == taps > 0:
        raise InputError(
            f"got {len(offsets)} offsets and {len(fractions)} fractions, expected one of each for"
            f" every tap of a weight {list(values.shape)}"
        )
    if not all(0 <= fraction <= 1 for fraction in fractions):
        raise InputError(f"got fractions {[*fractions]}, expected 0 to 1")
    first, last = min(offsets), max(map(math.ceil, map(sum, zip(offsets, fractions, strict=True))))
    if last - first >= MOST_TAPS:
        raise InputError(f"got taps {last - first} frames apart, expected less than {MOST_TAPS}")
    groups, _, inputs, outputs = values.shape
    exact = np.zeros((groups, last - first + 1, inputs, outputs))
    for k, (offset, fraction) in enumerate(zip(offsets, fractions, strict=True)):
        exact[:, offset - first] += values[:, k] * (1.0 - fraction)
        if fraction > 0:
            exact[:, offset - first + 1] += values[:, k] * float(fraction)
    most = np.abs(exact).max(axis=(1, 2))
    step = np.where(most > 0, most / MOST_INTEGER, 1.0)
    return FoldedTaps(
        np.rint(exact / step[:, None, None]).astype(np.int8),
        (scales * step).astype(np.float32),
        tuple(range(first, last + 1)),
    )
