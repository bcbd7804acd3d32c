"""The models by name. Adding one: a class in its file and a case in :func:`build_model`."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bhar_training.models.bharnet import ActionModel, BHaRNetExpertOnly, HolisticPRGCN
from bharsdk.errors import assert_never
from bharsdk.features import FeatureConfig

__all__ = ["ActionModel", "ModelConfig", "ModelName", "build_model"]


class ModelName(enum.Enum):
    """The models that ``--model`` accepts."""

    BHARNET_E = "bharnet-e"
    PR_GCN = "pr-gcn"


@dataclass(frozen=True)
class ModelConfig:
    """Which model, and its regularisation. dropout: on the pooled features, training only."""

    name: ModelName
    dropout: float = 0.0


def build_model(config: ModelConfig, features: FeatureConfig, classes: int) -> ActionModel:
    """A freshly initialised model for ``features`` and a number of ``classes``."""
    match config.name:
        case ModelName.BHARNET_E:
            return BHaRNetExpertOnly(features, classes, config.dropout)
        case ModelName.PR_GCN:
            return HolisticPRGCN(features, classes, config.dropout)
        case _:
            assert_never(config.name)
