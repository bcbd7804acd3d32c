"""ST-GCN (Yan et al., AAAI 2018): the first of these networks, an alternative backbone.

Ten blocks of a graph convolution over three partitions, whose edges carry a learnt importance, and
a 9-frame temporal convolution. Input x: [N, C, T, V, M]; features: [N, 256, ceil(T / 4), M, V].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bhar_training.models.backbone import Backbone
from bhar_training.models.deployed import aggregate
from bhar_training.models.fold import fold_aggregated_bn, fold_conv_bn, pointwise

__all__ = ["STGCN"]

TAPS = 9
CHANNELS = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
STRIDES = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)


class Block(nn.Module):
    """relu(tcn(relu(bn(gcn(x)))) + residual(x)); the first block has no residual."""

    adjacency: Tensor

    def __init__(self, inputs: int, outputs: int, stride: int, partitions: Tensor, first: bool):
        super().__init__()
        self.register_buffer("adjacency", partitions.transpose(1, 2).clone())
        self.importance: nn.Parameter | None = nn.Parameter(torch.ones_like(self.adjacency))
        self.graph = nn.Conv2d(inputs, outputs * len(partitions), 1)
        self.graph_bn: nn.Module = nn.BatchNorm2d(outputs)
        padding = (TAPS // 2, 0)
        self.temporal = nn.Conv2d(outputs, outputs, (TAPS, 1), (stride, 1), padding)
        self.temporal_bn: nn.Module = nn.BatchNorm2d(outputs)
        self.residual: nn.Module | None = None
        if not first:
            self.residual = nn.Identity()
            if inputs != outputs or stride != 1:
                conv = nn.Conv2d(inputs, outputs, 1, (stride, 1))
                self.residual = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V] -> [N, C', ceil(T / stride), V]."""
        adjacency = self.adjacency
        if self.importance is not None:
            adjacency = adjacency * self.importance
        y = aggregate(self.graph(x), adjacency)
        y = self.temporal_bn(self.temporal(F.relu(self.graph_bn(y))))
        if self.residual is not None:
            y = y + self.residual(x)
        return F.relu(y)


class STGCN(Backbone):
    """One branch: skeleton x [N, C, T, V, M] -> logits [N, classes]."""

    def make_blocks(self, channels: int, partitions: Tensor) -> nn.ModuleList:
        """Ten blocks."""
        widths = (channels, *CHANNELS)
        return nn.ModuleList(
            Block(widths[i], widths[i + 1], STRIDES[i], partitions, first=i == 0)
            for i in range(len(CHANNELS))
        )

    def fold_block(self, block: nn.Module) -> None:
        """Fold the BatchNorms and multiply the importance into the adjacency."""
        assert isinstance(block, Block)
        bn = block.graph_bn
        assert isinstance(bn, nn.BatchNorm2d) and block.importance is not None
        block.adjacency, block.importance = block.adjacency * block.importance.detach(), None
        block.graph, block.graph_bn = fold_aggregated_bn(block.graph, bn, len(block.adjacency))
        bn = block.temporal_bn
        assert isinstance(bn, nn.BatchNorm2d)
        weight, bias = fold_conv_bn(block.temporal.weight, block.temporal.bias, bn)
        block.temporal.weight, block.temporal.bias = nn.Parameter(weight), nn.Parameter(bias)
        block.temporal_bn = nn.Identity()
        if isinstance(block.residual, nn.Sequential):
            conv, bn = block.residual
            assert isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d)
            weight, bias = fold_conv_bn(conv.weight, conv.bias, bn)
            block.residual = pointwise(weight, bias, conv.stride[0])
