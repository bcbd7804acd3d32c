"""A small real export, made once: PR-GCN and real recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from bhar_export.calibrate import LabelledFeatures
from bhar_export.cli import main
from bhar_training.checkpoint import CheckpointMeta, save_checkpoint
from bhar_training.data.batches import features_of, input_layout
from bhar_training.data.clips import load_clips
from bhar_training.evaluate import class_indices
from bhar_training.models import ActionModel, InputLayout, ModelConfig, ModelName, build_model
from bharsdk.features import FeatureConfig

WORDS = Path(__file__).parents[1] / "data" / "words.npz"
FEATURES = FeatureConfig(fps=12.0, frames=12)
RANDOM_CLASSES = 5
"""Of models that were not trained."""
LABELS = ("-", "coffee", "hello", "no", "please", "tea")

Export = Callable[..., int]


@pytest.fixture(scope="session")
def noise() -> Callable[[int], LabelledFeatures]:
    """Random inputs of six frames: ``noise(clips)``."""

    def make(clips: int) -> LabelledFeatures:
        random = np.random.default_rng(0)
        body = random.standard_normal((clips, 7, 6, 25, 1), dtype=np.float32)
        hands = random.standard_normal((clips, 7, 6, 21, 2), dtype=np.float32)
        return LabelledFeatures("noise", body, hands, np.zeros(clips, np.int64), ())

    return make


@pytest.fixture(scope="session")
def make_inputs() -> Callable[..., dict[str, npt.NDArray[np.float32]]]:
    """Random clips, [clips, C, T, V, M] by name: ``make_inputs(layout, frames, clips)``."""

    def make(
        layout: InputLayout, frames: int, clips: int = 2
    ) -> dict[str, npt.NDArray[np.float32]]:
        random = np.random.default_rng(0)
        shapes = {"body": (layout.body.joint_count, layout.persons)}
        if layout.hand is not None:
            shapes["hands"] = (layout.hand.joint_count, 2)
        return {
            name: random.standard_normal((clips, layout.channels, frames, *shape), np.float32)
            for name, shape in shapes.items()
        }

    return make


@pytest.fixture(scope="session")
def make_model(
    make_inputs: Callable[..., dict[str, npt.NDArray[np.float32]]],
) -> Callable[[ModelConfig, InputLayout], ActionModel]:
    """A model whose every constant matters, and whose features are of the size of trained ones."""

    def make(config: ModelConfig, layout: InputLayout) -> ActionModel:
        torch.manual_seed(1)
        model = build_model(config, layout, RANDOM_CLASSES)
        for name, parameter in model.named_parameters():
            if name.endswith("alpha"):
                torch.nn.init.constant_(parameter, 0.4)
            elif name.endswith("offsets"):
                parameter.data += 0.3 * torch.randn(parameter.shape)
            elif name.endswith("head.weight"):
                torch.nn.init.normal_(parameter, 0, 0.1)
        for layer in model.modules():
            if isinstance(layer, torch.nn.LayerNorm):
                torch.nn.init.uniform_(layer.weight, 0.7, 1.3)
                torch.nn.init.normal_(layer.bias, 0, 0.1)
            elif isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                layer.momentum = 1.0
                torch.nn.init.uniform_(layer.weight, 0.6, 1.0)
                torch.nn.init.normal_(layer.bias, 0, 0.1)
        seen = make_inputs(layout, 24, 4)
        both = (torch.from_numpy(seen.get(name, seen["body"])) for name in ("body", "hands"))
        with torch.no_grad():
            model.train()(*both)
        return model.eval()

    return make


def _trained(config: ModelConfig, folder: Path) -> Path:
    """A model trained for a moment on signer s1: it knows these clips, and little else."""
    torch.manual_seed(5)
    torch.set_num_threads(1)
    model = build_model(config, input_layout(FEATURES), len(LABELS))
    clips = load_clips(WORDS).of_signers(["s1"])
    body, hands = features_of(clips, FEATURES)
    truth = torch.from_numpy(class_indices(clips, LABELS))
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(body, hands), truth).backward()
        optimiser.step()
    meta = CheckpointMeta(
        model=config,
        features=FEATURES,
        labels=LABELS,
        background="-",
        trained_on="words.npz",
        signers=("s1",),
        clips=24,
        epoch=1,
        seed=5,
    )
    save_checkpoint(folder, model.eval(), meta)
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PR-GCN."""
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    return _trained(ModelConfig(ModelName.PR_GCN), folder)


@pytest.fixture(scope="session")
def causal_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PR-GCN in the form that runs frame by frame."""
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    return _trained(ModelConfig(ModelName.PR_GCN, window=FEATURES.frames), folder)


@pytest.fixture
def export(checkpoint: Path, tmp_path: Path) -> Export:
    """Run ``bhar-export CHECKPOINT --output tmp_path/model.bhar`` with more arguments."""

    def run(*arguments: object, source: Path = checkpoint) -> int:
        output = tmp_path / "model.bhar"
        return main([str(source), "--output", str(output), *map(str, arguments)])

    return run


@pytest.fixture(scope="session")
def int8_bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An INT8 bundle, calibrated on s1, counted on s2."""
    path = tmp_path_factory.mktemp("export") / "words.bhar"
    data = ["--int8", "--calib", WORDS, "--calib-signers", "s1", "--eval", WORDS]
    more = ["--eval-signers", "s2", "--max-drop", 100, "--licence", "MIT", "--output", path]
    assert main([str(checkpoint), *map(str, data + more)]) == 0
    return path


@pytest.fixture(scope="session")
def noise_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random numbers in place of landmarks: useless for calibration."""
    with np.load(WORDS, allow_pickle=False) as data:
        arrays = {name: data[name].copy() for name in data.files}
    random = np.random.default_rng(0)
    arrays["landmarks"][:] = random.standard_normal(arrays["landmarks"].shape)
    path = tmp_path_factory.mktemp("data") / "noise.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="session")
def every_target(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One export to all targets, in INT8: a bundle that every back end can run."""
    output = tmp_path_factory.mktemp("all") / "model.bhar"
    data = ["--int8", "--calib", str(WORDS), "--eval", str(WORDS), "--max-drop", "100"]
    assert main([str(checkpoint), "--target", "all", *data, "--output", str(output)]) == 0
    return output
