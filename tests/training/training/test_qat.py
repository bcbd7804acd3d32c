"""Promises of quantization-aware training: INT8 in what it computes, floats in what it leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from bhar_training.checkpoint import load_checkpoint
from bhar_training.data.batches import input_specs
from bhar_training.data.clip_set import ClipSet
from bhar_training.models import BackboneName, ModelConfig, ModelName, build_model
from bhar_training.models.action_model import Inputs
from bhar_training.models.degcn import GroupedPointwise
from bhar_training.training.config import TrainConfig
from bhar_training.training.qat import (
    QuantizedBranches,
    quantized_layers,
    rounded_input,
    rounded_weight,
)
from bhar_training.training.trainer import fit
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import InputError

CONFIG = TrainConfig(
    ModelConfig(ModelName.PR_GCN, dropout=0.2),
    FeatureConfig(frames=6),
    epochs=1,
    draws=0,
    batch_size=8,
    validation=0.2,
)


@pytest.fixture(scope="module")
def trained(clips: ClipSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One epoch in floats."""
    out = tmp_path_factory.mktemp("qat") / "float"
    fit(clips, CONFIG, out, trained_on="words.npz")
    return out


@pytest.fixture(scope="module")
def tuned(trained: Path, clips: ClipSet) -> Path:
    """Two epochs with roundings."""
    out = trained.with_name("tuned")
    fit(clips, _quantized(trained, epochs=2), out, trained_on="words.npz")
    return out


def _quantized(trained: Path, **changes: object) -> TrainConfig:
    return replace(CONFIG, quantized_from=str(trained), lr=1e-3, **changes)


def test_the_gradient_passes_a_rounding_and_stops_beyond_the_range() -> None:
    x = torch.tensor([-2.0, -0.5, 0.126, 0.9, 3.0], requires_grad=True)
    y = rounded_input(x, (2 / 255, 127))  # from -0.996 to 1.004
    y.sum().backward()
    assert torch.allclose(y * 255 / 2, torch.round(y * 255 / 2), atol=1e-4)
    assert float((y - x)[1:4].detach().abs().max()) <= 1 / 255 + 1e-6
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("layer", [nn.Conv2d(8, 4, 3), nn.Linear(8, 4), GroupedPointwise(16, 8)])
def test_weights_are_integers_of_seven_bits_with_a_scale_for_each_output(layer: nn.Module) -> None:
    """An output that is a hundred times as large leaves the others as exact as they were."""
    weight = layer.weight
    assert isinstance(weight, nn.Parameter)
    with torch.no_grad():
        weight[0] *= 100
    rounded = rounded_weight(layer)
    rounded.sum().backward()
    assert weight.grad is not None and bool((weight.grad == 1).all())
    each = weight.detach().flatten(0, 1) if weight.dim() == 3 else weight.detach()
    rows, exact = rounded.detach().reshape(len(each), -1), each.flatten(1)
    scale = exact.abs().amax(1, keepdim=True) / 63
    assert float((rows / scale - torch.round(rows / scale)).abs().max()) < 1e-3
    assert float(((rows - exact).abs() / scale).max()) <= 0.5 + 1e-3


@pytest.mark.parametrize(
    ("config", "in_float", "rounded"),
    [
        (
            ModelConfig(ModelName.PR_GCN),
            {"net.refine.enter", "net.enter_position.conv", "net.enter_motion.conv"},
            {"net.position.0.conv", "net.motion.0.conv", "net.head"},
        ),
        (
            ModelConfig(ModelName.BHARNET_E),
            {"body.blocks.0.graph.conv", "hand.blocks.4.graph.query.0", "body.blocks.0.residual"},
            {"body.blocks.0.temporal.near", "hand.blocks.4.graph.value.0", "body.head"},
        ),
        (
            ModelConfig(ModelName.BHARNET_E, backbone=BackboneName.ST_GCN),
            {"body.blocks.0.graph"},
            {"body.blocks.0.temporal", "body.blocks.1.graph"},
        ),
    ],
    ids=["pr-gcn", "bharnet-e", "st-gcn"],
)
def test_coordinates_and_topologies_stay_in_float(
    config: ModelConfig, in_float: set[str], rounded: set[str]
) -> None:
    """As in the export."""
    found = set(quantized_layers(build_model(config, input_specs(FeatureConfig()), 4)))
    assert rounded <= found and not in_float & found


def test_the_result_is_an_ordinary_checkpoint_with_the_statistics_it_had(
    trained: Path, tuned: Path
) -> None:
    """Same names, floats between the integers, BatchNorm's means and variances untouched."""
    before, after = (load_file(run / "checkpoint/model.safetensors") for run in (trained, tuned))
    assert {n: x.shape for n, x in before.items()} == {n: x.shape for n, x in after.items()}
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name]) == ("running" in name or "num_batches" in name), (
            name
        )
    checkpoint = load_checkpoint(tuned)
    assert checkpoint.meta.labels == load_checkpoint(trained).meta.labels
    assert not any(module._forward_pre_hooks for module in checkpoint.model.modules())


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    trained: Path, tuned: Path, clips: ClipSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though which values the layers meet is nowhere stored."""
    epochs = iter(range(1))

    def interrupted(*arguments: object) -> None:
        written(*arguments)
        if next(epochs, None) is not None:
            raise KeyboardInterrupt

    from bhar_training.training import trainer

    written = trainer.write_epoch
    monkeypatch.setattr(trainer, "write_epoch", interrupted)
    config, out = _quantized(trained, epochs=2), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(clips, config, out, trained_on="words.npz")
    fit(clips, config, out, trained_on="words.npz", resume=True)
    whole, resumed = (load_file(run / "checkpoint/model.safetensors") for run in (tuned, out))
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=0, atol=0)


def test_a_model_in_evaluation_has_no_roundings_left(clips: ClipSet) -> None:
    """Hooks and rounded weights are there for one forward pass alone."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 8, 1), nn.ReLU(), nn.Conv2d(8, 2, 1)).eval()
    plain = _Plain(model)
    x = torch.randn(3, 4, 5, 5)
    before = model(x)
    quantized = QuantizedBranches(plain, {"body": x}).train()
    off = (quantized({"body": x})[0] - before).abs().max()
    assert 1e-4 < float(off) < 0.1
    assert torch.equal(model(x), before)


class _Plain(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Inputs) -> tuple[torch.Tensor, ...]:
        return (self.model(inputs["body"]),)


def test_other_labels_than_those_it_knows_are_refused(
    trained: Path, clips: ClipSet, tmp_path: Path
) -> None:
    strange = replace(clips, labels=tuple(f"{label}?" for label in clips.labels))
    with pytest.raises(InputError, match=r"got labels .* expected some of"):
        fit(strange, _quantized(trained), tmp_path / "run", trained_on="x")
