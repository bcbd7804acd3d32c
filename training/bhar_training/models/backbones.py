"""The backbones by name."""

from __future__ import annotations

from bhar_training.models.action_model import InputSpec, InputSpecs
from bhar_training.models.backbone import Backbone
from bhar_training.models.config import BackboneName, ModelConfig
from bhar_training.models.degcn import DeGCN
from bhar_training.models.stgcn import STGCN
from bharsdk.errors import UsageError, assert_never
from bharsdk.landmarks.skeleton import Skeleton

__all__ = ["backbone_of", "make_backbone", "spec_of"]


def make_backbone(
    name: BackboneName,
    skeleton: Skeleton,
    channels: int,
    persons: int,
    classes: int,
    dropout: float = 0.0,
    window: int | None = None,
) -> Backbone:
    """Return a freshly initialized backbone for x [N, channels, T, V, persons].

    Raises UsageError for a ``window`` where the backbone has no causal form.
    """
    match name:
        case BackboneName.DEGCN:
            return DeGCN(skeleton, channels, persons, classes, dropout, window)
        case BackboneName.ST_GCN:
            if window is not None:
                raise UsageError("st-gcn has no causal form: leave the window out, or use degcn")
            return STGCN(skeleton, channels, persons, classes, dropout)
        case _:
            assert_never(name)


def backbone_of(config: ModelConfig, specs: InputSpecs, name: str, classes: int) -> Backbone:
    """Return a freshly initialized backbone that reads the input ``name``.

    Raises UsageError when the data has no such input.
    """
    spec = spec_of(config, specs, name)
    return make_backbone(
        config.backbone,
        spec.skeleton,
        spec.channels,
        spec.persons,
        classes,
        config.dropout,
        config.window,
    )


def spec_of(config: ModelConfig, specs: InputSpecs, name: str) -> InputSpec:
    """Return the spec of the input ``name``. Raises UsageError when the data has no such input."""
    if name not in specs:
        there = " and ".join(f"{s.name} ({s.skeleton.name})" for s in specs.values())
        raise UsageError(
            f"{config.name.value}: needs {name}, got {there} alone: use body-expert or pr-gcn"
        )
    return specs[name]
