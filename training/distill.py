"""Knowledge distillation: a student learns what its teachers think of each augmented clip.

The teachers' classes carry more than the label: which signs resemble each other, and how sure one
can be of a clip that was cut or lost a hand. (Hinton et al., 2015)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from bhar_training.checkpoint import load_checkpoint
from bhar_training.models import ActionModel
from bharsdk.errors import InputError
from bharsdk.features import FeatureConfig

__all__ = ["DistillConfig", "Teachers", "distillation_loss"]


@dataclass(frozen=True)
class DistillConfig:
    """teachers: runs or checkpoint folders, an ensemble by the mean of their logits.

    weight: share of the distillation in the loss, 0 to 1. temperature: flattens both sides.
    """

    teachers: tuple[str, ...] = ()
    weight: float = 0.5
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1 or self.temperature <= 0:
            raise InputError(
                f"distillation: got weight {self.weight} and temperature {self.temperature},"
                " expected 0 to 1 and above 0"
            )


class Teachers:
    """Trained models that answer together."""

    def __init__(self, models: list[ActionModel]) -> None:
        self._models = [model.deploy() for model in models]

    @classmethod
    def load(
        cls, folders: tuple[str, ...], labels: tuple[str, ...], features: FeatureConfig
    ) -> Teachers:
        """Read the checkpoints.

        Raises InputError when one knows other labels or reads other features than the student.
        """
        models = []
        for folder in map(Path, folders):
            found = load_checkpoint(folder)
            for name, got, expected in (
                ("labels", found.meta.labels, labels),
                ("features", found.meta.features, features),
            ):
                if got != expected:
                    raise InputError(f"{folder}: teacher has {name} {got}, expected {expected}")
            models.append(found.model)
        return cls(models)

    @torch.no_grad()
    def __call__(self, body: Tensor, hands: Tensor) -> Tensor:
        """Mean logits [N, classes]."""
        return torch.stack([model(body, hands).float() for model in self._models]).mean(0)


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Temperature squared times KL(teacher || student) of logits [N, classes]; scalar."""
    told = F.log_softmax(teacher / temperature, 1)
    said = F.log_softmax(student.float() / temperature, 1)
    loss = F.kl_div(said, told, reduction="batchmean", log_target=True)
    return loss * temperature**2
