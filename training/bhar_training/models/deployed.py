"""The deployed forms of DeGCN's layers: convolutions, MatMuls and adds with constant weights.

:mod:`bhar_training.models.degcn` makes them from its trained layers (``deploy()``); they are what
``bhar-export`` turns into a graph.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bhar_training.models.causal import RunningTopology
from bhar_training.models.fold import Affine, Shift

__all__ = [
    "SLOPE",
    "DeployedRefinedGraphConv",
    "DeployedStaticGraphConv",
    "DeployedTemporalConv",
    "FoldedTemporalConv",
    "aggregate",
]

SLOPE = 0.1
"""Of every LeakyReLU of DeGCN."""


def aggregate(values: Tensor, adjacency: Tensor) -> Tensor:
    """Sum over partitions of values [N, K*C, T, V] times adjacency [K, V, W] -> [N, C, T, W]."""
    parts = values.chunk(len(adjacency), dim=1)
    out = parts[0] @ adjacency[0]
    for part, matrix in zip(parts[1:], adjacency[1:], strict=True):
        out = out + part @ matrix
    return out


class FoldedTemporalConv(nn.Module):
    """A replicate-padded temporal convolution: what a DeTGC is after training.

    sampled: the convolution of the clip sampled at ``offsets`` that it equals, of fewer taps.
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        before: int,
        after: int,
        sampled: nn.Conv2d,
        offsets: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.conv, self.before, self.after = conv, before, after
        self.sampled, self.offsets = sampled, offsets

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', ceil(T / stride), V]."""
        padded = F.pad(x, (0, 0, self.before, self.after), mode="replicate")
        out: Tensor = self.conv(padded)
        return out


class DeployedStaticGraphConv(nn.Module):
    """Block 1: 1x1 convolution, three constant adjacencies [K, from, to], shift."""

    adjacency: Tensor

    def __init__(self, conv: nn.Conv2d, adjacency: Tensor, shift: Shift) -> None:
        super().__init__()
        self.conv, self.shift = conv, shift
        self.register_buffer("adjacency", adjacency)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', T, V]."""
        out: Tensor = self.shift(aggregate(self.conv(x), self.adjacency))
        return out


class DeployedRefinedGraphConv(nn.Module):
    """CTR-GC with BatchNorm and alpha folded in; adjacency [K, from, to].

    query, key, value, refine: 1x1 convolutions of all partitions in one, outputs [G, K, C / G] (see
    :func:`bhar_training.models.fold.side_by_side`).
    """

    adjacency: Tensor

    def __init__(
        self,
        query: nn.Conv2d,
        key: nn.Conv2d,
        value: nn.Conv2d,
        refine: nn.Conv2d,
        adjacency: Tensor,
        shift: Shift,
        running: RunningTopology | None = None,
    ) -> None:
        super().__init__()
        self.running = running
        self.query, self.key, self.value, self.refine = query, key, value, refine
        # Transposed, so that MatMul reads the neighbors along its inner axis.
        self.register_buffer("adjacency", adjacency)
        self.shift = shift

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', T, V]."""
        if self.running is None:
            return self.refined_by(x, x.mean(2, keepdim=True))
        means, parts = self.running.split(x)
        return self.running.join(self.refined_by(parts, means[:, :, None]), x.shape[2])

    def refined_by(self, x: Tensor, mean: Tensor) -> Tensor:
        """x: [N, C, T, V] over the topology that ``mean`` [N, C, 1, V] refines."""
        # [N, K * R, 1, V (to)] against [N, K * R, V (from), 1]: the topology, already transposed.
        difference = torch.tanh(self.query(mean) - self.key(mean).transpose(2, 3))
        shifted: Tensor = self.shift(self._over(self.value(x), self.refine(difference)))
        return shifted

    def _over(self, values: Tensor, refinement: Tensor) -> Tensor:
        """Values [N, G * K * C, T, V] over the constant adjacencies, refined [N, G * K * C, V, V].

        -> [N, G * C, T, V], the sum over partitions.
        """
        partitions, joints, _ = self.adjacency.shape
        channels, frames = values.shape[1] // partitions // self.value.groups, values.shape[2]
        of_partitions = refinement.reshape(-1, partitions, channels, joints**2)
        topology = of_partitions + self.adjacency.reshape(partitions, 1, joints**2)
        parts = values @ topology.reshape(-1, values.shape[1], joints, joints)
        summed = parts.reshape(-1, partitions, channels * frames, joints).sum(1)
        return summed.reshape(-1, channels * self.value.groups, frames, joints)


class DeployedTemporalConv(nn.Module):
    """The four branches; the reductions of the first three are one convolution."""

    def __init__(
        self,
        reduce: nn.Conv2d,
        near: FoldedTemporalConv,
        far: FoldedTemporalConv,
        pool: nn.Module,
        pool_affine: Affine,
        plain: nn.Module,
    ) -> None:
        super().__init__()
        self.reduce, self.near, self.far = reduce, near, far
        self.pool, self.pool_affine, self.plain = pool, pool_affine, plain

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C, ceil(T / stride), V]."""
        near, far, pooled = F.leaky_relu(self.reduce(x), SLOPE).chunk(3, dim=1)
        branches = [self.near(near), self.far(far), self.pool_affine(self.pool(pooled))]
        return torch.cat([*branches, self.plain(x)], dim=1)
