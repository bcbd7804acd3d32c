from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from bhar_training.data.batches import input_specs
from bhar_training.models import BackboneName, Fusion, ModelConfig, ModelName, build_model
from bhar_training.models.action_model import ActionModel, Inputs
from bhar_training.models.bharnet import BHaRNetE, BHaRNetExpertOnly, fuse
from bhar_training.models.degcn import DeformableTemporalConv
from bharsdk.bundle.feature_config import FeatureConfig, Modality
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recognition.features import extract

CONFIG = FeatureConfig(frames=9)
CLASSES = 5
each_model = pytest.mark.parametrize("name", list(ModelName), ids=lambda name: name.value)
each_model_with_hands = pytest.mark.parametrize(
    "name", [name for name in ModelName if name is not ModelName.BODY_EXPERT], ids=lambda n: n.value
)


@pytest.fixture(scope="module")
def real_inputs(word_clips: dict[str, npt.NDArray[np.float16]]) -> Inputs:
    """Features of eight recorded clips."""
    clips = [clip for label in sorted(word_clips)[:4] for clip in word_clips[label][:2]]
    found = [extract(LandmarkSequence.from_flat(clip, fps=15), CONFIG, 900.0) for clip in clips]
    return {
        "body": torch.stack([torch.from_numpy(item.body) for item in found]),
        "hands": torch.stack([torch.from_numpy(item.hands) for item in found]),
    }


_TRAINED: dict[ModelName, ActionModel] = {}


def _trained(name: ModelName, inputs: Inputs) -> ActionModel:
    """As :func:`_train` makes it, once."""
    if name not in _TRAINED:
        _TRAINED[name] = _train(name, inputs)
    return _TRAINED[name]


def _train(name: ModelName, inputs: Inputs) -> ActionModel:
    """A model whose statistics, offsets and refinements are no longer at their start."""
    torch.manual_seed(1)
    model = build_model(ModelConfig(name), input_specs(CONFIG), CLASSES)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith(("alpha", "offsets", "bias", "adjacency")):
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif parameter.dim() == 1:
                parameter.mul_(torch.empty_like(parameter).uniform_(0.7, 1.3))
            elif "head" in key:
                parameter.normal_(0, 0.05)
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = 0.5
        model.train()
        for _ in range(4):
            model({n: part + 0.05 * torch.randn_like(part) for n, part in inputs.items()})
    return model.eval()


def _off(model: ActionModel, one: Inputs, other: Inputs) -> float:
    return float((model(one) - model(other)).abs().max())


@each_model
@torch.no_grad()
def test_the_deployed_model_gives_the_same_logits(name: ModelName, real_inputs: Inputs) -> None:
    """Within 1e-4 on real features, and the model itself stays as it was."""
    model = _trained(name, real_inputs)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    expected = model(real_inputs)
    assert expected.std(0).max() > 1e-3
    found = model.deploy()(real_inputs)
    assert float((found - expected).abs().max()) < 1e-4
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


@each_model
def test_nothing_is_left_to_fold_in_the_deployed_model(name: ModelName) -> None:
    """No BatchNorm, no DeTGC, no gradients, evaluation mode."""
    deployed = build_model(ModelConfig(name), input_specs(CONFIG), CLASSES).deploy()
    unwanted = (torch.nn.modules.batchnorm._BatchNorm, DeformableTemporalConv)
    assert not [module for module in deployed.modules() if isinstance(module, unwanted)]
    assert not [p for p in deployed.parameters() if p.requires_grad]
    assert not deployed.training


@each_model
@pytest.mark.parametrize("frames", [2, 3, 13])
@torch.no_grad()
def test_any_window_length_and_a_batch_of_one(name: ModelName, frames: int) -> None:
    """Also deployed: the graph that runs live sees batches of one."""
    config = FeatureConfig(frames=frames, modalities=(Modality.JOINT,))
    model = build_model(ModelConfig(name), input_specs(config), CLASSES).eval()
    inputs = {"body": torch.randn(1, 4, frames, 25, 1), "hands": torch.randn(1, 4, frames, 21, 2)}
    logits = model(inputs)
    assert logits.shape == (1, CLASSES)
    torch.testing.assert_close(model.deploy()(inputs), logits, rtol=1e-4, atol=1e-4)


@each_model_with_hands
@torch.no_grad()
def test_a_missing_hand_is_not_a_hand_at_rest(name: ModelName, real_inputs: Inputs) -> None:
    """Zeros without presence and zeros with presence give different logits."""
    model = _trained(name, real_inputs)
    missing = real_inputs["hands"].clone()
    missing[..., 0] = 0
    resting = missing.clone()
    resting[:, -1, :, :, 0] = 1
    assert _off(model, {**real_inputs, "hands": missing}, {**real_inputs, "hands": resting}) > 1e-4


