"""A native network in float32 -> the same in integers, and how its features become bytes.

Weights are seven bits and a sign short of eight, [-63, 63], one scale for each output: two products
with a byte then fit 16 bits, so that CPUs without dot products of bytes compute the same, to the
last bit. Features become bytes by the least and the greatest value that calibration clips led to.
What meets no clips, adjacencies and what refines them, is only kept in integers: floats when the
network is loaded. (Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", section 2)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bharsdk import _ops
from bharsdk.engines.network import (
    Aggregate,
    Bytes,
    Classify,
    Constant,
    Conv,
    Input,
    Layer,
    NetworkSpec,
    Refinement,
    scales_shape,
)

__all__ = ["QuantisedNetwork", "quantise_network"]

FloatArray = npt.NDArray[np.float32]
Part = TypeVar("Part")

MOST_INTEGER = 63
INPUTS_AT_ONCE = 4
"""Channels of a feature that one instruction meets; a weight of others stays in floats."""
LEAST_INTEGERS = 512
"""A smaller constant stays in floats: its scales would take as much."""


@dataclass(frozen=True)
class QuantisedNetwork:
    """``spec`` and what ``weights.bin`` and ``integers.bin`` hold."""

    spec: NetworkSpec
    weights: bytes
    integers: bytes


def quantise_network(
    spec: NetworkSpec,
    weights: bytes,
    network: _ops.Network,
    clips: Iterable[Mapping[str, FloatArray]],
) -> QuantisedNetwork:
    """``spec`` in integers, its ranges those of ``clips``, by the names of the sources in order.

    network: what ``spec`` and ``weights`` make, in floats.
    """
    ranges = _observed(network, clips)
    writer = _Writer(np.frombuffer(weights, "<f4"))
    layers = tuple(
        writer.layer(layer, _bytes_of(*limits))
        for layer, limits in zip(spec.layers, ranges, strict=True)
    )
    return QuantisedNetwork(replace(spec, layers=layers), writer.weights(), writer.integers())


def _observed(network: _ops.Network, clips: Iterable[Mapping[str, FloatArray]]) -> FloatArray:
    """[layers, 2]: the least and the greatest value that the weight of each layer meets."""
    seen = [network.observe([*map(np.ascontiguousarray, batch.values())]) for batch in clips]
    return np.stack([np.min(seen, 0)[:, 0], np.max(seen, 0)[:, 1]], 1)


def _bytes_of(least: float, most: float) -> Bytes | None:
    """Of a range, zero included: padding and most of what is leaky has to be exact there."""
    if not least <= most:  # the layer meets no features with a weight
        return None
    least, most = min(float(least), 0.0), max(float(most), 0.0)
    step = max((most - least) / 255, 1e-20)
    return Bytes(step, round(-least / step))


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

    def layer(self, layer: Layer, x_bytes: Bytes | None) -> Layer:
        """``layer`` with its constants moved; computed in integers if it can be."""
        ((name, value),) = ((n, v) for n, v in vars(layer).items() if v is not None)
        made = self._moved(value)
        if isinstance(made, Conv | Aggregate) and made.weight.scales is not None:
            made = replace(made, x_bytes=x_bytes)
        return replace(layer, **{name: made})

    def _moved(self, part: Part) -> Part:
        changed: dict[str, object] = {}
        for field in fields(part):  # type: ignore[arg-type]
            value = getattr(part, field.name)
            if isinstance(value, Constant):
                computed = isinstance(part, Conv | Aggregate) and field.name == "weight"
                whole = not computed or value.shape[-2] % INPUTS_AT_ONCE == 0
                kept = isinstance(part, Input | Classify) or not whole
                changed[field.name] = self._constant(value, kept=kept)
            elif isinstance(value, Refinement):
                changed[field.name] = self._moved(value)
        return replace(part, **changed)  # type: ignore[type-var]

    def _constant(self, constant: Constant, *, kept: bool) -> Constant:
        size = math.prod(constant.shape)
        values = self._from[constant.offset : constant.offset + size].reshape(constant.shape)
        if kept or len(constant.shape) < 2 or size < LEAST_INTEGERS:
            return Constant(self._float(values), constant.shape)
        return self._quantised(values)

    def _quantised(self, values: FloatArray) -> Constant:
        middle = tuple(range(1 if values.ndim > 2 else 0, values.ndim - 1))
        most = np.abs(values).max(axis=middle, keepdims=True)
        scales = np.where(most > 0, most / MOST_INTEGER, 1).astype(np.float32)
        offset = self._integer_count
        self._integers.append(np.rint(values / scales).astype(np.int8))
        self._integer_count += values.size
        shape = scales_shape(values.shape)
        return Constant(offset, values.shape, self._float(scales.reshape(shape)))

    def _float(self, values: FloatArray) -> int:
        self._floats.append(values)
        self._float_count += values.size
        return self._float_count - values.size
