"""PR-GCN: pose refinement, motion-guided fusion and temporal aggregation (Li et al. 2020).

Input x: [N, C, T, V, M]; persons fold into the batch. Stages: PRM corrects the coordinates, GFM
fuses a position flow with a strided motion flow, TAM weighs channels and aggregates over time.
Any T, also below 30 and not a multiple of 6, and batch 1 with one person.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bhar_training.models.causal import CausalMaxPool, moving_average, running_mean, window_at
from bhar_training.models.deployed import aggregate
from bhar_training.models.fold import (
    Affine,
    bn_scale_shift,
    fold_aggregated_bn,
    fold_conv_bn,
    pointwise,
)
from bharsdk.landmarks.skeleton import Skeleton

__all__ = ["PRGCN"]

DENSE_START = 1e-4
"""Added to every entry of A, so that joints which no bone joins can learn a link."""
MOTION_STRIDES = (1, 2, None, 1, 3)
"""Stages of the motion flow: the stride of a temporal convolution, or None for a graph one."""
TAM_POOL = 5


class TemporalConv(nn.Module):
    """tcn: BatchNorm, 3x1 convolution with stride, BatchNorm, ReLU; no residual.

    causal: the taps end at the frame they are for, instead of lying around it.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, causal: bool = False) -> None:
        super().__init__()
        self.norm: nn.Module = nn.BatchNorm2d(inputs)
        around = 0 if causal else 1
        self.conv = nn.Conv2d(inputs, outputs, (3, 1), stride=(stride, 1), padding=(around, 0))
        self.bn: nn.Module = nn.BatchNorm2d(outputs)
        self.causal, self.stride = causal, stride

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', ceil(T / stride), V]."""
        x = self.norm(x)
        if self.causal:
            x = F.pad(x, (0, 0, 2, 0))
        return F.relu(self.bn(self.conv(x)))

    def fold(self) -> None:
        """Fold the BatchNorms. The first stays a scale and shift: zero padding follows it."""
        assert isinstance(self.norm, nn.BatchNorm2d) and isinstance(self.bn, nn.BatchNorm2d)
        scale, shift = bn_scale_shift(self.norm)
        self.norm = Affine(scale.view(1, -1, 1, 1), shift.view(1, -1, 1, 1))
        weight, bias = fold_conv_bn(self.conv.weight, self.conv.bias, self.bn)
        self.conv.weight.data, self.bn = weight, nn.Identity()
        self.conv.bias = nn.Parameter(bias)


class GraphConv(nn.Module):
    """gcn: 1x1 convolution to three partitions, learnable adjacencies, BatchNorm, residual."""

    def __init__(self, inputs: int, outputs: int, partitions: Tensor) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs * len(partitions), 1)
        self.adjacency = nn.Parameter(partitions + DENSE_START)
        self.bn: nn.Module = nn.BatchNorm2d(outputs)
        self.residual: nn.Module = nn.Identity()
        if inputs != outputs:
            self.residual = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', T, V]."""
        return F.relu(self.bn(aggregate(self.conv(x), self.adjacency)) + self.residual(x))

    def fold(self) -> None:
        """Fold the BatchNorms: the scale into the convolution, the shift into an add."""
        assert isinstance(self.bn, nn.BatchNorm2d)
        self.conv, after = fold_aggregated_bn(self.conv, self.bn, len(self.adjacency))
        self.bn = after
        if isinstance(self.residual, nn.Sequential):
            conv, bn = self.residual
            assert isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d)
            # Both shifts are one.
            weight, bias = fold_conv_bn(conv.weight, conv.bias, bn)
            self.residual, self.bn = pointwise(weight, bias + after.shift.flatten()), nn.Identity()


