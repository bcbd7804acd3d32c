"""What a native network would take, from its ``network.json`` alone.

Layers name constants by where they lie, so many may name the same one; each then gets a copy of its
own, expanded to floats where the file has bytes. Taps between frames, in integers, are folded to
whole frames: two that lie far apart become a kernel of all frames between them
(:mod:`bharsdk.engines.fold_taps`). Both are counted before anything is made. What running takes is
counted as the network is built (``cpp_ops/src/network/build.cc``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_NETWORK_BYTES

__all__ = ["check_network_cost"]

KEPT = 16
"""Bytes for each value of a constant: a float as it is read, one in its layer, and its parts for
tiles."""
FOLDED = 48
"""For each value of a folded kernel: float64, a few of them while it is made."""


def check_network_cost(layers: tuple[Any, ...], constant: type[Any]) -> None:
    """Raise InputError unless the constants of ``layers`` fit :data:`MAX_NETWORK_BYTES`.

    layers: of a native network. constant: the class of the constants that they name.
    """
    kept = folding = 0
    for layer in layers:
        kept += KEPT * sum(map(math.prod, _shapes(layer, constant)))
        folding = max(folding, FOLDED * _folded(layer))
    if kept + folding > MAX_NETWORK_BYTES:
        raise InputError(
            f"got constants that take {(kept + folding) >> 20} MB as they are expanded, expected at"
            f" most {MAX_NETWORK_BYTES >> 20} MB"
        )


def _shapes(layer: object, constant: type[Any]) -> Iterator[tuple[int, ...]]:
    """Of all constants that ``layer`` names, in whatever part of it."""
    for value in vars(layer).values():
        if isinstance(value, constant):
            if min(value.shape, default=0) < 1:
                raise InputError(f"got a constant {list(value.shape)[:8]}, expected sizes above 0")
            yield value.shape
        elif hasattr(value, "__dataclass_fields__"):
            yield from _shapes(value, constant)


def _folded(layer: Any) -> int:
    """Values of its kernel at whole frames; 0 where nothing is folded."""
    conv = layer.conv
    if conv is None or conv.x_bytes is None or not conv.fractions or not conv.offsets:
        return 0
    groups, _, inputs, outputs = (*conv.weight.shape, 1, 1, 1, 1)[:4]
    reach: int = max(conv.offsets) - min(conv.offsets) + 2
    return int(groups * inputs * outputs) * reach
