"""A deployed model in the operators that LiteRT converts rightly and runs fast: the same numbers.

- A product with a constant matrix becomes FULLY_CONNECTED; a broadcast BATCH_MATMUL takes several
  times as long. Of a single frame the converter makes neither: there it is a convolution.
- Replicate padding becomes CONCATENATION (GATHER_ND), an average of whole windows MEAN (with a
  ceiling, a REDUCE_WINDOW that the quantizer refuses).
- A refined topology is applied apart from the constant one. Their sum makes the converter store the
  constant for every channel: 24 MB for BHaRNet-E instead of 10.
- Partitions come one after the other: side by side, an INT8 form takes a fifth longer.
- Constants lie contiguous. The converter copies those that do not, and takes two copies at one
  address for the same constant: now and then a network computes something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bhar_training.models.deployed import DeployedRefinedGraphConv
from bhar_training.models.fold import one_by_one

__all__ = ["InOperatorsOfLiteRt", "litert_form"]


def litert_form(model: nn.Module) -> nn.Module:
    """The deployed ``model``, changed in place."""
    for name, module in list(model.named_modules()):
        rewritten = REWRITES.get(type(module))
        if rewritten is not None:
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, rewritten(module))
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.contiguous()
    return model


class _RefinedGraphConv(DeployedRefinedGraphConv):
    """The same, one partition after the other: over its refinement, and its constant adjacency."""

    def __init__(self, conv: DeployedRefinedGraphConv) -> None:
        all_of = conv.query, conv.key, conv.value, conv.refine
        super().__init__(*all_of, conv.adjacency, conv.shift, conv.running)
        count = len(conv.adjacency)
        self.queries = nn.ModuleList(one_by_one(conv.query, count))
        self.keys = nn.ModuleList(one_by_one(conv.key, count))
        self.values = nn.ModuleList(one_by_one(conv.value, count))
        self.refinements = nn.ModuleList(one_by_one(conv.refine, count, inputs_too=True))

    def refined_by(self, x: Tensor, mean: Tensor) -> Tensor:
        """x: [N, C, T, V] over the topology that ``mean`` [N, C, 1, V] refines."""
        out: Tensor | None = None
        for k, adjacency in enumerate(self.adjacency):
            values, key = self.values[k](x), self.keys[k](mean)
            difference = torch.tanh(self.queries[k](mean) - key.transpose(2, 3))
            part = values @ self.refinements[k](difference) + F.linear(values, adjacency.t())
            out = part if out is None else out + part
        shifted: Tensor = self.shift(out)
        return shifted


REWRITES: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    DeployedRefinedGraphConv: _RefinedGraphConv,
}
"""Class of a deployed layer -> the same in operators that LiteRT converts; others stay."""


class InOperatorsOfLiteRt(TorchFunctionMode):
    """While it is entered, torch's functions take the forms that LiteRT has."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """One call of torch."""
        named = kwargs or {}
        if func is torch.Tensor.matmul and args[1].dim() == 2:
            return _product(*args)
        if func is F.pad and named.get("mode") == "replicate":
            x, (*_, before, after) = args
            return torch.cat([x[:, :, :1]] * before + [x] + [x[:, :, -1:]] * after, dim=2)
        if func is F.avg_pool2d and named.get("ceil_mode"):
            return _average(args[0], args[1][0])
        return func(*args, **named)


def _product(x: Tensor, matrix: Tensor) -> Tensor:
    """x [N, C, T, V] times a constant [V, W] -> [N, C, T, W]."""
    if x.shape[2] > 1:
        return F.linear(x, matrix.t())
    of_joints = F.conv2d(x.transpose(1, 3), matrix.t()[:, :, None, None])
    return of_joints.transpose(1, 3)


def _average(x: Tensor, frames: int) -> Tensor:
    """The mean of every ``frames`` frames of x [N, C, T, V], and of those that are left."""
    n, c, t, v = x.shape
    whole = t // frames
    means = [x[:, :, : whole * frames].reshape(n, c, whole, frames, v).mean(3)] if whole else []
    if t % frames:
        means.append(x[:, :, whole * frames :].mean(2, keepdim=True))
    return torch.cat(means, 2) if len(means) > 1 else means[0]
