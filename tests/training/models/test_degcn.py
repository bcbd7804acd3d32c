from __future__ import annotations

import math

import pytest
import torch

from bhar_training.models.degcn import (
    DeformableTemporalConv,
    DeGCN,
    RefinedGraphConv,
    StaticGraphConv,
)
from bharsdk.landmarks.skeleton import NTU25, Skeleton

# Four joints, a fork: small enough for finite differences.
FORK = Skeleton("fork", ("a", "b", "c", "d"), (0, 0, 1, 1), (0, 1, 3, 2), ((2, 3),))


def _settled(bn: torch.nn.Module) -> None:
    """Statistics and weights as training may leave them."""
    torch.nn.init.normal_(bn.running_mean, 0, 0.3)
    torch.nn.init.uniform_(bn.running_var, 0.5, 2.0)
    torch.nn.init.uniform_(bn.weight, 0.5, 1.5)
    torch.nn.init.normal_(bn.bias, 0, 0.3)


def _normalized(x: torch.Tensor, bn: torch.nn.Module) -> torch.Tensor:
    mean, var, weight, bias = (
        part.double().view(-1, 1, 1)
        for part in (bn.running_mean, bn.running_var, bn.weight, bn.bias)
    )
    return (x - mean) / torch.sqrt(var + bn.eps) * weight + bias


def _clamped_gather(layer: DeformableTemporalConv, x: torch.Tensor) -> torch.Tensor:
    """DeTGC as the paper writes it: sample between two frames, indices clamped, then combine."""
    frames = x.shape[2]
    columns = []
    for t in range(0, frames, layer.stride):
        out = layer.bias.double().view(1, -1, 1)
        for j, offset in enumerate(layer.offsets.double()):
            at = t + float(offset)
            before, part = math.floor(at), at - math.floor(at)
            low, high = (min(max(i, 0), frames - 1) for i in (before, before + 1))
            sample = x[:, :, low] * (1 - part) + x[:, :, high] * part
            out = out + torch.einsum("oi,niv->nov", layer.weight[..., j].double(), sample)
        columns.append(out)
    return torch.stack(columns, 2)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 5, 16, 23])
@pytest.mark.parametrize("offsets", ["start", "random", "one side", "whole frames"])
def test_the_folded_detgc_is_the_clamped_gather(stride: int, frames: int, offsets: str) -> None:
    """DeTGC, and what it and its BatchNorm fold into, against a float64 reference."""
    torch.manual_seed(frames)
    layer, bn = DeformableTemporalConv(6, 8, 2, stride), torch.nn.BatchNorm2d(8).eval()
    choices = {
        "random": torch.empty(4).uniform_(-5, 5),
        "one side": torch.empty(4).uniform_(1, 4),
        "whole frames": torch.tensor([-3.0, -1.0, 0.0, 4.0]),
    }
    with torch.no_grad():
        _settled(bn)
        layer.bias.normal_()
        layer.offsets.copy_(choices.get(offsets, layer.offsets))
        x = torch.randn(2, 6, frames, 5)
        expected = _clamped_gather(layer, x.double())
        assert expected.shape[2] == math.ceil(frames / stride)
        torch.testing.assert_close(layer(x).double(), expected, rtol=1e-5, atol=1e-5)
        folded = layer.deploy(bn)
        torch.testing.assert_close(
            folded(x).double(), _normalized(expected, bn), rtol=1e-5, atol=1e-5
        )


def test_offsets_start_evenly_spread() -> None:
    """linspace(-2, 2), and twice as far for dilation 2."""
    for dilation, reach in ((1, 2.0), (2, 4.0)):
        offsets = DeformableTemporalConv(4, 4, dilation, 1).offsets
        torch.testing.assert_close(offsets.detach(), torch.linspace(-reach, reach, 4))


@pytest.mark.parametrize("stride", [1, 2])
def test_detgc_gradients_are_right(stride: int) -> None:
    """Of input, weights and the time offsets, against finite differences."""
    torch.manual_seed(0)
    layer = DeformableTemporalConv(2, 3, 1, stride).double()
    with torch.no_grad():
        layer.offsets.copy_(torch.tensor([-2.3, -0.6, 0.4, 1.7]))
    x = torch.randn(1, 2, 5, 2, dtype=torch.float64, requires_grad=True)
    assert _gradients_are_right(layer, x)


def _gradients_are_right(layer: torch.nn.Module, x: torch.Tensor) -> bool:
    names, values = zip(*layer.named_parameters(), strict=True)

    def call(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        mapping = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(layer, mapping, (x,))

    return torch.autograd.gradcheck(call, (x, *values))


def _refined(inputs: int, outputs: int) -> RefinedGraphConv:
    torch.manual_seed(3)
    layer = RefinedGraphConv(inputs, outputs, torch.from_numpy(FORK.partitions())).double().eval()
    with torch.no_grad():
        _settled(layer.bn)
        layer.alpha.fill_(0.7)
        for name, parameter in layer.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.3)
    return layer


