"""The training loop: one run from clips to a folder of checkpoint and curves, resumable.

``OUT/`` holds ``checkpoint/`` (the last finished epoch), ``config.json``, ``curves.csv``,
``curves.png`` and ``resume/`` (all that training goes on from, in one file, so that a run which is
stopped while it writes has a whole state of one epoch). Order and augmentation depend on
(seed, epoch) alone, so a run that was interrupted and resumed sees what an uninterrupted one sees.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.optim import AdamW
from tqdm import tqdm

from bhar_training.calibration import calibrate
from bhar_training.checkpoint import (
    CheckpointMeta,
    git_revision,
    save_checkpoint,
    save_meta,
    write_tensors,
    write_text,
)
from bhar_training.config import TrainConfig
from bhar_training.data.batches import (
    AnyClips,
    features_of,
    input_layout,
    split_held_out,
    training_batches,
)
from bhar_training.distill import Teachers, distillation_loss
from bhar_training.evaluate import class_indices, logits_of
from bhar_training.losses import complementary_loss
from bhar_training.models import ActionModel, build_model
from bhar_training.plots import plot_curves
from bharsdk.codec import from_json_dict, to_json_dict
from bharsdk.errors import BundleError, InputError, UsageError

__all__ = ["EpochRow", "fit"]

STATE = Path("resume/state.safetensors")
MIN_CLIPS = 2
"""BatchNorm needs two to compare. Fewer clips than a batch make one smaller batch."""


@dataclass(frozen=True)
class EpochRow:
    """One line of the curves. Accuracies are parts of 1; NaN without validation clips."""

    epoch: int
    loss: float
    train_top1: float
    validation_top1: float
    lr: float
    seconds: float


def fit(
    clips: AnyClips, config: TrainConfig, out: Path, *, trained_on: str, resume: bool = False
) -> CheckpointMeta:
    """Train on ``clips`` and leave the result in ``out``; returns the last epoch's description.

    Raises UsageError when ``out`` holds a run and ``resume`` is not set, or holds another one;
    InputError on fewer than two clips; BundleError when the run to resume is damaged.
    """
    train, validation = split_held_out(clips, config.validation, config.seed)
    if len(train) < MIN_CLIPS:
        raise InputError(f"training: got {len(train)} clips, expected at least {MIN_CLIPS}")
    torch.manual_seed(config.seed)
    meta = _description(clips, config, trained_on)
    model = build_model(config.model, input_layout(config.features), len(meta.labels))
    optimiser = AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    rows = _prepare(out, config, resume)
    if (out / STATE).exists():
        meta = _restore(out / STATE, model, optimiser, meta)
    rows = rows[: meta.epoch]
    teachers = None
    if config.distill.teachers:
        teachers = Teachers.load(config.distill.teachers, meta.labels, config.features)
    held_out = features_of(validation, config.features) if len(validation) else None
    truth = torch.from_numpy(class_indices(validation, meta.labels))
    for epoch in range(meta.epoch, config.epochs):
        start = time.perf_counter()
        loss, accuracy = _train_epoch(model, optimiser, teachers, train, meta, config, epoch)
        scored = math.nan
        if held_out is not None:
            scored = float((logits_of(model, *held_out).argmax(1) == truth).float().mean())
        lr = optimiser.param_groups[0]["lr"]
        rows.append(EpochRow(epoch + 1, loss, accuracy, scored, lr, time.perf_counter() - start))
        metrics = {"train_top1": accuracy, "validation_top1": scored}
        known = {name: value for name, value in metrics.items() if not math.isnan(value)}
        meta = replace(meta, epoch=epoch + 1, metrics=known)
        _write_epoch(out, model, optimiser, meta, rows)
    if held_out is not None:
        with contextlib.suppress(InputError):  # too few clips, or too little learnt, to say
            said = logits_of(model, *held_out).float().numpy()
            found = calibrate(said, truth.numpy(), meta.background_index)
            meta = replace(meta, calibration=found)
            save_meta(out / "checkpoint", meta)
    return meta


def _description(clips: AnyClips, config: TrainConfig, trained_on: str) -> CheckpointMeta:
    """What the checkpoint of epoch 0 would say."""
    labels = clips.classes
    if config.add_background and config.background not in labels:
        labels = (config.background, *labels)
    return CheckpointMeta(
        model=config.model,
        features=config.features,
        labels=labels,
        background=config.background if config.background in labels else None,
        trained_on=trained_on,
        signers=clips.people,
        clips=len(clips),
        epoch=0,
        seed=config.seed,
        git_revision=git_revision(),
    )


def _train_epoch(
    model: ActionModel,
    optimiser: AdamW,
    teachers: Teachers | None,
    clips: AnyClips,
    meta: CheckpointMeta,
    config: TrainConfig,
    epoch: int,
) -> tuple[float, float]:
    """One epoch; mean loss and accuracy on the augmented clips."""
    model.train()
    torch.manual_seed(config.seed + epoch)  # of dropout
    per_epoch = max(1, max(len(clips), config.draws) // config.batch_size)
    losses, hits, seen = 0.0, 0, 0
    batches = training_batches(
        clips,
        meta.labels,
        config.features,
        config.augment,
        config.batch_size,
        meta.background,
        (config.seed, epoch),
        config.draws,
    )
    title = f"epoch {epoch + 1}/{config.epochs}"
    bar = tqdm(batches, desc=title, total=per_epoch, unit="batch", mininterval=1.0)
    for step, (body, hands, target) in enumerate(bar):
        progress = (epoch * per_epoch + step) / (config.epochs * per_epoch)
        optimiser.param_groups[0]["lr"] = learning_rate(config, progress)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
            streams = model.streams(body, hands)
        loss = complementary_loss(streams, target, config.loss_weights, config.label_smoothing)
        if teachers is not None:
            with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
                told = teachers(body, hands)
            distilled = distillation_loss(streams[0], told, config.distill.temperature)
            loss = torch.lerp(loss, distilled, config.distill.weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        optimiser.step()
        losses += float(loss.detach()) * len(target)
        hits += int((streams[0].argmax(1) == target).sum())
        seen += len(target)
        bar.set_postfix(loss=f"{losses / seen:.3f}", top1=f"{hits / seen:.3f}")
    return losses / seen, hits / seen


def learning_rate(config: TrainConfig, progress: float) -> float:
    """Linear warm-up, then cosine to zero; ``progress`` runs from 0 to 1 over the whole run."""
    if progress < config.warmup:
        return config.lr * (progress / config.warmup + 1e-3)
    rest = (progress - config.warmup) / max(1e-9, 1.0 - config.warmup)
    return config.lr * 0.5 * (1.0 + math.cos(math.pi * rest))


def _prepare(out: Path, config: TrainConfig, resume: bool) -> list[EpochRow]:
    """Make ``out``, or read back the curves of the run that it holds."""
    stored = out / "config.json"
    if not stored.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_text(stored, json.dumps(to_json_dict(config), indent=2) + "\n")
        return []
    if not resume:
        raise UsageError(f"{out}: holds a run already: give --resume, or another --out")
    curves = out / "curves.csv"
    try:
        before = from_json_dict(TrainConfig, json.loads(stored.read_text()), "config.json")
        table = curves.read_text().splitlines() if curves.exists() else []
        rows = [
            EpochRow(int(row["epoch"]), *(float(row[name]) for name in list(row)[1:]))
            for row in csv.DictReader(table)
        ]
    except (InputError, ValueError, TypeError, KeyError) as error:
        raise BundleError(f"{out}: the run is damaged ({error}): start again elsewhere") from error
    if before != config:
        raise UsageError(f"{out}: was started with other settings, see {stored}")
    return rows


def _write_epoch(
    out: Path, model: ActionModel, optimiser: AdamW, meta: CheckpointMeta, rows: list[EpochRow]
) -> None:
    save_checkpoint(out / "checkpoint", model, meta)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(vars(rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(vars(row) for row in rows)
    write_text(out / "curves.csv", text.getvalue())
    # What counts when the run goes on; whatever was written before it is then written again.
    (out / STATE).parent.mkdir(exist_ok=True)
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for i, item in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{i}.{name}": value for name, value in item.items()}
    write_tensors(out / STATE, tensors, {"meta": json.dumps(to_json_dict(meta))})
    plot_curves(out / "curves.csv", out / "curves.png")


def _restore(
    path: Path, model: ActionModel, optimiser: AdamW, expected: CheckpointMeta
) -> CheckpointMeta:
    """Load model and optimiser as they were; returns the description of the epoch they are from.

    Raises UsageError unless the run is one on the data that ``expected`` describes.
    """
    try:
        with safe_open(path, "pt") as file:
            found = json.loads(file.metadata()["meta"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 no dict
        before = from_json_dict(CheckpointMeta, found, path.name)
        for name in ("labels", "signers", "clips"):
            got, was = getattr(expected, name), getattr(before, name)
            if got != was:
                raise UsageError(f"{path.parents[1]}: was trained on {name} {was}, got {got} now")
        weights, moments = {}, dict[int, dict[str, Tensor]]()
        for key, value in tensors.items():
            part, name = key.split(".", 1)
            if part == "model":
                weights[name] = value
            else:
                number, name = name.split(".", 1)
                moments.setdefault(int(number), {})[name] = value
        model.load_state_dict(weights)
        optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    except (InputError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(f"{path}: damaged ({reason}): start the run again elsewhere") from error
    return replace(expected, epoch=before.epoch, metrics=before.metrics)
