"""Score a checkpoint, or an ensemble of them, on labeled clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bhar_training.checkpoint import Checkpoint
from bhar_training.console.progress import progress_bar
from bhar_training.data.batches import AnyClips, features_of
from bhar_training.evaluation.metrics import (
    FalseAccepts,
    Report,
    acceptance,
    expected_calibration_error,
    false_accepts,
    report,
)
from bhar_training.models import Fusion
from bhar_training.models.action_model import ActionModel, Inputs
from bhar_training.models.bharnet import fuse
from bharsdk.bundle.calibration import probabilities
from bharsdk.errors import InputError, UsageError

__all__ = [
    "Answers",
    "answers",
    "branches_of",
    "class_indices",
    "evaluate",
    "evaluate_unknown",
    "logits_of",
    "split_unknown",
]

BATCH = 16


@dataclass(frozen=True, eq=False)
class Answers:
    """The logits that a checkpoint, or an ensemble, gives for N clips.

    raw: fused logits float32 [N, classes] from the models. logits: raw divided by the stored
    temperatures, where all checkpoints have one (``calibrated``). reject_below: the stored
    threshold; None for an ensemble, whose probabilities differ from those of its members.
    """

    raw: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32] | npt.NDArray[np.float64]
    calibrated: bool = False
    reject_below: float | None = None


def class_indices(clips: AnyClips, labels: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Return the class index [N] of every clip.

    Raises InputError on a label that the model does not have.
    """
    index = {label: i for i, label in enumerate(labels)}
    unknown = sorted(set(clips.labels) - set(index))
    if unknown:
        raise InputError(f"labels: got {unknown[0]!r}, expected those of the model: {list(labels)}")
    return np.array([index[label] for label in clips.labels], np.int64)


@torch.no_grad()
def branches_of(
    model: ActionModel, inputs: Inputs, *, progress: bool = False
) -> tuple[Tensor, ...]:
    """Return ``model.branches`` of inputs of N clips, in evaluation mode; each [N, classes].

    Computes on the device of the model, in batches that stay in the cache of a CPU.
    """
    model.eval()
    device = next(model.parameters()).device
    starts = range(0, len(next(iter(inputs.values()))), BATCH)
    bar = progress_bar(starts, shown=progress, desc="evaluate", unit="batch", leave=False)
    found = []
    for start in bar:
        batch = {name: x[start : start + BATCH].to(device) for name, x in inputs.items()}
        found.append([branch.cpu() for branch in model.branches(batch)])
    return tuple(torch.cat(parts) for parts in zip(*found, strict=True))


def logits_of(model: ActionModel, inputs: Inputs) -> Tensor:
    """Return the fused logits [N, classes] of inputs of N clips; see :func:`branches_of`."""
    return branches_of(model, inputs)[0]


def answers(
    checkpoints: list[Checkpoint],
    clips: AnyClips,
    fusion: Fusion = Fusion.MEAN,
    said: list[Tensor] | None = None,
) -> Answers:
    """Run the checkpoints, each on its own features, and fuse their logits.

    said: the logits [N, classes] of each, where they are known already. If all checkpoints have a
    temperature, their logits are divided by it before the fusion. If one has none, no logits are
    divided: logits of different sharpness would have different weights. Raises InputError on no
    clips, or checkpoints of different labels.
    """
    if not len(clips):
        raise InputError("evaluate: got no clips, expected at least one")
    meta = checkpoints[0].meta
    for other in checkpoints[1:]:
        if other.meta.labels != meta.labels:
            raise InputError(
                f"evaluate: got labels {list(other.meta.labels)}, expected those of the first"
                f" checkpoint: {list(meta.labels)}"
            )
    found = said or [
        branches_of(item.model, features_of(clips, item.meta.features), progress=True)[0]
        for item in checkpoints
    ]
    raw = fuse(found, fusion).float().numpy()
    known = [item.meta.calibration for item in checkpoints if item.meta.calibration is not None]
    if len(known) < len(checkpoints):
        return Answers(raw, raw)
    scaled = [x.double() / each.temperature for x, each in zip(found, known, strict=True)]
    threshold = known[0].reject_below if len(known) == 1 else None
    return Answers(raw, fuse(scaled, fusion).numpy(), True, threshold)


def evaluate(
    checkpoints: list[Checkpoint],
    clips: AnyClips,
    fusion: Fusion = Fusion.MEAN,
    said: list[Tensor] | None = None,
) -> Report:
    """Classify every clip by the fused logits of the checkpoints; see :func:`answers`.

    Raises InputError on no clips, unknown labels, or checkpoints of different labels.
    """
    meta = checkpoints[0].meta
    truth = class_indices(clips, meta.labels)
    found = answers(checkpoints, clips, fusion, said)
    score = report(truth, found.logits, meta.labels, meta.background)
    if found.calibrated:
        error = expected_calibration_error(truth, probabilities(found.raw))
        score = replace(score, uncalibrated_error=error)
    sure, threshold = probabilities(found.logits), found.reject_below
    if threshold is not None:
        score = replace(score, acceptance=acceptance(truth, sure, threshold))
    if meta.background in clips.labels:
        idle = sure[truth == meta.background_index]
        of_background = false_accepts(idle, meta.background_index, threshold)
        score = replace(score, of_background=of_background)
    return score


def evaluate_unknown(
    checkpoints: list[Checkpoint], clips: AnyClips, fusion: Fusion = Fusion.MEAN
) -> FalseAccepts:
    """Count how many of ``clips`` are taken for a sign, though they show none that is known.

    The labels of the clips are not read. Raises the errors of :func:`answers`.
    """
    found = answers(checkpoints, clips, fusion)
    background = checkpoints[0].meta.background_index
    return false_accepts(probabilities(found.logits), background, found.reject_below)


def split_unknown(
    clips: AnyClips, labels: tuple[str, ...], unknown: Sequence[str]
) -> tuple[AnyClips, AnyClips]:
    """Split into (the rest, clips of the labels ``unknown``).

    ["all"] means every label that is not in ``labels``.

    Raises UsageError when the model has one of them, InputError when the clips do not.
    """
    present = set(clips.labels)
    others = sorted(present - set(labels))
    chosen = others if list(unknown) == ["all"] else sorted(set(unknown))
    known = [label for label in chosen if label in labels]
    if known:
        raise UsageError(f"--unknown: got {known[0]!r}, which the model knows, expected others")
    if not others or not set(chosen) <= present:
        raise InputError(
            f"--unknown: got {','.join(unknown)}, expected labels that the data has and the model"
            f" does not: {others}"
        )
    return (
        clips.where(lambda i: clips.labels[i] not in chosen),
        clips.where(lambda i: clips.labels[i] in chosen),
    )
