from __future__ import annotations

import pytest
import torch

from bhar_training.models.prgcn import PRGCN, GraphConv, PoseRefinement
from bharsdk.landmarks.skeleton import NTU25, OPENPOSE18


def _parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("prm", "tam", "millions"),
    [(False, False, 0.305), (True, False, 0.330), (False, True, 0.556), (True, True, 0.581)],
)
def test_parameters_on_kinetics_are_those_of_the_ablation(
    prm: bool, tam: bool, millions: float
) -> None:
    """(3, 300, 18, 2), 400 classes: the four rows of the paper's table as measured."""
    model = PRGCN(OPENPOSE18, 3, 400, refined=2, prm=prm, tam=tam)
    assert round(_parameters(model) / 1e6, 3) == pytest.approx(millions, abs=5e-4)


def test_parameters_on_ntu_are_those_of_the_full_model() -> None:
    """(3, 300, 25, 2), 60 classes."""
    assert _parameters(PRGCN(NTU25, 3, 60, refined=3)) == pytest.approx(0.502e6, abs=500)


@pytest.mark.parametrize("frames", [2, 3, 5, 6, 7, 11, 24, 31])
@pytest.mark.parametrize("training", [True, False])
def test_any_length_and_one_person_in_a_batch_of_one(frames: int, training: bool) -> None:
    """T below 30 or no multiple of 6, batch 1, person 1: finite logits, in training too."""
    torch.manual_seed(0)
    model = PRGCN(NTU25, 3, 5, refined=3).train(training)
    logits = model(torch.randn(1, 3, frames, 25, 1))
    assert logits.shape == (1, 5)
    assert torch.isfinite(logits).all()


def test_persons_are_pooled_in_any_order() -> None:
    """The maximum over persons does not know who is first."""
    torch.manual_seed(0)
    model = PRGCN(NTU25, 3, 5, refined=3).eval()
    x = torch.randn(2, 3, 12, 25, 2)
    torch.testing.assert_close(model(x), model(x.flip(4)))


def test_pose_refinement_moves_coordinates_only() -> None:
    """A confidence beside two coordinates is read and comes out as it went in."""
    torch.manual_seed(0)
    refine = PoseRefinement(3, 2, torch.from_numpy(OPENPOSE18.partitions())).eval()
    x = torch.randn(2, 3, 6, 18)
    out = refine(x)
    torch.testing.assert_close(out[:, 2], x[:, 2], rtol=0, atol=0)
    assert (out[:, :2] - x[:, :2]).abs().min() > 0
    louder = x.clone()
    louder[:, 2] *= 2
    assert (refine(louder)[:, :2] - out[:, :2]).abs().max() > 1e-5


@pytest.mark.parametrize("outputs", [8, 12])
def test_the_graph_convolution_matches_a_float64_reference(outputs: int) -> None:
    """Conv, sum over partitions with A + 1e-4, BatchNorm, residual, ReLU, written out."""
    torch.manual_seed(0)
    partitions = torch.from_numpy(OPENPOSE18.partitions()).double()
    layer = GraphConv(8, outputs, partitions).double().eval()
    x = torch.randn(2, 8, 4, 18, dtype=torch.float64)
    weight = layer.conv.weight[..., 0, 0].view(3, outputs, 8)
    bias = layer.conv.bias.view(3, outputs)
    values = torch.einsum("koi,nitv->nkotv", weight, x) + bias[None, :, :, None, None]
    summed = torch.einsum("nkotv,kvw->notw", values, partitions + 1e-4)
    residual = x
    if outputs != 8:
        conv, bn = layer.residual
        residual = torch.einsum("oi,nitv->notv", conv.weight[..., 0, 0], x)
        residual = (residual + conv.bias.view(-1, 1, 1)) / (1 + bn.eps) ** 0.5
    expected = (summed / (1 + layer.bn.eps) ** 0.5 + residual).clamp(min=0)
    torch.testing.assert_close(layer(x), expected)
