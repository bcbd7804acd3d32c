"""What bharsdk's kernels compute, and its gradients, in torch's operations.

For each function of :mod:`bhar_training.models.ops`, which explains the shapes: the formula itself,
for every floating type and device; the shape of its result; and the gradients of its tensors, from
that of its result. All can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "graph_aggregate",
    "graph_aggregate_gradients",
    "graph_aggregate_shape",
    "pairwise_tanh",
    "pairwise_tanh_gradients",
    "pairwise_tanh_shape",
    "refined_aggregate",
    "refined_aggregate_gradients",
    "refined_aggregate_shape",
    "temporal_conv",
    "temporal_conv_gradients",
    "temporal_conv_shape",
]


def graph_aggregate(x: Tensor, a: Tensor) -> Tensor:
    """x [N, K, C, T, V], a [K, V, W] or [N, K, C, V, W] -> [N, C, T, W]."""
    of_a = "kvw" if a.dim() == 3 else "nkcvw"
    return torch.einsum(f"nkctv,{of_a}->nctw", x, a).contiguous()


def graph_aggregate_shape(x: Tensor, a: Tensor) -> tuple[int, ...]:
    """[N, C, T, W]."""
    n, _, c, t, _ = x.shape
    return n, c, t, a.shape[-1]


def graph_aggregate_gradients(grad: Tensor, x: Tensor, a: Tensor) -> tuple[Tensor, ...]:
    """Of x and a."""
    if a.dim() == 5:
        of_x = torch.einsum("nctw,nkcvw->nkctv", grad, a)
        return of_x, x.transpose(3, 4) @ grad[:, None]
    of_x = torch.einsum("nctw,kvw->nkctv", grad, a)
    # One product for each sample: as a single one, x would be rearranged, which takes longer.
    of_samples = x.flatten(2, 3).transpose(2, 3) @ grad.flatten(1, 2)[:, None]
    return of_x, of_samples.sum(0)


def pairwise_tanh(to: Tensor, from_: Tensor) -> Tensor:
    """to [N, W, M, R], from_ [N, V, M, R] -> [N, M, W, V, R]."""
    difference = to.transpose(1, 2)[:, :, :, None] - from_.transpose(1, 2)[:, :, None]
    return torch.tanh(difference).contiguous()


def pairwise_tanh_shape(to: Tensor, from_: Tensor) -> tuple[int, ...]:
    """[N, M, W, V, R]."""
    n, w, m, r = to.shape
    return n, m, w, from_.shape[1], r


def pairwise_tanh_gradients(
    grad: Tensor, to: Tensor, from_: Tensor, out: Tensor
) -> tuple[Tensor, ...]:
    """Of to and from_."""
    of_difference = grad * (1 - out.square())
    return of_difference.sum(3).transpose(1, 2), -of_difference.sum(2).transpose(1, 2)


def refined_aggregate(
    value: Tensor, relation: Tensor, weight: Tensor, shift: Tensor, a: Tensor
) -> Tensor:
    """[N, K, T, V, C], [N, K, G, W, V, R], [K, R, C], [K, C], [K, W, V] -> [N, T, W, C]."""
    adjacency = _refined_adjacency(relation, weight, shift, a)
    return torch.einsum("nktvc,nkwvc->ntwc", value, adjacency).contiguous()


def refined_aggregate_shape(
    value: Tensor, relation: Tensor, weight: Tensor, shift: Tensor, a: Tensor
) -> tuple[int, ...]:
    """[N, T, W, C]."""
    n, _, t, _, c = value.shape
    return n, t, a.shape[1], c


def refined_aggregate_gradients(
    grad: Tensor, value: Tensor, relation: Tensor, weight: Tensor, shift: Tensor, a: Tensor
) -> tuple[Tensor, ...]:
    """Of value, relation, weight, shift and a."""
    groups = relation.shape[2]
    of_edges = torch.einsum("ntwc,nktvc->nkwvc", grad, value)
    grouped = _grouped(of_edges, groups)
    adjacency = _refined_adjacency(relation, weight, shift, a)
    return (
        torch.einsum("ntwc,nkwvc->nktvc", grad, adjacency),
        torch.einsum("nkwvgd,krgd->nkgwvr", grouped, _grouped(weight, groups)),
        torch.einsum("nkwvgd,nkgwvr->krgd", grouped, relation).flatten(2),
        of_edges.sum((0, 2, 3)),
        of_edges.sum((0, 4)),
    )


def _grouped(channels: Tensor, groups: int) -> Tensor:
    """[..., C] -> [..., G, C / G]."""
    *rest, c = channels.shape
    return channels.reshape(*rest, groups, c // groups)


def _refined_adjacency(relation: Tensor, weight: Tensor, shift: Tensor, a: Tensor) -> Tensor:
    """[N, K, W, V, C]: the largest tensor by far."""
    weights = _grouped(weight, relation.shape[2])
    refined = torch.einsum("nkgwvr,krgd->nkwvgd", relation, weights).flatten(4)
    return refined + a[..., None] + shift[:, None, None]


def temporal_conv(
    x: Tensor, weight: Tensor, bias: Tensor, offsets: Sequence[int], stride: int, slope: float
) -> Tensor:
    """x [N, T, V, I], weight [K, I, O], bias [O] -> [N, ceil(T / stride), V, O]."""
    frames = x[:, _tapped_frames(x, offsets, stride)]  # [N, T', K, V, I]
    sums = torch.einsum("ntkvi,kio->ntvo", frames, weight) + bias
    return F.leaky_relu(sums, slope).contiguous()


def temporal_conv_shape(
    x: Tensor, weight: Tensor, bias: Tensor, offsets: Sequence[int], stride: int, slope: float
) -> tuple[int, ...]:
    """[N, ceil(T / stride), V, O]."""
    n, t, v, _ = x.shape
    return n, (t + stride - 1) // stride, v, weight.shape[2]


def temporal_conv_gradients(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    out: Tensor,
    offsets: Sequence[int],
    stride: int,
    slope: float,
) -> tuple[Tensor, ...]:
    """Of x, weight and bias."""
    # The activation keeps signs, so its result tells on which side it was. (Slope 1 has no sides.)
    sums = grad if slope == 1 else torch.where(out > 0, grad, slope * grad)
    of_x, of_weight = torch.zeros_like(x), torch.zeros_like(weight)
    # One tap after the other: all tapped frames together would be x as often as there are taps.
    for k, frames in enumerate(_tapped_frames(x, offsets, stride).unbind(1)):
        of_x.index_add_(1, frames, sums @ weight[k].T)
        of_weight[k] = x.index_select(1, frames).flatten(0, 2).T @ sums.flatten(0, 2)
    return of_x, of_weight, sums.sum((0, 1, 2))


def _tapped_frames(x: Tensor, offsets: Sequence[int], stride: int) -> Tensor:
    """[T', K]: the frame of x that each tap reads for each frame of the result."""
    first = torch.arange(0, x.shape[1], stride, device=x.device)
    taps = torch.tensor(offsets, dtype=torch.long, device=x.device)
    return (first[:, None] + taps).clamp(0, x.shape[1] - 1)
