"""The parts that all graph-network backbones share: input normalization, blocks, head, folding."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from bhar_training.models.causal import running_mean, window_at
from bhar_training.models.fold import Affine, bn_scale_shift
from bharsdk.landmarks.skeleton import Skeleton

__all__ = ["WIDTH", "Backbone"]

WIDTH = 256
"""Channels of the features of every backbone."""
TOTAL_STRIDE = 4
"""Frames of the input for one of the features."""


class Backbone(nn.Module, ABC):
    """One branch: skeleton x [N, C, T, V, M] -> logits [N, classes].

    Every joint, channel and person has its own input normalization (``data_bn``). ``dropout``
    acts on the pooled features. window: length of the running means of the causal form, in
    frames; None: the form of the paper. A subclass makes the blocks (:meth:`make_blocks`) and
    folds one (:meth:`fold_block`).
    """

    def __init__(
        self,
        skeleton: Skeleton,
        channels: int,
        persons: int,
        classes: int,
        dropout: float = 0.0,
        window: int | None = None,
    ) -> None:
        super().__init__()
        self.window = window
        self.layout = (persons, skeleton.joint_count, channels)
        self.input_norm: nn.Module = nn.BatchNorm1d(math.prod(self.layout))
        self.blocks = self.make_blocks(channels, torch.from_numpy(skeleton.partitions()))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(WIDTH, classes)
        # Small, so that training starts from even chances whatever the number of classes.
        nn.init.normal_(self.head.weight, 0.0, 0.01)
        nn.init.zeros_(self.head.bias)

    @property
    def feature_window(self) -> int | None:
        """Return ``window`` in frames of the features; None for the form of the paper."""
        return None if self.window is None else window_at(self.window, TOTAL_STRIDE)

    @abstractmethod
    def make_blocks(self, channels: int, partitions: Tensor) -> nn.ModuleList:
        """Return blocks from [N, channels, T, V] to [N, 256, ceil(T / 4), V].

        partitions: adjacencies [3, V, V].
        """

    @abstractmethod
    def fold_block(self, block: nn.Module) -> None:
        """Turn one block, in place, into its deployed form."""

    def features(self, x: Tensor) -> Tensor:
        """Return the features [N, 256, T', M, V] of x [N, C, T, V, M]."""
        n, c, t, v, m = x.shape
        if isinstance(self.input_norm, nn.BatchNorm1d):
            flat = self.input_norm(x.permute(0, 4, 3, 1, 2).reshape(n, m * v * c, t))
            x = flat.view(n, m, v, c, t).permute(0, 1, 3, 4, 2).reshape(n * m, c, t, v)
        else:
            x = self.input_norm(x).permute(0, 4, 1, 2, 3).reshape(n * m, c, t, v)
        for block in self.blocks:
            x = block(x)
        return x.view(n, m, *x.shape[1:]).permute(0, 2, 3, 1, 4)

    def classify(self, features: Tensor) -> Tensor:
        """Return logits [N, classes] of features [N, 256, T', M, V]: their mean, then one layer."""
        if self.feature_window is None:
            pooled = features.mean((2, 3, 4))
        else:
            pooled = running_mean(features.mean((3, 4)), self.feature_window)[:, :, -1]
        logits: Tensor = self.head(self.dropout(pooled))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, classes] of x [N, C, T, V, M]."""
        return self.classify(self.features(x))

    def fold(self) -> None:
        """Turn this module, in place, into its deployed form."""
        assert isinstance(self.input_norm, nn.BatchNorm1d)
        scale, shift = bn_scale_shift(self.input_norm)
        # [M, V, C] -> [1, C, 1, V, M], the order of the input.
        constants = [c.view(self.layout).permute(2, 1, 0)[None, :, None] for c in (scale, shift)]
        self.input_norm = Affine(*constants)
        for block in self.blocks:
            self.fold_block(block)