class PoseRefinement(nn.Module):
    """PRM: a small graph network predicts an offset that is added to the coordinates."""

    mask: Tensor

    def __init__(
        self, inputs: int, refined: int, partitions: Tensor, *, causal: bool = False
    ) -> None:
        super().__init__()
        self.enter = nn.Conv2d(inputs, 32, 1)
        self.graph1 = GraphConv(32, 32, partitions)
        self.temporal = TemporalConv(32, 64, causal=causal)
        self.graph2 = GraphConv(64, 64, partitions)
        self.leave = nn.Conv2d(64, inputs, 1)
        # Channels beyond the coordinates (a confidence, presence) are read, not moved.
        mask = (torch.arange(inputs) < refined).float().view(1, -1, 1, 1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> the same shape."""
        offset: Tensor = self.leave(self.graph2(self.temporal(self.graph1(self.enter(x)))))
        return x + offset * self.mask


class TemporalAggregation(nn.Module):
    """TAM: average over time, channel attention, a last graph convolution.

    window: of the running means, in frames of x, of the causal form. That form averages without a
    stride: with one it would have an answer every thirty frames only.
    """

    def __init__(
        self, channels: int, outputs: int, partitions: Tensor, window: int | None = None
    ) -> None:
        super().__init__()
        self.window = window
        self.expand = nn.Conv2d(channels, outputs, 1)
        self.reduce = nn.Conv2d(outputs, channels, 1)
        self.graph = GraphConv(channels, outputs, partitions)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', ceil(T / 5), V], or T frames of the causal form."""
        if self.window is None:
            x = F.avg_pool2d(x, (TAM_POOL, 1), ceil_mode=True, count_include_pad=False)
            squeezed = x.mean((2, 3), keepdim=True)
        else:
            x = moving_average(x, TAM_POOL)
            squeezed = running_mean(x.mean(3, keepdim=True), self.window)
        return self.weighed(x, squeezed)

    def weighed(self, x: Tensor, squeezed: Tensor) -> Tensor:
        """x: [N, C, T, V], its channels weighed by what ``squeezed`` [N, C, 1 or T, 1] excites."""
        out: Tensor = self.graph(x * torch.sigmoid(self.reduce(F.relu(self.expand(squeezed)))))
        return out


class PRGCN(nn.Module):
    """Skeleton x [N, C, T, V, M] -> logits [N, classes].

    refined: how many leading channels PRM may move (the coordinates). prm, tam: the ablation.
    window: of the running means of the causal form, in frames; None: the form of the paper.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        channels: int,
        classes: int,
        *,
        refined: int,
        prm: bool = True,
        tam: bool = True,
        dropout: float = 0.0,
        window: int | None = None,
    ) -> None:
        super().__init__()
        partitions, causal = torch.from_numpy(skeleton.partitions()), window is not None
        self.window = (
            None if window is None else window_at(window, math.prod(filter(None, MOTION_STRIDES)))
        )
        self.input_norm: nn.Module = nn.BatchNorm1d(channels * skeleton.joint_count)
        self.refine: nn.Module = nn.Identity()
        if prm:
            self.refine = PoseRefinement(channels, refined, partitions, causal=causal)
        self.enter_position = TemporalConv(channels, 64, causal=causal)
        self.enter_motion = TemporalConv(channels, 64, causal=causal)
        self.motion = nn.ModuleList(
            GraphConv(64, 64, partitions)
            if stride is None
            else TemporalConv(64, 64, stride, causal=causal)
            for stride in MOTION_STRIDES
        )
        widths = (64, 64, 64, 64, 128)
        self.position = nn.ModuleList(GraphConv(128, width, partitions) for width in widths)
        self.aggregate: nn.Module = nn.Identity()
        if tam:
            self.aggregate = TemporalAggregation(128, 256, partitions, self.window)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv2d(256 if tam else 128, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V, M] -> logits [N, classes]."""
        n, c, t, v, m = x.shape
        x = x.permute(0, 4, 1, 2, 3).reshape(n * m, c, t, v)
        x = self.refine(self._normalize(x))
        motion = F.pad(x[:, :, 1:] - x[:, :, :-1], (0, 0, 1, 0))
        x = self.aggregate(self._fuse(self.enter_position(x), self.enter_motion(motion)))
        if self.window is None:
            pooled = x.mean((2, 3))
        else:
            pooled = running_mean(x.mean(3), self.window)[:, :, -1]
        pooled = pooled.view(n, m, -1).amax(1)
        logits: Tensor = self.head(self.dropout(pooled)[:, :, None, None])
        return logits[:, :, 0, 0]

    def _normalize(self, x: Tensor) -> Tensor:
        if not isinstance(self.input_norm, nn.BatchNorm1d):
            out: Tensor = self.input_norm(x)
            return out
        n, c, t, v = x.shape
        flat: Tensor = self.input_norm(x.transpose(2, 3).reshape(n, c * v, t))
        return flat.view(n, c, v, t).transpose(2, 3)

    def _fuse(self, position: Tensor, motion: Tensor) -> Tensor:
        """GFM: each stage of the motion flow guides one graph convolution of the position flow."""
        for guide, graph in zip(self.motion, self.position, strict=True):
            before = motion.shape[2]
            motion = guide(motion)
            stride = -(-before // motion.shape[2])
            if self.window is not None and isinstance(guide, TemporalConv):
                position = CausalMaxPool(guide.stride, guide.stride)(position)
            elif position.shape[2] > motion.shape[2]:
                position = F.max_pool2d(position, (stride, 1), ceil_mode=True)
            position = graph(torch.cat([position, motion], dim=1))
        return position

    def fold(self) -> None:
        """Turn this module, in place, into its deployed form."""
        assert isinstance(self.input_norm, nn.BatchNorm1d)
        scale, shift = bn_scale_shift(self.input_norm)
        channels = self.enter_position.conv.in_channels
        # [C * V] -> [1, C, 1, V], the order of the input.
        self.input_norm = Affine(*(c.view(1, channels, 1, -1) for c in (scale, shift)))
        for module in list(self.modules()):
            if isinstance(module, TemporalConv | GraphConv):
                module.fold()
