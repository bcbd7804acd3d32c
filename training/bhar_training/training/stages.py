"""The stages of a run: first the experts alone, then the whole model, as in BHaRNet's paper."""

from __future__ import annotations

from dataclasses import dataclass

from bhar_training.models.action_model import ActionModel
from bhar_training.models.bharnet import BHaRNetExpertOnly
from bhar_training.training.config import TrainConfig
from bhar_training.training.distill import Teachers

__all__ = ["Stage", "stages_of"]


@dataclass(frozen=True, eq=False)
class Stage:
    """Some epochs of a run, with their own optimizer, warm-up and decay of the learning rate.

    model: the part that learns and is scored; it shares its weights with the model of the run.
    epochs: counted over the run, from 0. loss_weights: of the fused logits, then of each branch.
    """

    model: ActionModel
    epochs: range
    loss_weights: tuple[float, ...]
    teachers: Teachers | None


def stages_of(model: ActionModel, config: TrainConfig, teachers: Teachers | None) -> list[Stage]:
    """Return the stages in order: one, or two with ``config.pretrain_epochs``."""
    alone, epochs = config.pretrain_epochs, config.epochs
    joint = Stage(model, range(alone, epochs), config.loss_weights, teachers)
    if not alone:
        return [joint]
    assert isinstance(model, BHaRNetExpertOnly)  # config refuses the others
    # Each expert by its own loss; what they say together is not asked, so nobody teaches it.
    return [Stage(model.expert_only(), range(alone), (0.0, 1.0, 1.0), None), joint]
