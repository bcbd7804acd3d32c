"""A checkpoint, or an ensemble of them, against labelled clips."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from bhar_training.checkpoint import Checkpoint
from bhar_training.data.batches import AnyClips, features_of
from bhar_training.metrics import Report, report
from bhar_training.models import ActionModel, Fusion
from bhar_training.models.bharnet import fuse
from bharsdk.errors import InputError

__all__ = ["class_indices", "evaluate", "logits_of"]


def class_indices(clips: AnyClips, labels: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """The class index [N] of every clip. Raises InputError on a label the model does not have."""
    index = {label: i for i, label in enumerate(labels)}
    unknown = sorted(set(clips.labels) - set(index))
    if unknown:
        raise InputError(f"labels: got {unknown[0]!r}, expected those of the model: {list(labels)}")
    return np.array([index[label] for label in clips.labels], np.int64)


@torch.no_grad()
def logits_of(
    model: ActionModel, body: Tensor, hands: Tensor, *, batch_size: int = 64, progress: bool = False
) -> Tensor:
    """Fused logits [N, classes] of features, in evaluation mode."""
    model.eval()
    starts = range(0, len(body), batch_size)
    bar = tqdm(starts, desc="evaluate", unit="batch", leave=False, disable=not progress)
    return torch.cat([model(body[s : s + batch_size], hands[s : s + batch_size]) for s in bar])


def evaluate(
    checkpoints: list[Checkpoint], clips: AnyClips, fusion: Fusion = Fusion.MEAN
) -> Report:
    """Classify every clip by the fused logits of the checkpoints, each on its own features.

    Raises InputError on no clips, unknown labels, or checkpoints of different labels.
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
    truth = class_indices(clips, meta.labels)
    found = [
        logits_of(item.model, *features_of(clips, item.meta.features), progress=True)
        for item in checkpoints
    ]
    return report(truth, fuse(found, fusion).float().numpy(), meta.labels, meta.background)
