"""Knowledge distillation: a student learns what its teachers think of each augmented clip.

The teachers' classes carry more than the label: which signs resemble each other, and how sure one
can be of a clip that was cut or lost a hand. (Hinton et al., 2015)
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from bhar_training.checkpoint import load_checkpoint
from bhar_training.models import ActionModel
from bhar_training.models.losses import exact
from bhar_training.training.config import AnyFeatures, DistillConfig
from bharsdk.errors import InputError

__all__ = ["DistillConfig", "Teachers", "distillation_loss"]


class Teachers:
    """Trained models that answer together; each reads its channels of the student's input."""

    def __init__(self, models: list[ActionModel], channels: list[list[int]]) -> None:
        # Not deployed: that form is for inference engines, and slower than this one in torch.
        self._models = [model.eval().requires_grad_(False) for model in models]
        self._channels = channels

    @classmethod
    def load(
        cls, folders: tuple[str, ...], labels: tuple[str, ...], features: AnyFeatures
    ) -> Teachers:
        """Read the checkpoints.

        Raises InputError when one knows other labels than the student, or reads features that the
        student does not: other modalities are fine if they are among the student's.
        """
        models, channels = [], []
        for folder in map(Path, folders):
            found = load_checkpoint(folder)
            theirs = found.meta.features
            common = replace(theirs, modalities=features.modalities)
            known = set(theirs.modalities) <= set(features.modalities)
            for name, got, expected, fits in (
                ("labels", found.meta.labels, labels, found.meta.labels == labels),
                ("features", theirs, features, known and common == features),
            ):
                if not fits:
                    raise InputError(f"{folder}: teacher has {name} {got}, expected {expected}")
            models.append(found.model)
            channels.append(_channels_of(theirs, features))
        return cls(models, channels)

    def to(self, device: torch.device) -> Teachers:
        """Move them, in place."""
        for model in self._models:
            model.to(device)
        return self

    @torch.no_grad()
    def __call__(self, body: Tensor, hands: Tensor) -> Tensor:
        """Mean logits [N, classes]."""
        told = [
            model(body[:, channels], hands[:, channels]).float()
            for model, channels in zip(self._models, self._channels, strict=True)
        ]
        return torch.stack(told).mean(0)


def _channels_of(teacher: AnyFeatures, student: AnyFeatures) -> list[int]:
    """The channels of the student's input that are the teacher's, in the teacher's order."""
    starts = [3 * student.modalities.index(modality) for modality in teacher.modalities]
    coordinates = [start + i for start in starts for i in range(3)]
    # What follows the coordinates (presence) both have or neither: the rest of the features agrees.
    return coordinates + list(range(3 * len(student.modalities), student.channels))


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Temperature squared times KL(teacher || student) of logits [N, classes]; scalar."""
    told = F.log_softmax(teacher / temperature, 1)
    said = F.log_softmax(exact(student) / temperature, 1)
    loss = F.kl_div(said, told, reduction="batchmean", log_target=True)
    return loss * temperature**2
