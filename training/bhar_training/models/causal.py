"""The causal form of the models: it never looks ahead, so each new frame gives a new answer.

A clip model reads the whole clip; its causal form reads the frames so far. Convolutions and pooling
windows end at their own frame. Means over time are running means. A step form that is fed frame by
frame from a reset computes the same; the logits of a clip are those of its last frame.

A running mean is the plain mean until there are ``window`` frames. After that it forgets
exponentially: ``m += (x - m) / window``. So it need not store the frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "TOPOLOGY_PERIOD",
    "CausalMaxPool",
    "RunningTopology",
    "moving_average",
    "running_mean",
    "window_at",
]

TOPOLOGY_PERIOD = 8
"""Frames of the input for which a refined topology holds: that of the running mean at the first."""


def window_at(window: int, stride: int) -> int:
    """Convert ``window`` from frames of the input to frames of a layer with this ``stride``."""
    return math.ceil(window / stride)


def running_mean(x: Tensor, window: int) -> Tensor:
    """Return the running mean of x [N, C, T, ...] at every frame, in the same shape."""
    t, spread = x.shape[2], [1] * (x.dim() - 3)
    counts = torch.arange(1, min(t, window) + 1, device=x.device, dtype=x.dtype)
    means = x[:, :, :window].cumsum(2) / counts.view(-1, *spread)
    if t <= window:
        return means
    later, last = [means], means[:, :, -1]
    for i in range(window, t):
        last = last + (x[:, :, i] - last) / window
        later.append(last[:, :, None])
    return torch.cat(later, 2)


def moving_average(x: Tensor, frames: int) -> Tensor:
    """Return the mean of each frame of x [N, C, T, V] and up to ``frames - 1`` before it."""
    sums = F.avg_pool2d(F.pad(x, (0, 0, frames - 1, 0)), (frames, 1), stride=1) * frames
    counts = torch.arange(1, x.shape[2] + 1, device=x.device, dtype=x.dtype).clamp(max=frames)
    return sums / counts.view(-1, 1)


@dataclass(frozen=True)
class RunningTopology:
    """When a refined topology changes, and which mean refines it.

    window: length of the running mean. period: how long a topology stays. Both are in frames of
    the layer. Frames of one period share a topology, so the layer sees a period as a clip of
    its own.
    """

    window: int
    period: int

    @classmethod
    def at(cls, window: int, strides: Sequence[int]) -> RunningTopology:
        """Return the one behind layers of ``strides``, for a ``window`` in frames of the input."""
        stride = math.prod(strides)
        return cls(window_at(window, stride), window_at(TOPOLOGY_PERIOD, stride))

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Split x [N, C, T, V] into S periods: means [N*S, C, V] and frames [N*S, C, period, V]."""
        n, c, t, v = x.shape
        means = running_mean(x, self.window)[:, :, :: self.period]
        # The last period is filled up with frames that nothing sees.
        padded = F.pad(x, (0, 0, 0, means.shape[2] * self.period - t))
        frames = padded.view(n, c, -1, self.period, v).transpose(1, 2)
        return means.transpose(1, 2).reshape(-1, c, v), frames.reshape(-1, c, self.period, v)

    def join(self, frames: Tensor, t: int) -> Tensor:
        """Join periods [N * S, C, period, V] into [N, C, T, V]."""
        _, c, _, v = frames.shape
        periods = -(-t // self.period)
        joined = frames.view(-1, periods, c, self.period, v).transpose(1, 2)
        return joined.reshape(joined.shape[0], c, -1, v)[:, :, :t]


class CausalMaxPool(nn.Module):
    """The maximum of every ``stride``-th frame and the ``frames - 1`` frames before it."""

    def __init__(self, frames: int, stride: int) -> None:
        super().__init__()
        self.frames, self.stride = frames, stride

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C, ceil(T / stride), V] of x [N, C, T, V]."""
        padded = F.pad(x, (0, 0, self.frames - 1, 0), value=-torch.inf)
        return F.max_pool2d(padded, (self.frames, 1), stride=(self.stride, 1))
