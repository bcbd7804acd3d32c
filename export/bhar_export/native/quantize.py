"""A native network in float32 -> the same in integers, and how its features become bytes.

Weights are seven bits and a sign short of eight, [-63, 63], one scale for each output: two products
with a byte then fit 16 bits, so that CPUs without dot products of bytes compute the same, to the
last bit. Features become bytes by the range of what calibration clips led to.
What multiplies no bytes, adjacencies, what refines them and classifiers, is only kept in integers:
floats when the network is loaded. So is what samples between frames: it is folded to whole frames
then, and rounded to [-63, 63] (:mod:`bharsdk.engines.fold_taps`).
(Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", section 2)
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bhar_export.graph.exported_model import IntegerNodes
from bhar_export.quantization.ranges import BINS, Histogram, RangeMethod, limit_of
from bharsdk import _ops
from bharsdk.engines.fold_taps import MOST_INTEGER
from bharsdk.engines.network import (
    Aggregate,
    Attention,
    Classify,
    Constant,
    Conv,
    Excite,
    Input,
    Layer,
    NetworkSpec,
    PooledAttention,
    Quantization,
    Refinement,
    scales_shape,
)

__all__ = ["NetworkQuantizer", "QuantizedNetwork"]

FloatArray = npt.NDArray[np.float32]
Part = TypeVar("Part")

COMPUTE = (Conv, Aggregate, Attention, PooledAttention, Excite, Classify)
"""Layers that hold the multiply-adds."""
MOST_STORED = 127
"""Of what is only kept in integers."""
INPUTS_AT_ONCE = 4
"""Channels of a feature that one instruction meets; a weight of others stays in floats."""
LEAST_INTEGERS = 512
"""A smaller constant stays in floats: its scales would take as much."""


@dataclass(frozen=True)
class QuantizedNetwork:
    """``spec`` and what ``weights.bin`` and ``integers.bin`` hold."""

    spec: NetworkSpec
    weights: bytes
    integers: bytes

    @property
    def nodes(self) -> IntegerNodes:
        """Aggregations multiply features by weights in integers, and over joints in float."""
        compute = {
            _name(layer, index): part
            for index, layer in enumerate(self.spec.layers)
            if isinstance(part := _part(layer)[1], COMPUTE)
        }
        integer = [
            name
            for name, part in compute.items()
            if isinstance(part, Conv | Aggregate) and part.weight.scales is not None
        ]
        return IntegerNodes(len(integer), tuple(name for name in compute if name not in integer))


class NetworkQuantizer:
    """``spec`` in integers; what its layers meet is observed once, on ``clips``.

    network: what ``spec`` and ``weights`` make, in floats. clips: batches of what it reads, by the
    names of the sources in order.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        weights: bytes,
        network: _ops.Network,
        clips: Iterable[Mapping[str, FloatArray]],
    ) -> None:
        self._spec, self._weights = spec, weights
        self._observed = _observed(network, [[*batch.values()] for batch in clips])

    @property
    def layers(self) -> tuple[str, ...]:
        """Those whose constants may be integers: ``conv 12``, by their place in the network."""
        return tuple(
            _name(layer, index)
            for index, layer in enumerate(self._spec.layers)
            if isinstance(_part(layer)[1], COMPUTE) and not isinstance(_part(layer)[1], Classify)
        )

    def quantized(
        self, ranges: RangeMethod = RangeMethod.MIN_MAX, in_float: Collection[str] = ()
    ) -> QuantizedNetwork:
        """The network in integers, but for those of ``layers`` that are to stay ``in_float``."""
        writer = _Writer(np.frombuffer(self._weights, "<f4"))
        layers = tuple(
            writer.layer(layer, _bytes_of(seen, ranges), kept=_name(layer, index) in in_float)
            for index, (layer, seen) in enumerate(
                zip(self._spec.layers, self._observed, strict=True)
            )
        )
        spec = replace(self._spec, layers=layers)
        return QuantizedNetwork(spec, writer.weights(), writer.integers())


