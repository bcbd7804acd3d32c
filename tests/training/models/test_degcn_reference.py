from __future__ import annotations

import copy

import pytest
import torch

from bhar_training.models.degcn import DeGCN, RefinedGraphConv
from bhar_training.models.degcn_reference import plain_form
from bharsdk.landmarks.skeleton import MEDIAPIPE_HAND21, NTU25, Skeleton


@pytest.mark.parametrize(("skeleton", "persons"), [(NTU25, 2), (MEDIAPIPE_HAND21, 2), (NTU25, 1)])
@pytest.mark.parametrize("frames", [2, 7, 16])
@torch.no_grad()
def test_the_fast_form_computes_what_the_public_form_computes(
    skeleton: Skeleton, persons: int, frames: int
) -> None:
    """Logits of the same weights, in float64, with offsets, A and alpha moved from their start."""
    torch.manual_seed(frames)
    fast = DeGCN(skeleton, 3, persons, 7).double()
    for module in fast.modules():
        if isinstance(module, RefinedGraphConv):
            module.alpha.fill_(0.5)
    for name, parameter in fast.named_parameters():
        if name.endswith(("offsets", "bias", "adjacency")):
            parameter.add_(torch.randn_like(parameter) * 0.2)
    x = torch.randn(2, 3, frames, skeleton.joint_count, persons, dtype=torch.float64)
    fast.train()(x)
    fast.eval()
    plain = plain_form(copy.deepcopy(fast))
    torch.testing.assert_close(plain(x), fast(x), rtol=1e-8, atol=1e-8)


def test_gradients_of_both_forms_agree() -> None:
    """Of every weight, offset and adjacency, in training mode, in float64."""
    torch.manual_seed(0)
    fast = DeGCN(MEDIAPIPE_HAND21, 3, 1, 5).double().train()
    plain = plain_form(copy.deepcopy(fast)).double()
    x = torch.randn(2, 3, 6, 21, 1, dtype=torch.float64)
    truth = torch.tensor([1, 4])
    for model in (fast, plain):
        torch.nn.functional.cross_entropy(model(x), truth).backward()
    kinds = ("offsets", "adjacency", "alpha", "value", "query", "near", "reduce", "head")

    def norm(model: DeGCN, kind: str) -> float:
        named = model.named_parameters()
        return sum(float(p.grad.square().sum()) for name, p in named if kind in name)

    found, expected = ({kind: norm(model, kind) for kind in kinds} for model in (fast, plain))
    assert found == pytest.approx(expected, rel=1e-6)
