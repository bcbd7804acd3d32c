"""Folding for deployment: what is constant after training becomes weights.

Every model has ``deploy()``, which returns a new module of plain convolutions, MatMuls and adds
that computes the same logits: batch normalization and deformable temporal convolutions are gone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = [
    "Affine",
    "Shift",
    "bn_scale_shift",
    "fold_aggregated_bn",
    "fold_conv_bn",
    "one_by_one",
    "pointwise",
    "side_by_side",
]

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


class Affine(nn.Module):
    """``x * scale + shift`` with constants of any broadcastable shape: a folded BatchNorm."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale.detach().clone())
        self.register_buffer("shift", shift.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape the constants broadcast to."""
        return x * self.scale + self.shift


class Shift(nn.Module):
    """``x + shift`` with one constant per channel: [C] onto [N, C, T, V]."""

    shift: Tensor

    def __init__(self, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("shift", shift.detach().clone().view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V]."""
        return x + self.shift


def bn_scale_shift(bn: BatchNorm) -> tuple[Tensor, Tensor]:
    """(scale, shift), each [C]: ``bn(x) == x * scale + shift`` in evaluation mode."""
    assert bn.running_mean is not None and bn.running_var is not None
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    return scale.detach(), (bn.bias - bn.running_mean * scale).detach()


def fold_conv_bn(weight: Tensor, bias: Tensor | None, bn: BatchNorm) -> tuple[Tensor, Tensor]:
    """Weight [O, ...] and bias [O] of the convolution that equals convolution then ``bn``."""
    scale, shift = bn_scale_shift(bn)
    folded = weight.detach() * scale.view(-1, *[1] * (weight.dim() - 1))
    return folded, shift if bias is None else bias.detach() * scale + shift


def fold_aggregated_bn(conv: nn.Conv2d, bn: BatchNorm, partitions: int) -> tuple[nn.Conv2d, Shift]:
    """The two parts of a BatchNorm behind a 1x1 convolution to ``partitions`` and an aggregation.

    BatchNorm scales and shifts channels, aggregation mixes joints. They commute, so the scale goes
    into the convolution (a new one), except that the shift must not be aggregated: it follows.
    """
    scale, shift = bn_scale_shift(bn)
    factor = scale.repeat(partitions)
    assert conv.bias is not None
    weight = conv.weight.detach() * factor.view(-1, 1, 1, 1)
    return pointwise(weight, conv.bias.detach() * factor), Shift(shift)


def pointwise(weight: Tensor, bias: Tensor, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution with the given weight [O, I / groups, K, 1] and bias [O]; no padding."""
    out, per_group, taps, _ = weight.shape
    conv = nn.Conv2d(per_group * groups, out, (taps, 1), stride=(stride, 1), groups=groups)
    conv.weight.data.copy_(weight)
    conv.bias.data.copy_(bias)  # type: ignore[union-attr]
    return conv


def side_by_side(convs: Sequence[nn.Conv2d], *, inputs_too: bool = False) -> nn.Conv2d:
    """K 1x1 convolutions in G groups as one, whose outputs are [G, K, O / G].

    They read the same [G, I / G]; inputs_too: each its own part of [G, K, I / G].
    """
    groups = convs[0].groups
    weights = [conv.weight.view(groups, -1, *conv.weight.shape[1:]) for conv in convs]
    biases = [conv.bias.view(groups, -1) for conv in convs if conv.bias is not None]
    return pointwise(
        torch.stack(weights, 1).flatten(0, 2),
        torch.stack(biases, 1).flatten(),
        groups=groups * len(convs) if inputs_too else groups,
    )


def one_by_one(conv: nn.Conv2d, count: int, *, inputs_too: bool = False) -> list[nn.Conv2d]:
    """The ``count`` convolutions that are ``conv`` :func:`side_by_side`."""
    assert conv.bias is not None
    groups = conv.groups // count if inputs_too else conv.groups
    weights = conv.weight.view(groups, count, -1, *conv.weight.shape[1:]).unbind(1)
    biases = conv.bias.view(groups, count, -1).unbind(1)
    return [
        pointwise(weight.flatten(0, 1), bias.flatten(), groups=groups)
        for weight, bias in zip(weights, biases, strict=True)
    ]
