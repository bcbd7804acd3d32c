"""bharsdk's compiled kernels as torch ops, ``torch.ops.bhar.*``, with gradients.

On float32 tensors of the CPU an op runs the kernel of the same name in :mod:`bharsdk.kernels.ops`
on the tensors' own memory; only what is not contiguous is copied. Other types (float64, in which
gradients are checked) and other devices take the same formula in torch's operations, which
gradients are made of too (:mod:`bhar_training.models.formulas`): they can be differentiated again.

The models here train without them. On the one thread that a kernel runs on, most forward passes
are faster than in torch; but backward passes are most of a training step, and torch's own forms
have the better ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bhar_training.models import formulas
from bharsdk.kernels import ops

__all__ = ["graph_aggregate", "pairwise_tanh", "refined_aggregate", "temporal_conv"]


def graph_aggregate(x: Tensor, a: Tensor) -> Tensor:
    """Sum features over joints and partitions: :func:`bharsdk.kernels.ops.graph_aggregate`.

    Args:
        x: [N, K, C, T, V], features for each of K partitions; no unit.
        a: [K, V, W], one adjacency for all, or [N, K, C, V, W], channel-wise.

    Returns:
        [N, C, T, W].

    Raises:
        InputError: shapes do not fit (float32 on the CPU; torch's own error elsewhere).

    Source: Yan et al. 2018, eq. 10 (static); Chen et al. 2021, eq. 5 (channel-wise).
    """
    out: Tensor = torch.ops.bhar.graph_aggregate(x, a)
    return out


def pairwise_tanh(to: Tensor, from_: Tensor) -> Tensor:
    """Relations to every joint from every joint: :func:`bharsdk.kernels.ops.pairwise_tanh`.

    Args:
        to: [N, W, M, R], what each joint says of itself as a target, in M maps; no unit.
        from_: [N, V, M, R], and as a source. R is at most 256.

    Returns:
        [N, M, W, V, R], ``tanh(to - from_)``.

    Raises:
        InputError: as :func:`graph_aggregate`.

    Source: Chen et al. 2021, eq. 3.
    """
    out: Tensor = torch.ops.bhar.pairwise_tanh(to, from_)
    return out


def refined_aggregate(
    value: Tensor, relation: Tensor, weight: Tensor, shift: Tensor, a: Tensor
) -> Tensor:
    """Aggregate over refined adjacencies: :func:`bharsdk.kernels.ops.refined_aggregate`.

    The adjacencies of samples and channels are stored in the backward pass alone.

    Args:
        value: [N, K, T, V, C], features for each of K partitions; no unit.
        relation: [N, K, G, W, V, R], R relations for each of G groups of channels.
        weight: [K, R, C], of the relations in the adjacency of a channel.
        shift: [K, C], of all edges of a channel.
        a: [K, W, V], the static adjacencies, to w from v.

    Returns:
        [N, T, W, C].

    Raises:
        InputError: as :func:`graph_aggregate`.

    Source: Chen et al. 2021, eq. 3-5 and 8 (CTR-GC), with the channels in groups.
    """
    out: Tensor = torch.ops.bhar.refined_aggregate(value, relation, weight, shift, a)
    return out


def temporal_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    offsets: Sequence[int],
    *,
    stride: int = 1,
    slope: float = 1.0,
) -> Tensor:
    """Convolve along time, channels innermost: :func:`bharsdk.kernels.ops.temporal_conv`.

    Args:
        x: [N, T, V, I], features of V joints; no unit.
        weight: [K, I, O], one matrix for each tap.
        bias: [O].
        offsets: frames from the one that is computed to the one that each tap reads; at most 64.
        stride: of the frames that are computed, at least 1.
        slope: of the leaky ReLU that follows, 0 to 1; 1 is none.

    Returns:
        [N, ceil(T / stride), V, O].

    Raises:
        InputError: as :func:`graph_aggregate`.

    Source: Myung et al. 2024, section III-C (DeTGC, its taps interpolated beforehand).
    """
    out: Tensor = torch.ops.bhar.temporal_conv(x, weight, bias, offsets, stride, slope)
    return out


def _convolve(x: Any, weight: Any, bias: Any, offsets: Any, stride: int, slope: float) -> Any:
    return ops.temporal_conv(x, weight, bias, offsets, stride=stride, slope=slope)


def _array(value: Any) -> Any:
    """A tensor as numpy sees it, not copied if it is contiguous; anything else as it is."""
    return value.contiguous().numpy(force=True) if isinstance(value, Tensor) else value


def _register(
    kernel: Callable[..., Any],
    formula: Callable[..., Tensor],
    shape: Callable[..., tuple[int, ...]],
    gradients: Callable[..., tuple[Tensor, ...]],
    *,
    keep_result: bool = False,
) -> None:
    """Make the op that is named as its formula; of its inputs the tensors come first.

    keep_result: gradients are those of the result too, which they take after the tensors.
    """

    def on_cpu(*inputs: Any) -> Tensor:
        tensors = (value for value in inputs if isinstance(value, Tensor))
        if any(tensor.dtype != torch.float32 for tensor in tensors):
            return formula(*inputs)
        return torch.from_numpy(kernel(*map(_array, inputs)))

    def traced(*inputs: Any) -> Tensor:
        first: Tensor = inputs[0]
        return first.new_empty(shape(*inputs))

    def keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        tensors = [value for value in inputs if isinstance(value, Tensor)]
        ctx.constants = inputs[len(tensors) :]
        ctx.save_for_backward(*tensors, *([output] if keep_result else []))

    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        found = gradients(grad, *ctx.saved_tensors, *ctx.constants)
        return *found, *(None for _ in ctx.constants)

    name = f"bhar::{formula.__name__}"
    torch.library.custom_op(name, formula, mutates_args=())
    torch.library.register_kernel(name, "cpu", on_cpu)
    torch.library.register_fake(name, traced)
    torch.library.register_autograd(name, backward, setup_context=keep)


_register(
    ops.graph_aggregate,
    formulas.graph_aggregate,
    formulas.graph_aggregate_shape,
    formulas.graph_aggregate_gradients,
)
_register(
    ops.pairwise_tanh,
    formulas.pairwise_tanh,
    formulas.pairwise_tanh_shape,
    formulas.pairwise_tanh_gradients,
    keep_result=True,
)
_register(
    ops.refined_aggregate,
    formulas.refined_aggregate,
    formulas.refined_aggregate_shape,
    formulas.refined_aggregate_gradients,
)
_register(
    _convolve,
    formulas.temporal_conv,
    formulas.temporal_conv_shape,
    formulas.temporal_conv_gradients,
    keep_result=True,
)