def _observed(network: _ops.Network, clips: list[list[FloatArray]]) -> list[Histogram | None]:
    """Of each layer, what its weight meets; None where that are no features."""
    batches = [[*map(np.ascontiguousarray, batch)] for batch in clips]
    seen = np.stack([network.observe(batch) for batch in batches])
    ranges = [
        (float(least), float(most))
        for least, most in zip(seen.min(0)[:, 0], seen.max(0)[:, 1], strict=True)
    ]
    limits = [limit_of(*found) if found[0] <= found[1] else 1.0 for found in ranges]
    counts = np.sum([network.count(batch, limits, BINS) for batch in batches], 0)
    return [
        Histogram(*found, limit, count) if found[0] <= found[1] else None
        for found, limit, count in zip(ranges, limits, counts, strict=True)
    ]


def _part(layer: Layer) -> tuple[str, Any]:
    """The one field of ``layer`` that is set, and its name."""
    ((name, value),) = ((n, v) for n, v in vars(layer).items() if v is not None)
    return name, value


def _name(layer: Layer, index: int) -> str:
    return f"{_part(layer)[0]} {index}"


def _bytes_of(seen: Histogram | None, ranges: RangeMethod) -> Quantization | None:
    """Zero is exact: padding and most of what is leaky has to be."""
    if seen is None:
        return None
    least, most = seen.range(ranges)
    step = max((most - least) / 255, 1e-20)
    return Quantization(step, round(-least / step))


class _Writer:
    """Takes the constants of layers in their order, in integers where that pays."""

    def __init__(self, floats: FloatArray) -> None:
        self._from = floats
        self._floats: list[npt.NDArray[np.float32]] = []
        self._integers: list[npt.NDArray[np.int8]] = []
        self._float_count = self._integer_count = 0

    def weights(self) -> bytes:
        return b"".join(array.astype("<f4").tobytes() for array in self._floats)

    def integers(self) -> bytes:
        return b"".join(array.tobytes() for array in self._integers)

    def layer(self, layer: Layer, x_bytes: Quantization | None, *, kept: bool) -> Layer:
        """``layer`` with its constants moved; computed in integers if it can be.

        kept: its constants, and so what it computes, stay in float.
        """
        name, value = _part(layer)
        made = self._moved(value, kept=kept)
        if isinstance(made, Conv | Aggregate) and made.weight.scales is not None:
            made = replace(made, x_bytes=x_bytes)
        return replace(layer, **{name: made})

    def _moved(self, part: Part, *, kept: bool = False) -> Part:
        changed: dict[str, object] = {}
        for field in fields(part):  # type: ignore[arg-type]
            value = getattr(part, field.name)
            if isinstance(value, Constant):
                computed = isinstance(part, Conv | Aggregate) and field.name == "weight"
                whole = not computed or value.shape[-2] % INPUTS_AT_ONCE == 0
                in_float = kept or isinstance(part, Input) or not whole
                # Samples between frames become others before they multiply.
                as_they_are = computed and not (isinstance(part, Conv) and part.fractions)
                most = MOST_INTEGER if as_they_are else MOST_STORED
                changed[field.name] = self._constant(value, most, kept=in_float)
            elif isinstance(value, Refinement):
                changed[field.name] = self._moved(value, kept=kept)
        return replace(part, **changed)  # type: ignore[type-var]

    def _constant(self, constant: Constant, largest: int, *, kept: bool) -> Constant:
        size = math.prod(constant.shape)
        values = self._from[constant.offset : constant.offset + size].reshape(constant.shape)
        if kept or len(constant.shape) < 2 or size < LEAST_INTEGERS:
            return Constant(self._float(values), constant.shape)
        return self._quantized(values, largest)

    def _quantized(self, values: FloatArray, largest: int) -> Constant:
        middle = tuple(range(1 if values.ndim > 2 else 0, values.ndim - 1))
        most = np.abs(values).max(axis=middle, keepdims=True)
        scales = np.where(most > 0, most / largest, 1).astype(np.float32)
        offset = self._integer_count
        self._integers.append(np.rint(values / scales).astype(np.int8))
        self._integer_count += values.size
        shape = scales_shape(values.shape)
        return Constant(offset, values.shape, self._float(scales.reshape(shape)))

    def _float(self, values: FloatArray) -> int:
        self._floats.append(values)
        self._float_count += values.size
        return self._float_count - values.size
