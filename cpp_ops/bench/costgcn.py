"""CoST-GCN, built from the modules of continual-inference: a peer that also runs frame by frame.

ST-GCN (Yan et al. 2018) whose temporal convolutions keep partial sums instead of frames (Hedegaard
et al. 2022, "Continual Spatio-Temporal Graph Convolutional Networks"): ten blocks, nine taps
without padding. CoST-GCN keeps ST-GCN's two strides, so that its last blocks run, and its logits
change, at every fourth frame; CoST-GCN* has none, and new logits at every frame.

At its best: BatchNorm counts as folded into the layers before it, the graph convolution is two
matrix products, the state is passed through the functional step (half the Python of
``forward_step``), and ``traced_steps`` runs that without Python. torch.compile breaks the graph at
every index of a state and is slower than eager; ONNX Runtime is no faster than the trace.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import continual as co
import torch
from torch import Tensor, nn

from bhar_training.console.quiet import quiet
from bharsdk.landmarks.skeleton import Skeleton

__all__ = ["costgcn", "multiply_adds", "steps", "traced_steps"]

State = Any
"""Of continual-inference: lists in lists of tensors and None."""

BLOCKS = ((3, 64, 1), *[(64, 64, 1)] * 3, (64, 128, 2), *[(128, 128, 1)] * 2)
BLOCKS += ((128, 256, 2), *[(256, 256, 1)] * 2)
"""Channels in, channels out and stride of every block."""
TAPS, PARTITIONS = 9, 3


class _Framewise(co.CoModule, nn.Module):  # type: ignore[misc]
    """Looks at one frame at a time: no state, no delay."""

    def __init__(self, stride: int = 1) -> None:
        nn.Module.__init__(self)
        self.stride = (stride,)

    def of_frame(self, x: Tensor) -> Tensor:
        """x: [N, C, V] -> [N, C', V]."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """A clip [N, C, T, V] -> [N, C', ceil(T / stride), V]."""
        frames = x[:, :, :: self.stride[0]].unbind(2)
        return torch.stack([self.of_frame(frame) for frame in frames], 2)

    def _forward_step(self, x: Tensor, prev_state: State = None) -> tuple[Tensor, State]:
        # Also at frames that the stride leaves out: the sum with the other branch drops them.
        return self.of_frame(x), prev_state


class _GraphConv(_Framewise):
    """relu(sum over partitions of W_k x A_k + shift), BatchNorm and edge weights folded in."""

    def __init__(self, inputs: int, outputs: int, partitions: Tensor) -> None:
        super().__init__()
        k, v, _ = partitions.shape
        # All partitions side by side: one product with the joints, one with the channels.
        self.adjacency = nn.Parameter(partitions.transpose(0, 1).reshape(v, k * v))
        self.weight = nn.Parameter(torch.randn(outputs, inputs * k) / (inputs * k) ** 0.5)
        self.shift = nn.Parameter(torch.zeros(outputs, v))

    def of_frame(self, x: Tensor) -> Tensor:
        """x: [N, C, V] -> [N, C', V]."""
        gathered = (x @ self.adjacency).view(x.shape[0], -1, x.shape[2])
        return torch.relu(self.weight @ gathered + self.shift)


class _Projection(_Framewise):
    """The 1x1 convolution of a residual whose channels change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(stride)
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / inputs**0.5)
        self.shift = nn.Parameter(torch.zeros(outputs, 1))

    def of_frame(self, x: Tensor) -> Tensor:
        """x: [N, C, V] -> [N, C', V]."""
        return self.weight @ x + self.shift


def costgcn(skeleton: Skeleton, classes: int, window: int, *, strides: bool) -> co.Sequential:
    """One frame [M, 3, V] of M persons -> logits [1, classes], pooled over ``window`` frames.

    strides: CoST-GCN; without, CoST-GCN*.
    """
    partitions = torch.from_numpy(skeleton.partitions())
    # It warns of every stride that outputs will be skipped.
    logging.getLogger("continual.conv").setLevel(logging.ERROR)
    blocks = [_block(*block, partitions, strides=strides) for block in BLOCKS]
    return co.Sequential(
        *blocks,
        co.Lambda(_mean_of_joints),
        co.AvgPool1d(window // 4 if strides else window, stride=1),
        co.Lambda(_mean_of_persons),
        co.Linear(BLOCKS[-1][1], classes, channel_dim=1),
    ).requires_grad_(False)


def _mean_of_joints(x: Tensor) -> Tensor:
    return x.mean(2)


def _mean_of_persons(x: Tensor) -> Tensor:
    return x.mean(0, keepdim=True)


def _block(
    inputs: int, outputs: int, stride: int, partitions: Tensor, *, strides: bool
) -> co.Sequential:
    stride = stride if strides else 1
    temporal = co.Conv2d(outputs, outputs, (TAPS, 1), stride=(stride, 1))
    layers = co.Sequential(_GraphConv(inputs, outputs, partitions), temporal)
    if inputs == BLOCKS[0][0]:
        return co.Sequential(layers, nn.ReLU())  # the first block has no residual
    # The middle one of the nine frames that the convolution sees.
    residual = co.Delay(TAPS // 2, auto_shrink=True)
    if inputs != outputs:
        residual = co.Sequential(residual, _Projection(inputs, outputs, stride))
    return co.Sequential(co.BroadcastReduce(residual, layers, auto_delay=False), nn.ReLU())


def multiply_adds(joints: int, persons: int, *, strides: bool) -> int:
    """Of a new frame, on average over the cycle of the strides."""
    count, rate = 0.0, 1.0
    for inputs, outputs, stride in BLOCKS:
        graph = PARTITIONS * inputs * joints * (joints + outputs)
        residual = inputs * outputs * joints if outputs > inputs > BLOCKS[0][0] else 0
        # Partial sums of all nine taps at every frame, strided or not: so the library works.
        count += rate * (graph + TAPS * outputs**2 * joints + residual)
        rate /= stride if strides else 1
    return round(persons * count)


def steps(net: co.Sequential, frames: Sequence[Tensor]) -> Callable[[], Tensor]:
    """A call feeds ``frames``, whole cycles of the strides, and returns the last new logits."""
    state = _warmed_up(net, frames)

    @torch.no_grad()
    def compute() -> Tensor:
        nonlocal state
        for frame in frames:
            found, state = net._forward_step(frame, state)
            if found is not None:
                logits: Tensor = found
        return logits

    return compute


def traced_steps(net: co.Sequential, frames: Sequence[Tensor]) -> Callable[[], Tensor]:
    """The same, traced by torch.jit: once for every place in the cycle of the strides."""
    state = _warmed_up(net, frames)
    tensors = tuple(_tensors(copy.deepcopy(state)))
    cycle = net.stride[0]
    traces = []
    for frame in frames[:cycle]:
        traces.append(_traced(net, frame, state))
        with torch.no_grad():
            state = net._forward_step(frame, state)[1]

    @torch.no_grad()
    def compute() -> Tensor:
        nonlocal tensors
        for i, frame in enumerate(frames):
            *found, tensors = traces[i % cycle](frame, tensors)
            if found:
                logits: Tensor = found[0]
        return logits

    return compute


def _warmed_up(net: co.Sequential, frames: Sequence[Tensor]) -> State:
    """After as many frames as there are before the first logits, and whole rounds of ``frames``."""
    state = None
    with torch.no_grad():
        for _ in range(net.delay // len(frames) + 1):
            for frame in frames:
                state = net._forward_step(frame, state)[1]
    return state


def _traced(net: co.Sequential, frame: Tensor, state: State) -> Callable[..., Any]:
    """(frame, tensors of the state) -> (logits, if the strides let any through; tensors)."""

    def step(frame: Tensor, tensors: tuple[Tensor, ...]) -> tuple[Any, ...]:
        logits, after = net._forward_step(frame, _with_tensors(state, iter(tensors)))
        return (*([] if logits is None else [logits]), tuple(_tensors(after)))

    # The copy: tracing runs the step, which writes into its state.
    tensors = tuple(_tensors(copy.deepcopy(state)))
    with torch.no_grad(), quiet():
        traced: Callable[..., Any] = torch.jit.trace(step, (frame, tensors), check_trace=False)
    return traced


def _tensors(state: State) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif state is not None:
        for part in state:
            yield from _tensors(part)


def _with_tensors(state: State, tensors: Iterator[Tensor]) -> State:
    """``state`` with other ``tensors`` in the same places."""
    if isinstance(state, Tensor):
        return next(tensors)
    return None if state is None else [_with_tensors(part, tensors) for part in state]
