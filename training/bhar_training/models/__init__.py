"""The models: one file each, one table of names, one signature.

:func:`build_model` makes a model by its :class:`ModelName`. This module imports no torch, so that
the command line can read the names. Data, training, evaluation and export use it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from bhar_training.models.config import BackboneName, Fusion, ModelConfig, ModelName

if TYPE_CHECKING:
    from bhar_training.models.action_model import ActionModel, InputSpecs

__all__ = ["BackboneName", "Fusion", "ModelConfig", "ModelName", "build_model"]


def build_model(config: ModelConfig, specs: InputSpecs, classes: int) -> ActionModel:
    """Return a freshly initialized model for inputs of ``specs`` and a number of ``classes``.

    Raises UsageError when the data lacks an input that the model reads.
    """
    module, function = config.name.builder.split(":")
    build = getattr(importlib.import_module(f"bhar_training.models.{module}"), function)
    model: ActionModel = build(config, specs, classes)
    return model
