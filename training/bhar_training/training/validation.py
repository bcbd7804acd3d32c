"""Score a model in training on the clips that are held out."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace

import torch

from bhar_training.checkpoint import CheckpointMeta
from bhar_training.data.batches import AnyClips, features_of
from bhar_training.evaluation.calibration import calibrate
from bhar_training.evaluation.evaluate import class_indices, logits_of
from bhar_training.models.action_model import ActionModel
from bhar_training.models.distributed import share_of
from bhar_training.training.processes import Fabric
from bharsdk.errors import InputError

__all__ = ["Validation", "with_temperature"]


class Validation:
    """The top-1 accuracy on held-out clips; every process scores its share of them."""

    def __init__(self, fabric: Fabric, clips: AnyClips, meta: CheckpointMeta) -> None:
        mine = share_of(len(clips), fabric.global_rank, fabric.world_size)
        own = clips.where(lambda i: i in mine)
        self._fabric, self._clips = fabric, len(clips)
        self._features = features_of(own, meta.features) if len(own) else None
        self._truth = torch.from_numpy(class_indices(own, meta.labels))

    def top1(self, model: ActionModel) -> float:
        """Return the top-1 accuracy, 0 to 1, in evaluation mode in float32; NaN without clips."""
        if not self._clips:
            return math.nan
        hits = torch.zeros((), device=self._fabric.device)
        if self._features is not None:
            hits += (logits_of(model, self._features).argmax(1) == self._truth).sum()
        self._fabric.all_reduce(hits, reduce_op="sum")
        return float(hits) / self._clips


def with_temperature(model: ActionModel, clips: AnyClips, meta: CheckpointMeta) -> CheckpointMeta:
    """Return ``meta`` with the temperature and threshold that fit the held-out ``clips``.

    Return it unchanged when the clips are too few to tell them.
    """
    with contextlib.suppress(InputError):  # too few clips, or too little learnt, to say
        if len(clips):
            said = logits_of(model, features_of(clips, meta.features)).float().numpy()
            truth = class_indices(clips, meta.labels)
            return replace(meta, calibration=calibrate(said, truth, meta.background_index))
    return meta