@pytest.mark.parametrize(("inputs", "outputs"), [(16, 16), (64, 32)])
def test_the_refined_graph_convolution_matches_a_float64_reference(
    inputs: int, outputs: int
) -> None:
    """CTR-GC as Chen et al. write it, in four channel groups, with plain einsums."""
    layer = _refined(inputs, outputs)
    x = torch.randn(2, inputs, 6, 4, dtype=torch.float64)

    def dense(part: torch.nn.Module) -> torch.Tensor:
        return torch.block_diag(*part.weight)

    expected = torch.zeros(2, outputs, 6, 4, dtype=torch.float64)
    mean = x.mean(2)
    for k in range(3):
        query, key = (
            torch.einsum("ri,niv->nrv", dense(part[k]), mean) + part[k].bias[:, None]
            for part in (layer.query, layer.key)
        )
        difference = torch.tanh(query[..., :, None] - key[..., None, :])
        refined = torch.einsum("cr,nrij->ncij", dense(layer.refine[k]), difference)
        refined = refined + layer.refine[k].bias[:, None, None]
        topology = layer.adjacency[k] + layer.alpha * refined
        value = torch.einsum("ci,nitv->nctv", dense(layer.value[k]), x)
        value = value + layer.value[k].bias[:, None, None]
        expected = expected + torch.einsum("ncij,nctj->ncti", topology, value)
    expected = _normalized(expected, layer.bn)
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer.deploy().double()(x), expected, rtol=1e-5, atol=1e-5)


def test_refined_graph_convolution_gradients_are_right() -> None:
    """Of input, adjacency, alpha and every weight, against finite differences."""
    layer = _refined(8, 4)
    x = torch.randn(1, 8, 2, 4, dtype=torch.float64, requires_grad=True)
    assert _gradients_are_right(layer, x)


def test_topology_is_not_refined_at_the_start() -> None:
    """Alpha starts at 0, so a new layer is the plain graph convolution."""
    layer = RefinedGraphConv(16, 16, torch.from_numpy(FORK.partitions()))
    assert layer.alpha.item() == 0
    changed = RefinedGraphConv(16, 16, torch.from_numpy(FORK.partitions()))
    changed.load_state_dict(layer.state_dict())
    torch.nn.init.normal_(changed.refine[0].weight)
    x = torch.randn(1, 16, 3, 4)
    torch.testing.assert_close(layer.eval()(x), changed.eval()(x), rtol=0, atol=0)


def test_the_first_graph_convolution_folds_exactly() -> None:
    """The BatchNorm's shift is added after the joints are mixed, not mixed with them."""
    torch.manual_seed(0)
    layer = StaticGraphConv(3, 8, torch.from_numpy(FORK.partitions())).eval()
    with torch.no_grad():
        _settled(layer.bn)
        x = torch.randn(2, 3, 5, 4)
        torch.testing.assert_close(layer.deploy()(x), layer(x), rtol=1e-5, atol=1e-5)


def test_one_expert_has_the_parameters_of_the_paper() -> None:
    """0.687 M of 120 classes as thop counts: bare parameters (A, alpha, offsets) left out."""
    model = DeGCN(NTU25, 3, 2, 120)
    bare = ("adjacency", "alpha", "offsets")
    counted = [p.numel() for n, p in model.named_parameters() if n.split(".")[-1] not in bare]
    assert round(sum(counted) / 1e6, 3) == 0.687


@pytest.mark.parametrize("frames", [2, 3, 7, 16])
@pytest.mark.parametrize("training", [True, False])
def test_any_length_and_one_person_in_a_batch_of_one(frames: int, training: bool) -> None:
    """Features [N, 256, ceil(T / 4), M, V] and finite logits."""
    torch.manual_seed(0)
    model = DeGCN(FORK, 7, 1, 5).train(training)
    x = torch.randn(1, 7, frames, 4, 1)
    assert model.features(x).shape == (1, 256, math.ceil(frames / 4), 1, 4)
    logits = model(x)
    assert logits.shape == (1, 5)
    assert torch.isfinite(logits).all()


def test_every_person_joint_and_channel_has_its_own_normalization() -> None:
    """``data_bn`` sees [M, V, C]; the folded constants lie as the input lies."""
    torch.manual_seed(0)
    model = DeGCN(FORK, 3, 2, 5).eval()
    with torch.no_grad():
        _settled(model.input_norm)
        x = torch.randn(2, 3, 8, 4, 2)
        expected = model(x)
        model.fold()
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)
    assert model.input_norm.scale.shape == (1, 3, 1, 4, 2)
