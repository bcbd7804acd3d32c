"""A checkpoint, or an ensemble of them, against labeled clips."""

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
from bhar_training.models import ActionModel, Fusion
from bhar_training.models.bharnet import fuse
from bharsdk.bundle.calibration import probabilities
from bharsdk.errors import InputError, UsageError

__all__ = [
    "Answers",
    "answers",
    "class_indices",
    "evaluate",
    "evaluate_unknown",
    "logits_of",
    "split_unknown",
    "streams_of",
]

BATCH = 16


@dataclass(frozen=True, eq=False)
class Answers:
    """What a checkpoint, or an ensemble, says of N clips.

    raw: fused logits float32 [N, classes], as the models give them. logits: the same with the
    stored temperatures, where all have one (``calibrated``). reject_below: the stored threshold; an
    ensemble has none, since its probabilities are not those of any member.
    """

    raw: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32] | npt.NDArray[np.float64]
    calibrated: bool = False
    reject_below: float | None = None


def class_indices(clips: AnyClips, labels: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """The class index [N] of every clip. Raises InputError on a label the model does not have."""
    index = {label: i for i, label in enumerate(labels)}
    unknown = sorted(set(clips.labels) - set(index))
    if unknown:
        raise InputError(f"labels: got {unknown[0]!r}, expected those of the model: {list(labels)}")
    return np.array([index[label] for label in clips.labels], np.int64)


@torch.no_grad()
def streams_of(
    model: ActionModel, body: Tensor, hands: Tensor, *, progress: bool = False
) -> tuple[Tensor, ...]:
    """What ``model.streams`` gives for features of N clips, in evaluation mode, each [N, classes].

    Computed where the model is, in batches that stay in the cache of a CPU.
    """
    model.eval()
    device = next(model.parameters()).device
    starts = range(0, len(body), BATCH)
    bar = progress_bar(starts, shown=progress, desc="evaluate", unit="batch", leave=False)
    found = []
    for start in bar:
        inputs = (part[start : start + BATCH].to(device) for part in (body, hands))
        found.append([stream.cpu() for stream in model.streams(*inputs)])
    return tuple(torch.cat(parts) for parts in zip(*found, strict=True))


def logits_of(model: ActionModel, body: Tensor, hands: Tensor) -> Tensor:
    """Fused logits [N, classes] of features of N clips, as :func:`streams_of` computes them."""
    return streams_of(model, body, hands)[0]


def answers(
    checkpoints: list[Checkpoint],
    clips: AnyClips,
    fusion: Fusion = Fusion.MEAN,
    said: list[Tensor] | None = None,
) -> Answers:
    """Ask the checkpoints, each on its own features, and fuse what they say.

    said: the logits [N, classes] of each, where they are known already.
    Every checkpoint's logits are divided by its temperature before fusion if all are calibrated;
    if one is not, none are: logits of different sharpness would not weigh alike. Raises InputError
    on no clips, or checkpoints of different labels.
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
        streams_of(item.model, *features_of(clips, item.meta.features), progress=True)[0]
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
    """Classify every clip by the fused answer of the checkpoints, as :func:`answers` says.

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
    """How many of ``clips``, which show no sign the checkpoints have, they take for one.

    The labels of the clips are not looked at. Raises what :func:`answers` does.
    """
    found = answers(checkpoints, clips, fusion)
    background = checkpoints[0].meta.background_index
    return false_accepts(probabilities(found.logits), background, found.reject_below)


def split_unknown(
    clips: AnyClips, labels: tuple[str, ...], unknown: Sequence[str]
) -> tuple[AnyClips, AnyClips]:
    """(the rest, clips of the labels ``unknown``); ["all"]: of every label not in ``labels``.

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
