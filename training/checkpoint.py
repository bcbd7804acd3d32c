"""Checkpoints: ``model.safetensors`` beside ``model.json``. No pickle anywhere.

A checkpoint is a folder. Files are written to a temporary name and renamed, so an interrupted run
leaves the previous epoch's checkpoint whole.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bhar_training.data.batches import AnyFeatures, input_layout
from bhar_training.models import ActionModel, ModelConfig, build_model
from bharsdk.calibration import Calibration
from bharsdk.codec import check_version, from_json_dict, to_json_dict
from bharsdk.errors import BundleError, InputError, UsageError
from bharsdk.skeleton import MEDIAPIPE_BODY25, MEDIAPIPE_HAND21

__all__ = [
    "FORMAT_VERSION",
    "Checkpoint",
    "CheckpointMeta",
    "checkpoint_folder",
    "load_checkpoint",
    "save_checkpoint",
    "save_meta",
    "write_tensors",
    "write_text",
]

FORMAT_VERSION = 1
MODEL_FILE, META_FILE = "model.safetensors", "model.json"


@dataclass(frozen=True)
class CheckpointMeta:
    """What ``model.json`` holds beside the weights. calibration: of these weights, None if none."""

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
        """The class that means "no sign", None if there is none."""
        return None if self.background is None else self.labels.index(self.background)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained model in evaluation mode and its description."""

    model: ActionModel
    meta: CheckpointMeta


def save_checkpoint(folder: Path, model: ActionModel, meta: CheckpointMeta) -> None:
    """Write the checkpoint into ``folder``, which is made if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / MODEL_FILE, dict(model.state_dict()))
    save_meta(folder, meta)


def save_meta(folder: Path, meta: CheckpointMeta) -> None:
    """Describe the weights in the checkpoint ``folder`` anew, atomically; they stay as they are."""
    write_text(folder / META_FILE, json.dumps(to_json_dict(meta), indent=2) + "\n")


def checkpoint_folder(path: Path) -> Path:
    """The checkpoint folder of a run, or ``path`` itself."""
    nested = path / "checkpoint"
    return nested if nested.is_dir() else path


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint folder, or that of a run.

    Raises InputError when it is missing, IncompatibleError on another format version, BundleError
    when its content does not fit its description.
    """
    folder = checkpoint_folder(folder)
    meta_path = folder / META_FILE
    if not meta_path.is_file():
        raise InputError(f"{folder}: no checkpoint here, expected {META_FILE} and {MODEL_FILE}")
    try:
        data = json.loads(meta_path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BundleError(f"{meta_path}: not readable JSON ({error})") from error
    remedy = "train again or use the bharsdk that wrote it"
    check_version(data, FORMAT_VERSION, str(meta_path), remedy)
    try:
        meta = from_json_dict(CheckpointMeta, data, META_FILE)
        model = build_model(meta.model, input_layout(meta.features), len(meta.labels))
        model.load_state_dict(load_file(folder / MODEL_FILE))
    except (InputError, UsageError, SafetensorError, RuntimeError, OSError) as error:
        # torch puts the reason below a headline.
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise BundleError(
            f"{folder}: the checkpoint does not fit its description ({reason}): train again or copy"
            " it again"
        ) from error
    return Checkpoint(model.eval(), meta)


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Save tensors as safetensors, atomically."""
    temporary = path.with_name(path.name + ".part")
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(whole, temporary, metadata)
    temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, atomically."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def git_revision() -> str:
    """The commit of the source tree, or "" outside a checkout."""
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
