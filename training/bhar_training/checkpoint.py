"""Read and write checkpoints: ``model.safetensors`` beside ``model.json``. No pickle anywhere.

A checkpoint is a folder. Both files are on the disk before either is renamed. So an interrupted run
or a full disk leaves the checkpoint of the previous epoch whole.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from bhar_training.data.batches import AnyFeatures, input_specs
from bhar_training.models import ModelConfig, build_model
from bhar_training.models.action_model import ActionModel
from bharsdk.bundle.calibration import Calibration
from bharsdk.errors import BharError, BundleError, InputError, UsageError
from bharsdk.files.codec import check_version, from_json_dict, to_json_dict
from bharsdk.files.limits import MAX_LOAD_BYTES
from bharsdk.files.untrusted import read_json, reading
from bharsdk.files.writing import make_folder, write_atomically, write_together
from bharsdk.landmarks.skeleton import MEDIAPIPE_BODY25, MEDIAPIPE_HAND21

__all__ = [
    "FORMAT_VERSION",
    "Checkpoint",
    "CheckpointMeta",
    "check_finite",
    "checkpoint_folder",
    "load_checkpoint",
    "not_finite",
    "save_checkpoint",
    "save_meta",
    "write_tensors",
]

FORMAT_VERSION = 1
MODEL_FILE, META_FILE = "model.safetensors", "model.json"
LEAST_BYTES = 64
"""Of the weights of any model for each of its labels, channels and persons; ours have thousands."""


@dataclass(frozen=True)
class CheckpointMeta:
    """What ``model.json`` holds beside the weights. calibration: of these weights; None if none."""

    model: ModelConfig
    features: AnyFeatures
    labels: tuple[str, ...]
    background: str | None
    trained_on: str
    signers: tuple[str, ...]
    clips: int
    epoch: int
    seed: int
    metrics: dict[str, float] = field(default_factory=dict)
    skeletons: tuple[str, ...] = (MEDIAPIPE_BODY25.name, MEDIAPIPE_HAND21.name)
    git_revision: str = ""
    calibration: Calibration | None = None
    format_version: int = FORMAT_VERSION

    @property
    def background_index(self) -> int | None:
        """Return the class that means "no sign"; None if there is none."""
        return None if self.background is None else self.labels.index(self.background)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained model in evaluation mode, and its description."""

    model: ActionModel
    meta: CheckpointMeta


def save_checkpoint(folder: Path, model: ActionModel, meta: CheckpointMeta) -> None:
    """Write the checkpoint into ``folder``, which is made if needed.

    Raises InputError when a weight is not finite or the disk refuses; the old checkpoint then
    stays.
    """
    check_finite(model.state_dict(), str(folder))
    make_folder(folder)
    files = {
        folder / MODEL_FILE: _encoded(dict(model.state_dict()), None),
        folder / META_FILE: _described(meta),
    }
    write_together(files)


def save_meta(folder: Path, meta: CheckpointMeta) -> None:
    """Replace the description in the checkpoint ``folder`` atomically; the weights stay."""
    write_atomically(folder / META_FILE, _described(meta))


def _described(meta: CheckpointMeta) -> bytes:
    return (json.dumps(to_json_dict(meta), indent=2) + "\n").encode()


def not_finite(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Return how many values are not finite, by the name of the tensor."""
    counts = {
        name: int((~torch.isfinite(value)).sum())
        for name, value in tensors.items()
        if value.is_floating_point()
    }
    return {name: count for name, count in counts.items() if count}


def check_finite(
    tensors: Mapping[str, Tensor], where: str, error: type[BharError] = InputError
) -> None:
    """Raise ``error``, starting with ``where``, unless all values are finite."""
    if wrong := not_finite(tensors):
        raise error(
            f"{where}: got {sum(wrong.values())} weights that are not finite, {next(iter(wrong))}"
            " among them, expected none: train again with a smaller --lr"
        )


def checkpoint_folder(path: Path) -> Path:
    """Return the checkpoint folder of a run, or ``path`` itself."""
    nested = path / "checkpoint"
    return nested if nested.is_dir() else path


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint folder, or the one of a run.

    Raises:
        InputError: it is missing.
        IncompatibleError: it has another format version.
        BundleError: its content does not fit its description.
    """
    folder = checkpoint_folder(folder)
    meta_path = folder / META_FILE
    if not meta_path.is_file():
        raise InputError(f"{folder}: no checkpoint here, expected {META_FILE} and {MODEL_FILE}")
    try:
        data = read_json(meta_path)
    except InputError as error:
        raise BundleError(f"{meta_path}: not readable JSON ({error})") from error
    remedy = "train again or use the bharsdk that wrote it"
    check_version(data, FORMAT_VERSION, str(meta_path), remedy)
    with reading(folder, BundleError, expected="a checkpoint: train again or copy it again"):
        try:
            meta = from_json_dict(CheckpointMeta, data, META_FILE)
            _check_size(folder / MODEL_FILE, meta)
            model = build_model(meta.model, input_specs(meta.features), len(meta.labels))
            model.load_state_dict(load_file(folder / MODEL_FILE))
        except (InputError, UsageError, SafetensorError, RuntimeError, OSError) as error:
            # torch puts the reason below a headline.
            reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
            raise BundleError(
                f"{folder}: the checkpoint does not fit its description ({reason}): train again or"
                " copy it again"
            ) from error
    check_finite(model.state_dict(), str(folder), BundleError)
    return Checkpoint(model.eval(), meta)


def _check_size(path: Path, meta: CheckpointMeta) -> None:
    """Raise InputError when the weights are larger than any, or too few for their description.

    Then building and reading the model costs what the files on the disk do.
    """
    size = path.stat().st_size
    if size > MAX_LOAD_BYTES:
        raise InputError(f"{path.name} has {size} bytes, expected at most {MAX_LOAD_BYTES}")
    specs = input_specs(meta.features).values()
    most = max(len(meta.labels), *(max(spec.channels, spec.persons) for spec in specs))
    if most * LEAST_BYTES > size:
        raise InputError(f"{path.name} has {size} bytes, too few for {most} labels or channels")


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Save tensors as safetensors, atomically. Raises InputError."""
    write_atomically(path, _encoded(tensors, metadata))


def _encoded(tensors: dict[str, Tensor], metadata: dict[str, str] | None) -> bytes:
    # In memory, where no disk fails: safetensors has errors of its own for that.
    data: bytes = save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata)
    return data


def git_revision() -> str:
    """Return the commit of the source tree, or "" outside a checkout."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
