"""What a model in training is worth on the clips held out of it."""

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

__all__ = ["Validation", "calibrated"]


class Validation:
    """Top-1 of a model on ``clips``, NaN if there are none; every process scores its share."""

    def __init__(self, fabric: Fabric, clips: AnyClips, meta: CheckpointMeta) -> None:
        mine = share_of(len(clips), fabric.global_rank, fabric.world_size)
        own = clips.where(lambda i: i in mine)
        self._fabric, self._clips = fabric, len(clips)
        self._features = features_of(own, meta.features) if len(own) else None
        self._truth = torch.from_numpy(class_indices(own, meta.labels))

    def top1(self, model: ActionModel) -> float:
        """In evaluation mode, in float32."""
        if not self._clips:
            return math.nan
        hits = torch.zeros((), device=self._fabric.device)
        if self._features is not None:
            hits += (logits_of(model, self._features).argmax(1) == self._truth).sum()
        self._fabric.all_reduce(hits, reduce_op="sum")
        return float(hits) / self._clips


def calibrated(model: ActionModel, clips: AnyClips, meta: CheckpointMeta) -> CheckpointMeta:
    """With the calibration on the held-out ``clips``, if they are enough to tell one."""
    with contextlib.suppress(InputError):  # too few clips, or too little learnt, to say
        if len(clips):
            said = logits_of(model, features_of(clips, meta.features)).float().numpy()
            truth = class_indices(clips, meta.labels)
            return replace(meta, calibration=calibrate(said, truth, meta.background_index))
    return meta
