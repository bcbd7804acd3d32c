"""Gradients against finite differences in float64: of inputs and of every parameter."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.func import functional_call

from bhar_training.models import attention
from bhar_training.models.attention import FastCrossAttention, InteractiveBranch, PooledAttention
from bhar_training.models.bharnet import fuse
from bhar_training.models.config import Fusion
from bhar_training.models.degcn import (
    DeformableTemporalConv,
    GroupedPointwise,
    RefinedGraphConv,
    StaticGraphConv,
)
from bhar_training.models.distributed import GlobalBatchNorm1d, GlobalBatchNorm2d
from bhar_training.models.losses import complementary_loss
from bhar_training.models.prgcn import (
    PRGCN,
    GraphConv,
    PoseRefinement,
    TemporalAggregation,
    TemporalConv,
)
from bhar_training.training.distill import distillation_loss


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def _check(module: nn.Module, *inputs: Tensor, atol: float = 1e-6) -> None:
    """Of a training module, at parameters that are no longer where they start."""
    module.double().train()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    parameters = {name: value.detach() for name, value in module.named_parameters()}

    def function(*values: Tensor) -> Tensor:
        given = dict(zip(parameters, values[len(inputs) :], strict=True))
        out: Tensor = functional_call(module, given, values[: len(inputs)])
        return out

    assert _right(function, *inputs, *parameters.values(), atol=atol)


def _right(function: Callable[..., Tensor], *values: Tensor, atol: float = 1e-6) -> bool:
    """Fast mode: one random direction for each tensor; a failure then looks at every element."""
    given = tuple(value.clone().requires_grad_() for value in values)
    return bool(gradcheck(function, given, atol=atol, rtol=1e-5, fast_mode=True))


@pytest.mark.parametrize("stride", [1, 2])
def test_of_temporal_convolutions_at_learnt_times(stride: int) -> None:
    """Offsets between frames, beyond one frame, and beyond the clip."""
    layer = DeformableTemporalConv(2, 3, 1, stride).double()
    for offsets in ([-1.3, -0.4, 0.3, 1.7], [0.2, 0.6, 5.5, 9.1]):
        layer.offsets.data = torch.tensor(offsets, dtype=torch.float64)
        x = _random(2, 2, 5, 3)
        values = (layer.weight, layer.bias, layer.offsets)

        def function(x: Tensor, weight: Tensor, bias: Tensor, offsets: Tensor) -> Tensor:
            given = {"weight": weight, "bias": bias, "offsets": offsets}
            out: Tensor = functional_call(layer, given, (x,))
            return out

        inputs = tuple(value.detach().clone().requires_grad_() for value in (x, *values))
        assert gradcheck(function, inputs)


def test_of_an_offset_on_a_whole_frame() -> None:
    """That of its right-hand side: there is a kink."""
    layer = DeformableTemporalConv(2, 3, 1, 1).double()
    start = torch.tensor([-2.0, -1.0, 0.0, 1.0], dtype=torch.float64)
    x, step = _random(2, 2, 5, 3), 1e-6

    def total(offsets: Tensor) -> Tensor:
        out: Tensor = functional_call(layer, {"offsets": offsets}, (x,))
        return out.square().sum()

    given = start.clone().requires_grad_()
    (found,) = torch.autograd.grad(total(given), given)
    right = [(total(start + step * unit) - total(start)) / step for unit in torch.eye(4).double()]
    torch.testing.assert_close(found, torch.stack(right), rtol=1e-4, atol=1e-4)


def test_of_grouped_convolutions() -> None:
    """As one MatMul."""
    _check(GroupedPointwise(8, 12), _random(2, 8, 3, 2))


@pytest.mark.parametrize("layer", [RefinedGraphConv, StaticGraphConv])
def test_of_graph_convolutions(layer: type[nn.Module]) -> None:
    """Also of the adjacencies; alpha is not at the zero where refinement starts."""
    _check(layer(8, 12, _random(3, 5, 5)), _random(2, 8, 4, 5), atol=1e-5)


@pytest.fixture
def small_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two heads of four; without the constant that keeps divisors from zero.

    That is added after the largest exponent was subtracted, through which no gradient flows because
    it cancels; with the constant it cancels but for a part in ten thousand.
    """
    sizes = {"WIDTH": 6, "HEADS": 2, "HEAD_WIDTH": 4, "STABLE": 0.0}
    for name, value in sizes.items():
        monkeypatch.setattr(attention, name, value)


@pytest.mark.usefixtures("small_attention")
def test_of_fast_attention() -> None:
    """FAVOR+ with its random directions as they are drawn: they are constants."""
    _check(FastCrossAttention(), _random(2, 3, 6), _random(2, 4, 6))


@pytest.mark.usefixtures("small_attention")
@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("make", [PooledAttention, partial(InteractiveBranch, 3)])
def test_of_attention_between_streams(make: Callable[..., nn.Module], window: int | None) -> None:
    """One body looks at two hands, in the causal form too."""
    frames = 2 if window is None else 3
    _check(make(window=window), _random(2, 6, frames, 1, 3), _random(2, 6, frames, 2, 4))


@pytest.mark.parametrize(
    ("make", "channels"),
    [
        (lambda a: PoseRefinement(5, 3, a), 5),
        (lambda a: GraphConv(4, 4, a), 4),
        (lambda a: TemporalAggregation(4, 6, a), 4),
    ],
    ids=["PRM", "graph convolution", "TAM"],
)
def test_of_pr_gcn(make: Callable[[Tensor], nn.Module], channels: int) -> None:
    """Pose refinement, its graph convolution, aggregation over uneven stretches of time."""
    _check(make(torch.rand(3, 5, 5)), _random(2, channels, 7, 5), atol=1e-5)


@pytest.mark.parametrize("window", [None, 6])
def test_of_motion_that_guides_position(window: int | None) -> None:
    """PR-GCN's fusion (GFM), through strides and pooling of uneven lengths; its causal form too."""
    causal = window is not None

    class Fusing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.window = window
            graphs = [torch.rand(3, 4, 4) for _ in range(4)]
            strided = (TemporalConv(2, 2, stride, causal=causal) for stride in (2, 3))
            self.motion = nn.ModuleList([next(strided), GraphConv(2, 2, graphs[0]), next(strided)])
            self.position = nn.ModuleList(GraphConv(4, 2, graph) for graph in graphs[1:])

        def forward(self, position: Tensor, motion: Tensor) -> Tensor:
            return PRGCN._fuse(self, position, motion)  # type: ignore[arg-type]

    _check(Fusing(), _random(2, 2, 7, 4), _random(2, 2, 7, 4), atol=1e-5)


@pytest.mark.parametrize("layer", [GlobalBatchNorm1d, GlobalBatchNorm2d])
def test_of_batch_norm_over_processes(layer: type[nn.Module]) -> None:
    """Its backward pass is written by hand; here in one process, in two in test_distributed."""
    shape = (3, 4, 5) if layer is GlobalBatchNorm1d else (3, 4, 2, 5)
    _check(layer(4), 10 + _random(*shape))


@pytest.mark.parametrize("how", list(Fusion))
def test_of_the_losses(how: Fusion) -> None:
    """Complementary loss with smoothing, and distillation, of fused logits."""
    target, teacher = torch.tensor([0, 2, 1]), _random(3, 4)

    def loss(body: Tensor, hand: Tensor) -> Tensor:
        streams = (fuse([body, hand], how), body, hand)
        told = distillation_loss(streams[0], teacher, 2.0)
        return complementary_loss(streams, target, (1.0, 0.5, 0.3), 0.1) + told

    assert _right(loss, _random(3, 4), _random(3, 4))
