"""What the table of models promises: names without torch, builders on demand, inputs by name."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from bhar_training.data.batches import input_specs
from bhar_training.data.skeleton_features import SkeletonFeatureConfig
from bhar_training.models import ModelConfig, ModelName, build_model
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import UsageError

FEATURES = FeatureConfig(frames=6)


def test_the_names_are_known_without_torch() -> None:
    """A command line lists them at once; torch takes a second to import."""
    program = (
        "import sys; from bhar_training.models import ModelName, ModelConfig\n"
        "assert ModelConfig(ModelName('pr-gcn')).name is ModelName.PR_GCN\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("name", list(ModelName), ids=lambda name: name.value)
@torch.no_grad()
def test_a_model_needs_the_inputs_that_it_names_and_no_others(name: ModelName) -> None:
    """Whatever else is in a batch changes nothing; without one of its inputs it cannot run."""
    torch.manual_seed(0)
    specs = input_specs(FEATURES)
    model = build_model(ModelConfig(name), specs, 3).eval()
    inputs = {key: torch.randn(1, *specs[key].shape) for key in model.reads}
    logits = model(inputs)
    assert logits.shape == (1, 3)
    other = torch.full((1, 1), torch.nan)
    given = {**dict.fromkeys(specs, other), **inputs, "object": other}
    torch.testing.assert_close(model(given), logits, rtol=0, atol=0)
    for key in model.reads:
        with pytest.raises(KeyError, match=key):
            model({other: x for other, x in inputs.items() if other != key})


@pytest.mark.parametrize("name", [ModelName.BHARNET_E, ModelName.BHARNET_P, ModelName.HAND_EXPERT])
def test_data_without_hands_is_refused_by_name(name: ModelName) -> None:
    """And it says which models take it."""
    specs = input_specs(SkeletonFeatureConfig("ntu25"))
    assert list(specs) == ["body"]
    with pytest.raises(UsageError, match=r"needs hands, got body \(ntu25\) alone: use body-expert"):
        build_model(ModelConfig(name), specs, 3)
