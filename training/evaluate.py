"""A checkpoint against labelled clips."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from bhar_training.checkpoint import Checkpoint
from bhar_training.data.batches import features_of
from bhar_training.data.clips import ClipSet
from bhar_training.metrics import Report, report
from bhar_training.models import ActionModel
from bharsdk.errors import InputError

__all__ = ["class_indices", "evaluate", "logits_of"]


def class_indices(clips: ClipSet, labels: tuple[str, ...]) -> npt.NDArray[np.int64]:
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


def evaluate(checkpoint: Checkpoint, clips: ClipSet) -> Report:
    """Classify every clip. Raises InputError on no clips or unknown labels."""
    if not len(clips):
        raise InputError("evaluate: got no clips, expected at least one")
    meta = checkpoint.meta
    truth = class_indices(clips, meta.labels)
    body, hands = features_of(clips, meta.features)
    logits = logits_of(checkpoint.model, body, hands, progress=True)
    return report(truth, logits.argmax(1).numpy(), meta.labels, meta.background)
