"""Writes a native network layer by layer: features, layers and constants in their order.

What the layers compute, and which parts of features they read and write, is in
:mod:`bharsdk.engines.network`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bhar_training.models.action_model import ActionModel
from bhar_training.models.fold import Affine, Shift
from bharsdk.engines.network import (
    Activation,
    Aggregate,
    Classify,
    Constant,
    Conv,
    FusionRule,
    Input,
    InputTensor,
    Layer,
    NetworkSpec,
    Part,
    Pool,
)
from bharsdk.errors import UsageError

__all__ = [
    "NONE",
    "RELU",
    "Flow",
    "NetworkWriter",
    "bias_of",
    "grouped_pointwise",
    "no_native_form",
]

RELU = 0.0
NONE = 1.0
"""Slopes below zero of what is no leaky ReLU."""


@dataclass(frozen=True)
class Flow:
    """Channels of some features: ``part`` and as many as ``channels`` from there."""

    part: Part
    of: Activation
    channels: int

    def slice(self, first: int, channels: int) -> Flow:
        """``channels`` of these, from the ``first`` on."""
        return Flow(Part(self.part.features, self.part.channel + first), self.of, channels)


class NetworkWriter:
    """Collects features, layers and constants in the order in which they come."""

    def __init__(self, sources: tuple[InputTensor, ...]) -> None:
        self._sources = sources
        self._features: list[Activation] = []
        self._layers: list[Layer] = []
        self._constants: list[npt.NDArray[np.float32]] = []
        self._size = 0

    def spec(self, classes: int, fusion: FusionRule, *, causal: bool) -> NetworkSpec:
        """What was written."""
        features, layers = tuple(self._features), tuple(self._layers)
        return NetworkSpec(self._sources, classes, fusion, features, layers, causal)

    def weights(self) -> bytes:
        """All constants, one after the other."""
        return b"".join(c.astype("<f4").tobytes() for c in self._constants)

    def constant(self, values: Tensor) -> Constant:
        """Keep ``values``."""
        array = np.ascontiguousarray(values.detach().numpy(), np.float32)
        self._constants.append(array)
        self._size += array.size
        return Constant(self._size - array.size, array.shape)

    def features(self, like: Activation, channels: int, *, stride: int = 1) -> Flow:
        """New features with the rows of ``like`` and every ``stride``-th frame."""
        frames = -(-like.frames // stride)
        return self.new(Activation(frames, like.persons, like.joints, channels))

    def new(self, features: Activation) -> Flow:
        """New features."""
        self._features.append(features)
        return Flow(Part(len(self._features) - 1), features, features.channels)

    def add(self, layer: Layer) -> None:
        """The next layer."""
        self._layers.append(layer)

    def input(
        self,
        out: Flow,
        rows: tuple[tuple[int, int, int], ...],
        norm: nn.Module,
        of_rows: Callable[[Tensor], Tensor],
    ) -> None:
        """The sources, normalized; ``of_rows``: the constants of ``norm`` -> [rows, C]."""
        assert isinstance(norm, Affine)
        scale, shift = (self.constant(of_rows(c).contiguous()) for c in (norm.scale, norm.shift))
        self.add(Layer(input=Input(out.part, rows, scale, shift)))

    def conv(
        self,
        x: Flow,
        conv: nn.Conv2d,
        out: Flow | None = None,
        *,
        slope: float = NONE,
        add: Flow | None = None,
        first: int = 0,
        taps_at: Sequence[float] = (),
        zero_edges: bool = False,
    ) -> Flow:
        """``conv`` over time, its first tap ``first`` frames from where it writes.

        taps_at: where each of the taps is instead, if not one frame after the other.
        """
        weight, bias, groups, stride = conv.weight, conv.bias, conv.groups, conv.stride[0]
        assert bias is not None
        outputs, inputs, taps, _ = weight.shape
        out = out or self.features(x.of, outputs, stride=stride)
        at = [math.floor(tap) for tap in taps_at] or list(range(first, first + taps))
        fractions = [tap - whole for tap, whole in zip(taps_at, at, strict=False)]
        grouped = weight.view(groups, outputs // groups, inputs, taps).permute(0, 3, 2, 1)
        self.add(
            Layer(
                conv=Conv(
                    x.part,
                    out.part,
                    self.constant(grouped),
                    self.constant(bias),
                    tuple(at),
                    stride,
                    slope,
                    add.part if add else None,
                    zero_edges,
                    tuple(fractions) if any(fractions) else (),
                )
            )
        )
        return out

    def static_graph(
        self,
        x: Flow,
        conv: nn.Conv2d,
        adjacency: Tensor,
        shift: nn.Module,
        out: Flow | None = None,
        *,
        slope: float,
        add: Flow,
    ) -> Flow:
        """A 1x1 convolution to all partitions, adjacencies [K, from, to], shift, residual."""
        channels = conv.out_channels // len(adjacency)
        weight, weight_bias = grouped_pointwise(conv)
        bias = shift.shift.flatten() if isinstance(shift, Shift) else torch.zeros(channels)
        out = out or self.features(x.of, channels)
        layer = Aggregate(
            x.part,
            out.part,
            self.constant(weight),
            self.constant(weight_bias),
            self.constant(adjacency.transpose(1, 2)),
            self.constant(bias),
            slope,
            add.part,
        )
        self.add(Layer(aggregate=layer))
        return out

    def pool(
        self,
        x: Flow,
        out: Flow,
        affine: tuple[Tensor, Tensor] | None = None,
        *,
        first: int = 0,
        last: int = 0,
        stride: int = 1,
        mean: bool = False,
        slope: float = NONE,
        add: Flow | None = None,
    ) -> Flow:
        """Pool ``x`` over frames, then ``affine`` (scale, shift)."""
        scale, shift = affine or (torch.ones(x.channels), torch.zeros(x.channels))
        constants = self.constant(scale.flatten()), self.constant(shift.flatten())
        plus = add.part if add else None
        layer = Pool(x.part, out.part, *constants, first, last, stride, mean, slope, plus)
        self.add(Layer(pool=layer))
        return out

    def classify(
        self, x: Flow, head: nn.Linear | nn.Conv2d, window: int | None, *, greatest: bool
    ) -> None:
        """The logits of ``x``."""
        assert head.bias is not None
        weight = self.constant(head.weight.flatten(1).t())
        layer = Classify(x.part, weight, self.constant(head.bias), greatest, window or 0)
        self.add(Layer(classify=layer))


def grouped_pointwise(conv: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight [G, I / G, O / G] and bias [O] of a 1x1 convolution in groups."""
    assert isinstance(conv, nn.Conv2d)
    outputs, inputs, _, _ = conv.weight.shape
    grouped = conv.weight.view(conv.groups, outputs // conv.groups, inputs)
    return grouped.transpose(1, 2), bias_of(conv)


def bias_of(conv: nn.Conv2d) -> Tensor:
    """That of a layer that has one."""
    assert conv.bias is not None
    return conv.bias


def no_native_form(module: nn.Module) -> UsageError:
    """What refuses ``module``, a model or a layer."""
    kind = "model" if isinstance(module, ActionModel) else "layer"
    return UsageError(
        f"target native: got a {kind} {type(module).__name__}, expected pr-gcn, a bharnet or one"
        " expert, of DeGCN: export it with --target onnx"
    )
