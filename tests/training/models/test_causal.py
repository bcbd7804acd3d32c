"""The causal form: what is to come changes nothing, and means run along with the frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bhar_training.data.batches import input_specs
from bhar_training.models import BackboneName, ModelConfig, ModelName, build_model
from bhar_training.models.action_model import ActionModel, Inputs
from bhar_training.models.causal import (
    CausalMaxPool,
    RunningTopology,
    moving_average,
    running_mean,
)
from bharsdk.bundle.feature_config import FeatureConfig, Modality
from bharsdk.errors import InputError, UsageError

LAYOUT = input_specs(FeatureConfig(modalities=(Modality.JOINT,), presence=False))
NAMES = (
    ModelName.PR_GCN,
    ModelName.BHARNET_E,
    ModelName.BHARNET_E_FULL,
    ModelName.BHARNET_P,
)


def _model(name: ModelName, window: int = 12) -> ActionModel:
    torch.manual_seed(0)
    model = build_model(ModelConfig(name, window=window), LAYOUT, 4)
    for key, parameter in model.named_parameters():
        if key.endswith("alpha"):
            torch.nn.init.constant_(parameter, 0.5)
        elif key.endswith("offsets"):
            parameter.data += 0.4 * torch.randn(parameter.shape)  # some beyond zero
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(_clip(30, clips=4))
    return model.eval().double()


def _clip(frames: int, clips: int = 1, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"body": (25, 1), "hands": (21, 2)}
    return {n: torch.randn(clips, 3, frames, *s, generator=generator) for n, s in shapes.items()}


def _double(inputs: Inputs) -> dict[str, Tensor]:
    return {name: x.double() for name, x in inputs.items()}


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_no_layer_looks_ahead(name: ModelName) -> None:
    """Features up to a frame are the same whatever follows it, at every rate."""
    model = _model(name)
    inputs, later = _double(_clip(40)), _double(_clip(17, seed=2))
    seen: dict[int, list[Tensor]] = {}

    def keep(module: torch.nn.Module, _: object, out: object) -> None:
        if isinstance(out, Tensor) and out.dim() == 4:
            seen.setdefault(id(module), []).append(out)

    for module in model.modules():
        module.register_forward_hook(keep)
    model(inputs)
    model({name: torch.cat([x[:, :, :23], later[name]], 2) for name, x in inputs.items()})
    compared = 0
    for before, after in (outs for outs in seen.values() if len(outs) == 2):
        stride = {40: 1, 20: 2, 10: 4, 7: 6}.get(before.shape[2])
        if stride is not None:
            frames = 22 // stride + 1
            torch.testing.assert_close(before[:, :, :frames], after[:, :, :frames])
            compared += 1
    assert compared > 15


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_every_frame_counts(name: ModelName) -> None:
    """The logits are those of the last frame that all strides let through."""
    model = _model(name)
    inputs = _double(_clip(37))
    other = inputs["hands"].clone()
    other[:, :, 36] += 1.0  # a multiple of every stride
    assert not torch.allclose(model(inputs), model({**inputs, "hands": other}))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name: ModelName) -> None:
    model = _model(name).train()
    model(_double(_clip(16, clips=2))).square().sum().backward()
    without = [
        key
        for key, p in model.named_parameters()
        if p.grad is None or not torch.isfinite(p.grad).all()
    ]
    assert without == []


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_deployed_form_computes_the_same(name: ModelName) -> None:
    model = _model(name).float()
    expected = model(_clip(26))
    torch.testing.assert_close(model.deploy()(_clip(26)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("frames", [1, 5, 12, 30])
def test_the_running_mean_is_its_definition(frames: int) -> None:
    """All frames until there are ``window``, then a part of one in ``window`` is new."""
    x = np.random.default_rng(0).standard_normal((2, 3, frames, 4))
    got, mean = running_mean(torch.from_numpy(x), 12).numpy(), np.zeros((2, 3, 4))
    for i in range(frames):
        mean += (x[:, :, i] - mean) / min(i + 1, 12)
        np.testing.assert_allclose(got[:, :, i], mean, atol=1e-12)


@pytest.mark.parametrize("frames", [1, 3, 9])
def test_windows_end_at_the_frame_they_are_for(frames: int) -> None:
    x = torch.randn(2, 3, frames, 4, dtype=torch.float64)
    averages, greatest = moving_average(x, 5), CausalMaxPool(3, 2)(x)
    for t in range(frames):
        torch.testing.assert_close(averages[:, :, t], x[:, :, max(0, t - 4) : t + 1].mean(2))
    for i in range(greatest.shape[2]):
        window = x[:, :, max(0, 2 * i - 2) : 2 * i + 1]
        torch.testing.assert_close(greatest[:, :, i], window.amax(2))
    assert greatest.shape[2] == -(-frames // 2)


@pytest.mark.parametrize(("frames", "period"), [(1, 8), (8, 8), (9, 4), (23, 2), (5, 1)])
def test_frames_come_back_in_their_order(frames: int, period: int) -> None:
    """Periods are clips of their own; the mean of each is the running one at its first frame."""
    running = RunningTopology(window=7, period=period)
    x = torch.randn(2, 3, frames, 4)
    means, parts = running.split(x)
    torch.testing.assert_close(running.join(parts, frames), x)
    expected = running_mean(x, 7)[:, :, ::period].transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(means, expected)


def test_a_backbone_without_a_causal_form_is_refused() -> None:
    config = ModelConfig(ModelName.BHARNET_E, backbone=BackboneName.ST_GCN, window=8)
    with pytest.raises(UsageError, match="st-gcn has no causal form"):
        build_model(config, LAYOUT, 4)


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="window 0"):
        ModelConfig(ModelName.PR_GCN, window=0)
