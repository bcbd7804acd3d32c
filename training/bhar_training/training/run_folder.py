"""The folder of a run: configuration, curves, checkpoint, and the state to resume from.

``OUT/`` holds ``checkpoint/`` (the last finished epoch), ``config.json``, ``curves.csv``,
``curves.png`` and ``resume/``. The state in ``resume/`` is one file. A run that is stopped while it
writes therefore has a whole state of one epoch.
"""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import Tensor
from torch.optim import Optimizer

from bhar_training.checkpoint import (
    CheckpointMeta,
    check_finite,
    save_checkpoint,
    write_tensors,
)
from bhar_training.evaluation.plots import plot_curves
from bhar_training.models.action_model import ActionModel
from bhar_training.training.config import TrainConfig
from bharsdk.errors import BundleError, InputError, UsageError
from bharsdk.files.codec import from_json_dict, to_json_dict
from bharsdk.files.limits import MAX_LOAD_BYTES
from bharsdk.files.untrusted import parse_json, read_json, reason_of
from bharsdk.files.writing import check_room, make_folder, write_text

__all__ = [
    "EpochRow",
    "RunState",
    "check_room_for_epochs",
    "prepare",
    "read_state",
    "write_epoch",
]

STATE = Path("resume/state.safetensors")
MOMENTS = "optimiser"
"""What the names of the optimizer's tensors begin with, as version 0.1.0 wrote them."""


@dataclass(frozen=True)
class EpochRow:
    """One line of the curves. Accuracies are parts of 1; NaN without validation clips."""

    epoch: int
    loss: float
    train_top1: float
    validation_top1: float
    lr: float
    seconds: float

    @property
    def accuracies(self) -> dict[str, float]:
        """Return the accuracies that are known, by name."""
        both = {"train_top1": self.train_top1, "validation_top1": self.validation_top1}
        return {name: value for name, value in both.items() if not math.isnan(value)}


def prepare(out: Path, config: TrainConfig, resume: bool) -> list[EpochRow]:
    """Make ``out``, or return the curves of the run that it holds.

    Raises UsageError when ``out`` holds a run and ``resume`` is not set, or when it holds a
    different run. Raises BundleError when the run to resume is damaged.
    """
    stored = out / "config.json"
    if not stored.exists():
        make_folder(out)
        write_text(stored, json.dumps(to_json_dict(config), indent=2) + "\n")
        return []
    if not resume:
        raise UsageError(f"{out}: holds a run already: give --resume, or another --out")
    curves = out / "curves.csv"
    try:
        before = from_json_dict(TrainConfig, read_json(stored), "config.json")
        table = curves.read_text().splitlines() if curves.exists() else []
        rows = [
            EpochRow(int(row["epoch"]), *(float(row[name]) for name in list(row)[1:]))
            for row in csv.DictReader(table)
        ]
    except Exception as error:  # whatever a damaged table or configuration leads to
        raise BundleError(
            f"{out}: the run is damaged ({reason_of(error)}): start again elsewhere"
        ) from error
    if before != config:
        raise UsageError(f"{out}: was started with other settings, see {stored}")
    return rows


def write_epoch(
    out: Path, model: ActionModel, optimizer: Optimizer, meta: CheckpointMeta, rows: list[EpochRow]
) -> None:
    """Write a finished epoch into ``out``.

    Raises InputError when the disk refuses; the message says which epoch's checkpoint is there.
    """
    try:
        _write_epoch(out, model, optimizer, meta, rows)
    except InputError as error:
        raise InputError(f"{error}; {_what_is_kept(out)}") from error


def check_room_for_epochs(out: Path, model: ActionModel) -> None:
    """Raise InputError unless ``out`` has room for two epochs: a finished one and the next.

    Otherwise a disk that is too small is only noticed after minutes of training.
    """
    weights = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    state = 3 * weights  # the optimizer keeps two moments of each weight
    check_room(out / STATE.name, [weights, state, state])


def _what_is_kept(out: Path) -> str:
    try:
        meta = json.loads((out / "checkpoint" / "model.json").read_text(encoding="utf-8"))
        epoch = int(meta["epoch"])
    except (OSError, ValueError, KeyError, TypeError):
        return "no epoch is kept yet"
    return f"{out / 'checkpoint'} holds epoch {epoch}: make room, then --resume goes on"


def _write_epoch(
    out: Path, model: ActionModel, optimizer: Optimizer, meta: CheckpointMeta, rows: list[EpochRow]
) -> None:
    save_checkpoint(out / "checkpoint", model, meta)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(vars(rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(vars(row) for row in rows)
    write_text(out / "curves.csv", text.getvalue())
    # What counts when the run goes on; whatever was written before it is then written again.
    make_folder((out / STATE).parent)
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for i, item in optimizer.state_dict()["state"].items():
        tensors |= {f"{MOMENTS}.{i}.{name}": value for name, value in item.items()}
    write_tensors(out / STATE, tensors, {"meta": json.dumps(to_json_dict(meta))})
    plot_curves(out / "curves.csv", out / "curves.png")


@dataclass(frozen=True, eq=False)
class RunState:
    """The state to resume a run from: its last finished epoch, its metrics, and all tensors.

    moments: of the optimizer, by the number of the parameter and the name. Restoring raises
    BundleError, naming the file, when they do not fit.
    """

    path: Path
    epoch: int
    metrics: dict[str, float]
    weights: dict[str, Tensor]
    moments: dict[int, dict[str, Tensor]]

    def restore_model(self, model: ActionModel) -> None:
        """Set the weights of the model."""
        try:
            model.load_state_dict(self.weights)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise _damaged(self.path, error) from error

    def restore_optimizer(self, optimizer: Optimizer) -> None:
        """Set the moments of the optimizer."""
        try:
            optimizer.load_state_dict({**optimizer.state_dict(), "state": self.moments})
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise _damaged(self.path, error) from error


def read_state(out: Path, expected: CheckpointMeta) -> RunState | None:
    """Return the state in ``out``, or None before the end of the first epoch.

    Raises UsageError unless the run was made with the data that ``expected`` describes. Raises
    BundleError when the file is damaged.
    """
    path = out / STATE
    if not path.exists():
        return None
    try:
        if path.stat().st_size > MAX_LOAD_BYTES:
            raise InputError(f"{path.stat().st_size} bytes, expected at most {MAX_LOAD_BYTES}")
        with safe_open(path, "pt") as file:
            found = parse_json(file.metadata()["meta"].encode(), path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 no dict
        before = from_json_dict(CheckpointMeta, found, path.name)
        weights, moments = {}, dict[int, dict[str, Tensor]]()
        for key, value in tensors.items():
            part, name = key.split(".", 1)
            if part == "model":
                weights[name] = value
            else:
                number, name = name.split(".", 1)
                moments.setdefault(int(number), {})[name] = value
    except Exception as error:  # whatever safetensors and a damaged description lead to
        raise _damaged(path, error) from error
    check_finite(weights, str(path), BundleError)
    for name in ("labels", "signers", "clips"):
        got, was = getattr(expected, name), getattr(before, name)
        if got != was:
            raise UsageError(f"{out}: was trained on {name} {was}, got {got} now")
    return RunState(path, before.epoch, before.metrics, weights, moments)


def _damaged(path: Path, error: Exception) -> BundleError:
    return BundleError(f"{path}: damaged ({reason_of(error)}): start the run again elsewhere")