@each_model_with_hands
@torch.no_grad()
def test_left_and_right_hand_are_told_apart(name: ModelName, real_inputs: Inputs) -> None:
    """Swapping the hands of a clip changes its logits."""
    model = _trained(name, real_inputs)
    swapped = {**real_inputs, "hands": real_inputs["hands"].flip(4)}
    assert _off(model, real_inputs, swapped) > 1e-4


@torch.no_grad()
def test_bharnet_e_fuses_by_the_mean_of_its_experts(real_inputs: Inputs) -> None:
    """(fused, body, hand), and forward gives the fused ones."""
    model = build_model(ModelConfig(ModelName.BHARNET_E), input_specs(CONFIG), CLASSES).eval()
    fused, body, hand = model.branches(real_inputs)
    torch.testing.assert_close(fused, (body + hand) / 2)
    torch.testing.assert_close(model(real_inputs), fused)


@torch.no_grad()
def test_each_expert_sees_its_own_part_only(real_inputs: Inputs) -> None:
    """The body expert does not change with the hands, nor the hand expert with the body."""
    model = _trained(ModelName.BHARNET_E, real_inputs)
    _, body_logits, hand_logits = model.branches(real_inputs)
    _, same, changed = model.branches({**real_inputs, "hands": real_inputs["hands"] * 0.5})
    torch.testing.assert_close(same, body_logits, rtol=0, atol=0)
    assert (changed - hand_logits).abs().max() > 1e-4


@torch.no_grad()
def test_a_single_expert_does_not_look_at_the_other_part(real_inputs: Inputs) -> None:
    """Each is one backbone, on the body or on the hands."""
    body, hands = ({**real_inputs, name: real_inputs[name] * 0} for name in ("hands", "body"))
    of_body = _trained(ModelName.BODY_EXPERT, real_inputs)
    of_hands = _trained(ModelName.HAND_EXPERT, real_inputs)
    assert _off(of_body, real_inputs, body) == 0
    assert _off(of_hands, real_inputs, hands) == 0
    assert _off(of_hands, real_inputs, body) > 1e-4


@torch.no_grad()
def test_bharnet_e_sums_four_branches_and_its_experts_run_alone(real_inputs: Inputs) -> None:
    """The sum is experts and interactive branches; the edge model is made of the same experts."""
    model = _trained(ModelName.BHARNET_E_FULL, real_inputs)
    assert isinstance(model, BHaRNetE)
    fused, *interactive = model.branches(real_inputs)
    edge = model.expert_only()
    assert isinstance(edge, BHaRNetExpertOnly)
    mean, *experts = edge.branches(real_inputs)
    torch.testing.assert_close(fused, sum(interactive) + sum(experts))
    torch.testing.assert_close(mean, sum(experts) / 2)
    assert len(interactive) == len(experts) == 2


@pytest.mark.parametrize("name", [ModelName.BHARNET_E_FULL, ModelName.BHARNET_P])
@torch.no_grad()
def test_interactive_branches_see_the_other_branch(name: ModelName, real_inputs: Inputs) -> None:
    """Other hands change what the body's branch says."""
    model = _trained(name, real_inputs)
    _, before, _ = model.branches(real_inputs)
    _, after, _ = model.branches({**real_inputs, "hands": real_inputs["hands"] * 0.5})
    assert (before - after).abs().max() > 1e-5


@torch.no_grad()
def test_noisy_or_is_the_papers_formula() -> None:
    """p = 1 - (1 - p_B)(1 - p_H), normalized by softmax; a sure branch outweighs an unsure one."""
    torch.manual_seed(0)
    parts = [torch.randn(6, CLASSES, dtype=torch.float64) * 3 for _ in range(2)]
    p, q = (part.softmax(1) for part in parts)
    expected = 1 - (1 - p) * (1 - q)
    expected = expected / expected.sum(1, keepdim=True)
    found = fuse([part.float() for part in parts], Fusion.NOISY_OR).softmax(1)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    sure, unsure = torch.tensor([[6.0, 0, 0]]), torch.tensor([[0.0, 4.0, 4.0]])
    assert fuse([sure, unsure], Fusion.NOISY_OR).argmax() == 0


@pytest.mark.parametrize("backbone", list(BackboneName), ids=lambda name: name.value)
@pytest.mark.parametrize("fusion", list(Fusion), ids=lambda name: name.value)
@torch.no_grad()
def test_every_backbone_and_fusion_deploys(
    backbone: BackboneName, fusion: Fusion, real_inputs: Inputs
) -> None:
    """The folded copy gives the same logits."""
    torch.manual_seed(0)
    config = ModelConfig(ModelName.BHARNET_E, backbone=backbone, fusion=fusion)
    model = build_model(config, input_specs(CONFIG), CLASSES).train()
    for _ in range(3):
        model(real_inputs)
    model.eval()
    expected = model(real_inputs)
    torch.testing.assert_close(model.deploy()(real_inputs), expected, rtol=1e-4, atol=1e-4)
