"""DeGCN in its public form, written as the papers write it: the reference that the fast form meets.

One operation per symbol of the paper: grouped 1x1 convolutions, einsums over a topology per sample,
clips gathered at learnable times. Slow. It says what :mod:`bhar_training.models.degcn` must compute
(a test holds the logits of both together), what operation counters see, and what the fast form is
timed against. The names of its modules are those of the fast form.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bhar_training.models.degcn import (
    GROUPS,
    OFFSETS,
    DeformableTemporalConv,
    DeGCN,
    GroupedPointwise,
    MultiBranchTemporalConv,
    RefinedGraphConv,
    StaticGraphConv,
)
from bhar_training.models.deployed import SLOPE

__all__ = ["plain_form"]


class PlainStaticGraphConv(nn.Module):
    """Block 1: 1x1 convolution to three partitions, one einsum with their adjacencies."""

    def __init__(self, fast: StaticGraphConv) -> None:
        super().__init__()
        self.conv, self.bn, self.adjacency = fast.conv, fast.bn, fast.adjacency

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', T, V]."""
        n, _, t, v = x.shape
        values = self.conv(x).view(n, len(self.adjacency), -1, t, v)
        out: Tensor = self.bn(torch.einsum("nkctv,kwv->nctw", values, self.adjacency))
        return out


class PlainRefinedGraphConv(nn.Module):
    """CTR-GC: a topology per sample and channel, then one einsum for each partition."""

    def __init__(self, fast: RefinedGraphConv) -> None:
        super().__init__()
        self.adjacency, self.alpha, self.bn = fast.adjacency, fast.alpha, fast.bn
        self.query, self.key, self.value, self.refine = (
            nn.ModuleList(_grouped(layer) for layer in layers)
            for layers in (fast.query, fast.key, fast.value, fast.refine)
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', T, V]."""
        out: Tensor | None = None
        for k, adjacency in enumerate(self.adjacency):
            query, key = self.query[k](x).mean(2), self.key[k](x).mean(2)
            difference = torch.tanh(query[..., :, None] - key[..., None, :])
            topology = self.refine[k](difference) * self.alpha + adjacency
            part = torch.einsum("ncwv,nctv->nctw", topology, self.value[k](x))
            out = part if out is None else out + part
        normalized: Tensor = self.bn(out)
        return normalized


class PlainDeformableTemporalConv(nn.Module):
    """DeTGC: gather the two frames around each sampling time, mix them, 3-D convolution."""

    def __init__(self, fast: DeformableTemporalConv) -> None:
        super().__init__()
        outputs, inputs, _ = fast.weight.shape
        self.offsets, self.stride = fast.offsets, fast.stride
        self.conv = nn.Conv3d(inputs, outputs, (OFFSETS, 1, 1), device=fast.weight.device)
        self.conv.weight = nn.Parameter(fast.weight.detach()[..., None, None])
        self.conv.bias = fast.bias

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', ceil(T / stride), V]."""
        frames = x.shape[2]
        start = torch.arange(0, frames, self.stride, device=x.device, dtype=self.offsets.dtype)
        at = start[None] + self.offsets[:, None]  # [offset, T']
        before = at.detach().floor()
        part = (at - before)[..., None].to(x.dtype)
        low, high = (i.clamp(0, frames - 1).long() for i in (before, before + 1))
        samples = x[:, :, low] * (1 - part) + x[:, :, high] * part  # [N, C, offset, T', V]
        out: Tensor = self.conv(samples)
        return out[:, :, 0]


class PlainTemporalConv(nn.Module):
    """The four branches, each with its own 1x1 convolution."""

    def __init__(self, fast: MultiBranchTemporalConv) -> None:
        super().__init__()
        self.reduce, self.plain = fast.reduce, fast.plain
        self.near = PlainDeformableTemporalConv(fast.near)
        self.far = PlainDeformableTemporalConv(fast.far)
        self.near_bn, self.far_bn, self.pool_bn = fast.near_bn, fast.far_bn, fast.pool_bn
        self.pool = fast.pool

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C, ceil(T / stride), V]."""
        near, far, pooled = (F.leaky_relu(reduce(x), SLOPE) for reduce in self.reduce)
        branches = [
            self.near_bn(self.near(near)),
            self.far_bn(self.far(far)),
            self.pool_bn(self.pool(pooled)),
            self.plain(x),
        ]
        return torch.cat(branches, dim=1)


def plain_form(model: DeGCN) -> DeGCN:
    """Turn ``model``, in place, into its public form; the weights stay what they are."""
    for block in model.blocks:
        graph, temporal = block.graph, block.temporal
        if isinstance(graph, StaticGraphConv):
            block.graph = PlainStaticGraphConv(graph)
        elif isinstance(graph, RefinedGraphConv):
            block.graph = PlainRefinedGraphConv(graph)
        if isinstance(temporal, MultiBranchTemporalConv):
            block.temporal = PlainTemporalConv(temporal)
    return model


def _grouped(fast: nn.Module) -> nn.Conv2d | nn.Conv1d:
    assert isinstance(fast, GroupedPointwise)
    outputs, inputs = fast.weight.shape[0] * fast.weight.shape[1], fast.weight.shape[2] * GROUPS
    conv = nn.Conv2d(inputs, outputs, 1, groups=GROUPS, device=fast.weight.device)
    conv.weight = nn.Parameter(fast.weight.detach().flatten(0, 1)[..., None, None])
    conv.bias = fast.bias
    return conv
