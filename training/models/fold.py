"""Folding for deployment: what is constant after training becomes weights.

Every model has ``deploy()``, which returns a new module of plain convolutions, MatMuls and adds
that computes the same logits: batch normalisation and deformable temporal convolutions are gone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Affine", "Shift", "bn_scale_shift", "fold_aggregated_bn", "fold_conv_bn", "pointwise"]

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
