"""The compiled kernels as torch ops: what they compute, and the gradients they train with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from bhar_training.models import formulas, ops
from bhar_training.models.degcn import (
    GROUPS,
    DeformableTemporalConv,
    RefinedGraphConv,
    StaticGraphConv,
)
from bharsdk.errors import InputError

Problem = tuple[Any, ...]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, dtype=dtype, requires_grad=True)


# op, shapes of its tensors, constants
CASES = {
    "static A": ("graph_aggregate", [(2, 3, 2, 4, 5), (3, 5, 6)], ()),
    "one joint, one partition": ("graph_aggregate", [(1, 1, 1, 1, 1), (1, 1, 1)], ()),
    "channel-wise A": ("graph_aggregate", [(2, 3, 2, 4, 5), (2, 3, 2, 5, 6)], ()),
    "pairwise": ("pairwise_tanh", [(2, 3, 4, 2), (2, 5, 4, 2)], ()),
    "refined": (
        "refined_aggregate",
        [(2, 3, 4, 5, 6), (2, 3, 2, 3, 5, 2), (3, 2, 6), (3, 6), (3, 3, 5)],
        (),
    ),
    "one group": (
        "refined_aggregate",
        [(1, 2, 3, 4, 3), (1, 2, 1, 4, 4, 2), (2, 2, 3), (2, 3), (2, 4, 4)],
        (),
    ),
    "1x1": ("temporal_conv", [(2, 5, 3, 4), (1, 4, 2), (2,)], ([0], 1, 1.0)),
    "strided": ("temporal_conv", [(2, 7, 3, 4), (3, 4, 5), (5,)], ([-2, 0, 3], 2, 0.1)),
    "beyond the clip": ("temporal_conv", [(1, 3, 2, 2), (2, 2, 3), (3,)], ([-50, 50], 1, 0.0)),
    "twice the same tap": ("temporal_conv", [(1, 4, 2, 2), (2, 2, 3), (3,)], ([1, 1], 3, 0.5)),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def _problem(case: Problem, dtype: torch.dtype) -> tuple[Any, tuple[Tensor, ...], Problem]:
    name, shapes, constants = case
    tensors = tuple(_random(*shape, dtype=dtype) for shape in shapes)
    return getattr(torch.ops.bhar, name).default, tensors, constants


@cases
def test_torch_may_trace_and_compile_them(case: Problem) -> None:
    """Schema, registration of the gradients, shapes under tracing: torch's own check."""
    op, tensors, constants = _problem(case, torch.float32)
    torch.library.opcheck(op, (*tensors, *constants))


@cases
def test_the_formula_has_the_shapes_of_the_kernel(case: Problem) -> None:
    """And its strides: float64 is traced as float32 is."""
    op, tensors, constants = _problem(case, torch.float64)
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(op, (*tensors, *constants), test_utils=checks)


@cases
def test_gradients_are_those_of_finite_differences(case: Problem) -> None:
    """In float64, once and twice."""
    op, tensors, constants = _problem(case, torch.float64)

    def function(*values: Tensor) -> Tensor:
        out: Tensor = op(*values, *constants)
        return out

    assert gradcheck(function, tensors)
    assert gradgradcheck(function, tensors, atol=1e-4)


@cases
def test_the_kernel_has_the_values_and_gradients_of_the_formula(case: Problem) -> None:
    """In float32, where the forward pass is compiled and the backward pass is written by hand."""
    op, tensors, constants = _problem(case, torch.float32)
    reference = getattr(formulas, case[0])
    found, wanted = op(*tensors, *constants), reference(*tensors, *constants)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    weight = torch.randn_like(found)
    torch.testing.assert_close(
        torch.autograd.grad((found * weight).sum(), tensors),
        torch.autograd.grad((wanted * weight).sum(), tensors),
        rtol=1e-4,
        atol=1e-5,
    )


