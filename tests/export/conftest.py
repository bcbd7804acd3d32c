"""A small real export, made once: PR-GCN and real recordings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch

from bhar_export.cli import main
from bhar_export.graph import graph
from bhar_export.quantization.calibration_clips import LabeledFeatures
from bhar_export.step import form as step_form
from bhar_training.checkpoint import CheckpointMeta, save_checkpoint
from bhar_training.data.batches import features_of, input_specs
from bhar_training.data.clips import load_clips
from bhar_training.evaluation.evaluate import class_indices
from bhar_training.models import ModelConfig, ModelName, build_model
from bhar_training.models.action_model import ActionModel, InputSpecs
from bharsdk.bundle.feature_config import FeatureConfig

WORDS = Path(__file__).parents[1] / "data" / "words.npz"
FEATURES = FeatureConfig(fps=12.0, frames=12)
RANDOM_CLASSES = 5
"""Of models that were not trained."""
LABELS = ("-", "coffee", "hello", "no", "please", "tea")

Export = Callable[..., int]
MadeOnce = Callable[[str, Callable[[Path], object]], Path]
"""See their fixtures."""

PLAIN = (bool, int, float, str, tuple, type(None))


def _fingerprint(module: torch.nn.Module, *more: object) -> str:
    """Of all that a trace of ``module`` depends on: classes, settings, weights, and ``more``."""
    digest = hashlib.sha256(repr(more).encode())
    for name, part in module.named_modules():
        kind = f"{type(part).__module__}.{type(part).__qualname__}"
        settings = {k: v for k, v in sorted(vars(part).items()) if isinstance(v, PLAIN)}
        digest.update(f"{name} {kind} {settings}".encode())
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="session", autouse=True)
def traced_once(made_once: MadeOnce) -> Iterator[None]:
    """Torch traces each module once for all tests: the same module gives the same graph.

    Tracing takes five seconds, and some forty tests export the same few models.
    """
    original = graph.exported

    def exported(
        module: torch.nn.Module,
        example: tuple[torch.Tensor | dict[str, torch.Tensor], ...],
        inputs: Sequence[str],
        outputs: Sequence[str],
    ) -> onnx.ModelProto:
        shapes = [
            {name: tensor.shape for name, tensor in (x if isinstance(x, dict) else {"": x}).items()}
            for x in example
        ]
        key = _fingerprint(module, shapes, list(inputs), list(outputs))

        def trace(folder: Path) -> None:
            onnx.save(original(module, example, inputs, outputs), folder / "traced.onnx")

        return onnx.load(made_once(f"traced-{key}", trace) / "traced.onnx")

    with pytest.MonkeyPatch.context() as patch:
        for user in (graph, step_form):
            patch.setattr(user, "exported", exported)
        yield


@pytest.fixture(scope="session")
def noise() -> Callable[[int], LabeledFeatures]:
    """Random inputs of six frames: ``noise(clips)``."""

    def make(clips: int) -> LabeledFeatures:
        random = np.random.default_rng(0)
        inputs = {
            "body": random.standard_normal((clips, 7, 6, 25, 1), dtype=np.float32),
            "hands": random.standard_normal((clips, 7, 6, 21, 2), dtype=np.float32),
        }
        return LabeledFeatures("noise", inputs, np.zeros(clips, np.int64), ())

    return make


@pytest.fixture(scope="session")
def make_inputs() -> Callable[..., dict[str, npt.NDArray[np.float32]]]:
    """Random clips, [clips, C, T, V, M] by name: ``make_inputs(specs, frames, clips)``."""

    def make(specs: InputSpecs, frames: int, clips: int = 2) -> dict[str, npt.NDArray[np.float32]]:
        random = np.random.default_rng(0)
        return {
            name: random.standard_normal((clips, *replace(spec, frames=frames).shape), np.float32)
            for name, spec in specs.items()
        }

    return make


@pytest.fixture(scope="session")
def make_model(
    make_inputs: Callable[..., dict[str, npt.NDArray[np.float32]]],
) -> Callable[[ModelConfig, InputSpecs], ActionModel]:
    """A model whose every constant matters, and whose features are of the size of trained ones."""

    def make(config: ModelConfig, specs: InputSpecs) -> ActionModel:
        torch.manual_seed(1)
        model = build_model(config, specs, RANDOM_CLASSES)
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
        seen = make_inputs(specs, 24, 4)
        with torch.no_grad():
            model.train()({name: torch.from_numpy(array) for name, array in seen.items()})
        return model.eval()

    return make


def _trained(config: ModelConfig, folder: Path) -> Path:
    """A model trained for a moment on signer s1: it knows these clips, and little else."""
    torch.manual_seed(5)
    torch.set_num_threads(1)
    model = build_model(config, input_specs(FEATURES), len(LABELS))
    clips = load_clips(WORDS).of_signers(["s1"])
    inputs = features_of(clips, FEATURES)
    truth = torch.from_numpy(class_indices(clips, LABELS))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), truth).backward()
        optimizer.step()
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
def checkpoint(made_once: MadeOnce) -> Path:
    """PR-GCN."""
    return made_once("pr-gcn", lambda folder: _trained(ModelConfig(ModelName.PR_GCN), folder))


@pytest.fixture(scope="session")
def causal_checkpoint(made_once: MadeOnce) -> Path:
    """PR-GCN in the form that runs frame by frame."""
    config = ModelConfig(ModelName.PR_GCN, window=FEATURES.frames)
    return made_once("causal", lambda folder: _trained(config, folder))


@pytest.fixture
def export(checkpoint: Path, tmp_path: Path) -> Export:
    """Run ``bhar-export CHECKPOINT --output tmp_path/model.bhar`` with more arguments."""

    def run(*arguments: object, source: Path = checkpoint) -> int:
        output = tmp_path / "model.bhar"
        return main([str(source), "--output", str(output), *map(str, arguments)])

    return run


@pytest.fixture(scope="session")
def int8_bundle(checkpoint: Path, made_once: MadeOnce) -> Path:
    """An INT8 bundle, calibrated on s1, counted on s2."""
    data = ["--int8", "--calib", WORDS, "--calib-signers", "s1", "--eval", WORDS]
    data += ["--eval-signers", "s2", "--max-drop", 100, "--license", "MIT", "--output"]

    def make(folder: Path) -> None:
        assert main([str(checkpoint), *map(str, data), str(folder / "words.bhar")]) == 0

    return made_once("int8", make) / "words.bhar"


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
def every_target(checkpoint: Path, made_once: MadeOnce) -> Path:
    """One export to all targets, in INT8: a bundle that every backend can run."""
    data = ["--int8", "--calib", str(WORDS), "--eval", str(WORDS), "--max-drop", "100", "--output"]

    def make(folder: Path) -> None:
        assert main([str(checkpoint), "--target", "all", *data, str(folder / "model.bhar")]) == 0

    return made_once("every-target", make) / "model.bhar"
