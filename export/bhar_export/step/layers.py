"""The step counterparts of deployed causal layers: one frame in, one frame out, state aside.

A stride needs no counterpart. The newest frame alone has one output, and the layers behind it pass
over those that the clip would not have (:class:`bhar_export.step.state.LayerState`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bhar_export.step.state import LayerState
from bhar_training.models.backbone import Backbone
from bhar_training.models.causal import CausalMaxPool
from bhar_training.models.deployed import DeployedRefinedGraphConv, FoldedTemporalConv
from bhar_training.models.prgcn import PRGCN, TAM_POOL, TemporalAggregation, TemporalConv

__all__ = [
    "StepAggregation",
    "StepBackbone",
    "StepMaxPool",
    "StepPRGCN",
    "StepRefinedGraphConv",
    "StepTemporalConv",
    "StepZeroPaddedConv",
]


class StepTemporalConv(nn.Module):
    """Of DeGCN's temporal convolution: x [N, C, 1, V] -> [N, C', 1, V], as all below."""

    def __init__(self, layer: FoldedTemporalConv, state: LayerState) -> None:
        super().__init__()
        assert layer.after == 0, "the layer looks ahead"
        self.conv, self.frames, self.state = layer.conv, layer.before + 1, state

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.conv(self.state.recent(x, self.frames))
        return out


class StepMaxPool(nn.Module):
    """The greatest of the last frames: what is repeated at the edge is no greater."""

    def __init__(self, pool: CausalMaxPool, state: LayerState) -> None:
        super().__init__()
        self.frames, self.state = pool.frames, state

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.state.recent(x, self.frames).amax(2, keepdim=True)


class StepRefinedGraphConv(nn.Module):
    """CTR-GC by a topology that holds for a period.

    What is kept is the mean that refines it: the topology itself would be a hundred times as large.
    """

    def __init__(self, layer: DeployedRefinedGraphConv, state: LayerState) -> None:
        super().__init__()
        assert layer.running is not None
        self.layer, self.running = layer, layer.running
        self.mean, self.held = state.below("mean"), state.below("held").behind(self.running.period)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        mean = self.held.held(self.mean.running_mean(x, self.running.window))
        return self.layer.refined_by(x, mean)


class StepBackbone(nn.Module):
    """Of a backbone whose blocks are step counterparts already. state: of its features."""

    def __init__(self, net: Backbone, state: LayerState) -> None:
        super().__init__()
        assert net.feature_window is not None
        self.net, self.state, self.window = net, state, net.feature_window

    def features(self, x: Tensor) -> Tensor:
        """x: [N, C, 1, V, M] -> [N, 256, 1, M, V]."""
        return self.net.features(x)

    def classify(self, features: Tensor) -> Tensor:
        """features: [N, 256, 1, M, V] -> logits [N, classes]."""
        pooled = self.state.running_mean(features.mean((3, 4)), self.window)
        logits: Tensor = self.net.head(pooled[:, :, 0])
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, 1, V, M] -> logits [N, classes]."""
        return self.classify(self.features(x))


class StepZeroPaddedConv(nn.Module):
    """Of PR-GCN's temporal convolution: zeros before the first frame."""

    def __init__(self, layer: TemporalConv, state: LayerState) -> None:
        super().__init__()
        self.norm, self.conv, self.state = layer.norm, layer.conv, state

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        frames = self.conv.kernel_size[0]
        return F.relu(self.conv(self.state.recent(self.norm(x), frames, replicate=False)))


class StepAggregation(nn.Module):
    """Of PR-GCN's temporal aggregation."""

    def __init__(self, layer: TemporalAggregation, state: LayerState) -> None:
        super().__init__()
        assert layer.window is not None
        self.layer, self.window = layer, layer.window
        self.pool, self.mean = state.below("pool"), state.below("mean")

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        seen = self.pool.recent(x, TAM_POOL, replicate=False)
        x = seen.sum(2, keepdim=True) / self.pool.count(x, TAM_POOL)
        squeezed = self.mean.running_mean(x.mean(3, keepdim=True), self.window)
        return self.layer.weighed(x, squeezed)


class StepPRGCN(nn.Module):
    """Of PR-GCN, whose layers with state are step counterparts already.

    pools: of the position flow, one for each stage. state, features: of its input, and of what is
    classified.
    """

    def __init__(
        self, net: PRGCN, pools: list[StepMaxPool], state: LayerState, features: LayerState
    ) -> None:
        super().__init__()
        assert net.window is not None
        self.net, self.pools, self.window = net, nn.ModuleList(pools), net.window
        self.before, self.pooled = state.below("before"), features.below("mean")

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, 1, V, M] -> logits [N, classes]."""
        net = self.net
        n, c, t, v, m = x.shape
        x = x.permute(0, 4, 1, 2, 3).reshape(n * m, c, t, v)
        x = net.refine(net.input_norm(x))
        # At the first frame, which stands before itself, nothing has moved.
        motion = x - self.before.recent(x, 2)[:, :, :1]
        position, motion = net.enter_position(x), net.enter_motion(motion)
        for guide, pool, graph in zip(net.motion, self.pools, net.position, strict=True):
            motion = guide(motion)
            position = graph(torch.cat([pool(position), motion], dim=1))
        x = net.aggregate(position)
        pooled = self.pooled.running_mean(x.mean(3), self.window)
        logits: Tensor = net.head(pooled.view(n, m, -1).amax(1)[:, :, None, None])
        return logits[:, :, 0, 0]
