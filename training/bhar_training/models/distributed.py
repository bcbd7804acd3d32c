"""Share a batch between processes, and let layers see all of it.

Every process trains the same weights on its share of each batch. The result is that of one process:
BatchNorm takes its statistics from the whole batch, and dropout takes its share of one mask.
(torch's own SyncBatchNorm needs a GPU.)
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["GlobalBatchNorm1d", "GlobalBatchNorm2d", "SharedDropout", "share_of", "synchronized"]


def share_of(count: int, rank: int, processes: int) -> range:
    """Return which of ``count`` items process ``rank`` takes: neighbors, in nearly equal shares."""
    return range(count * rank // processes, count * (rank + 1) // processes)


def synchronized(model: nn.Module) -> None:
    """Replace, in place, the layers that must see the whole batch; names and weights stay."""
    for name, child in model.named_children():
        if type(child) in (nn.BatchNorm1d, nn.BatchNorm2d):
            setattr(model, name, _over_all(child))
        elif type(child) is nn.Dropout:
            setattr(model, name, SharedDropout(child.p))
        else:
            synchronized(child)


def _over_all(layer: nn.Module) -> nn.Module:
    assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
    kind = GlobalBatchNorm1d if isinstance(layer, nn.BatchNorm1d) else GlobalBatchNorm2d
    new = kind(layer.num_features, layer.eps, layer.momentum)
    new.weight, new.bias = layer.weight, layer.bias
    for name, buffer in layer.named_buffers():
        setattr(new, name, buffer)
    return new


def _summed(values: Tensor) -> Tensor:
    """The sum over all processes, in place; of one process, what it is."""
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(values)
    return values


class _Normalize(torch.autograd.Function):
    """x [N, C, ...] -> normalized by the statistics of all processes; (y, mean, variance, count).

    One sum over the processes each way. Means and squares travel in float64: their difference keeps
    the digits that a variance in float32 has.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        own = torch.var_mean(x.to(weight.dtype), _others(x), correction=0)
        variance, mean = (values.double() for values in own)
        moments = torch.stack([torch.ones_like(mean), mean, variance + mean.square()])
        count, first, second = _summed(moments * (x.numel() // x.shape[1]))
        total = first / count
        spread = (second / count - total.square()).clamp_min(0)
        ctx.save_for_backward(x, weight, total, torch.rsqrt(spread + eps), count)
        mean, variance = total.to(weight.dtype), spread.to(weight.dtype)
        ctx.mark_non_differentiable(mean, variance, count)
        y = F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)
        return y, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, total, scale, count = ctx.saved_tensors
        shape = [1, -1, *[1] * (x.dim() - 2)]

        def spread(values: Tensor) -> Tensor:
            return values.to(weight.dtype).view(shape)

        grad = grads[0].to(weight.dtype)
        unit = (x.to(weight.dtype) - spread(total)) * spread(scale)
        # The parameters' gradients are of this share; the trainer adds them up like all others.
        to_bias, to_weight = grad.sum(_others(x)), (grad * unit).sum(_others(x))
        along = _summed(torch.stack([to_bias, to_weight]).double()) / count
        centered = grad - spread(along[0]) - unit * spread(along[1])
        return (centered * spread(scale * weight)).to(x.dtype), to_weight, to_bias, None


def _others(x: Tensor) -> list[int]:
    """All axes but the channels."""
    return [0, *range(2, x.dim())]


def _of_whole_batch(layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    y, mean, variance, count = _Normalize.apply(  # type: ignore[no-untyped-call]
        x, layer.weight, layer.bias, layer.eps
    )
    assert layer.running_mean is not None and layer.running_var is not None
    assert layer.num_batches_tracked is not None and layer.momentum is not None
    with torch.no_grad():
        layer.num_batches_tracked.add_(1)
        layer.running_mean.lerp_(mean, layer.momentum)
        unbiased = (variance * (count / (count - 1))).to(variance.dtype)
        layer.running_var.lerp_(unbiased, layer.momentum)
    out: Tensor = y
    return out


class GlobalBatchNorm1d(nn.BatchNorm1d):
    """BatchNorm1d over the batches of all processes; evaluates as its parent does."""

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, L]."""
        return _of_whole_batch(self, x) if self.training else super().forward(x)


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d over the batches of all processes; evaluates as its parent does."""

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, C, T, V]."""
        return _of_whole_batch(self, x) if self.training else super().forward(x)


class SharedDropout(nn.Dropout):
    """Dropout with the mask that one process would draw; every process has the same random state.

    x: [N, ...], N examples of the batch in the order of the processes.
    """

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if not self.training or not self.p or not torch.distributed.is_initialized():
            return super().forward(x)
        rank = torch.distributed.get_rank()
        sizes = torch.zeros(torch.distributed.get_world_size(), device=x.device)
        sizes[rank] = len(x)
        counts = [int(size) for size in _summed(sizes)]
        kept = x.new_empty(sum(counts), *x.shape[1:]).bernoulli_(1 - self.p)
        start = sum(counts[:rank])
        return x * kept.div_(1 - self.p)[start : start + len(x)]