def test_float32_runs_the_kernel_on_the_tensors_own_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Contiguous inputs are read where they are; nothing goes through the formula."""
    x, a = _random(2, 3, 2, 4, 5), _random(3, 5, 6)
    for tensor in (x, a):
        assert ops._array(tensor).ctypes.data == tensor.data_ptr()
    wanted = formulas.graph_aggregate(x, a)
    monkeypatch.setattr(torch, "einsum", lambda *_: pytest.fail("the formula ran"))
    torch.testing.assert_close(ops.graph_aggregate(x, a), wanted)


def test_what_is_not_contiguous_is_copied() -> None:
    """A view gives what its copy gives."""
    x, a = _random(2, 3, 2, 5, 4).transpose(3, 4), _random(3, 6, 5).transpose(1, 2)
    assert not x.is_contiguous()
    torch.testing.assert_close(
        ops.graph_aggregate(x, a), ops.graph_aggregate(x.contiguous(), a.contiguous())
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.graph_aggregate(_random(1, 2, 3, 4, 5), _random(2, 4, 5)), "expected a"),
        (lambda: ops.pairwise_tanh(_random(1, 2, 3, 4), _random(1, 2, 3, 5)), "expected from"),
        (
            lambda: ops.temporal_conv(_random(1, 2, 3, 4), _random(1, 4, 5), _random(5), [0, 1]),
            "got 2 offsets",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call: Callable[[], Tensor], message: str) -> None:
    """With the kernel's own message."""
    with pytest.raises(InputError, match=message):
        call()


# ---- the layers that could train with them ----------------------------------------------------


def _static_graph_conv(layer: StaticGraphConv, x: Tensor) -> Tensor:
    n, _, t, v = x.shape
    values = layer.conv(x).view(n, len(layer.adjacency), -1, t, v)
    out: Tensor = layer.bn(ops.graph_aggregate(values, layer.adjacency.transpose(1, 2)))
    return out


def _channel_wise_graph_conv(layer: RefinedGraphConv, x: Tensor) -> Tensor:
    """Over the topologies as the layer itself makes them."""
    n, _, _, v = x.shape
    values = torch.stack([project(x) for project in layer.value], 1)
    topologies = [layer.topology(x.mean(2), k).view(n, -1, v, v) for k in range(len(layer.value))]
    adjacency = torch.stack(topologies, 1).transpose(3, 4)
    out: Tensor = layer.bn(ops.graph_aggregate(values, adjacency))
    return out


def _refined_graph_conv(layer: RefinedGraphConv, x: Tensor) -> Tensor:
    """With topologies that are never stored."""
    n, mean = len(x), x.mean(2)

    def of_joints(projections: Any) -> Tensor:  # [N, V, K * G, R]
        found = torch.stack([project(mean) for project in projections], 1)
        return found.view(n, len(projections) * GROUPS, -1, x.shape[3]).permute(0, 3, 1, 2)

    relation = ops.pairwise_tanh(of_joints(layer.query), of_joints(layer.key))
    value = torch.stack([project(x) for project in layer.value], 1).permute(0, 1, 3, 4, 2)
    weight = torch.stack([refine.weight.flatten(0, 1).T for refine in layer.refine])
    shift = torch.stack([refine.bias for refine in layer.refine])
    aggregated = ops.refined_aggregate(
        value,
        relation.unflatten(1, (len(layer.value), GROUPS)),
        weight * layer.alpha,
        shift * layer.alpha,
        layer.adjacency,
    )
    out: Tensor = layer.bn(aggregated.permute(0, 3, 1, 2))
    return out


def _temporal_conv(layer: DeformableTemporalConv, x: Tensor) -> Tensor:
    kernel, before, after = layer.kernel()
    weight, offsets = kernel[..., 0].permute(2, 1, 0), range(-before, after + 1)
    frames = x.permute(0, 2, 3, 1)
    out = ops.temporal_conv(frames, weight, layer.bias, offsets, stride=layer.stride)
    return out.permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("make", "with_ops"),
    [
        (lambda: StaticGraphConv(64, 12, torch.randn(3, 5, 5)), _static_graph_conv),
        (lambda: RefinedGraphConv(64, 12, torch.randn(3, 5, 5)), _channel_wise_graph_conv),
        (lambda: RefinedGraphConv(64, 12, torch.randn(3, 5, 5)), _refined_graph_conv),
        (lambda: DeformableTemporalConv(64, 6, 2, 2), _temporal_conv),
    ],
    ids=["static", "channel-wise", "refined", "temporal"],
)
def test_a_training_step_has_the_gradients_of_the_layer(
    make: Callable[[], Any], with_ops: Callable[[Any, Tensor], Tensor]
) -> None:
    """Of the input and of every parameter, in the float32 that training computes in."""
    layer = make()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    x = _random(2, 64, 7, 5)
    values = (x, *layer.parameters())
    own, ours = layer(x), with_ops(layer, x)
    torch.testing.assert_close(ours, own, rtol=1e-4, atol=1e-4)
    weight = torch.randn_like(own) / math.sqrt(own.numel())
    torch.testing.assert_close(
        torch.autograd.grad((ours * weight).sum(), values),
        torch.autograd.grad((own * weight).sum(), values),
        rtol=1e-3,
        atol=1e-5,
    )
