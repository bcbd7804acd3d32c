"""The models by name. Adding one: a class in its file and a case in :func:`build_model`."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bhar_training.models.backbone import Backbone
from bhar_training.models.bharnet import (
    ActionModel,
    BHaRNetE,
    BHaRNetExpertOnly,
    BHaRNetP,
    Fusion,
    JoinedPRGCN,
    SingleStream,
)
from bhar_training.models.degcn import DeGCN
from bhar_training.models.prgcn import PRGCN
from bhar_training.models.stgcn import STGCN
from bharsdk.errors import InputError, UsageError, assert_never
from bharsdk.landmarks.skeleton import (
    MEDIAPIPE_BODY25,
    MEDIAPIPE_HAND21,
    MEDIAPIPE_HOLISTIC67,
    Skeleton,
)

__all__ = [
    "ActionModel",
    "BackboneName",
    "Fusion",
    "InputLayout",
    "ModelConfig",
    "ModelName",
    "build_model",
    "make_backbone",
]


class ModelName(enum.Enum):
    """The models that ``--model`` accepts."""

    BHARNET_E = "bharnet-e"
    """Two experts: the edge model."""
    BHARNET_E_FULL = "bharnet-e-full"
    """With its two interactive branches."""
    BHARNET_P = "bharnet-p"
    PR_GCN = "pr-gcn"
    BODY_EXPERT = "body-expert"
    """One backbone, body only."""
    HAND_EXPERT = "hand-expert"
    """One backbone, hands only: spelling, say."""


class BackboneName(enum.Enum):
    """What the streams of BHaRNet are made of."""

    DEGCN = "degcn"
    ST_GCN = "st-gcn"


@dataclass(frozen=True)
class ModelConfig:
    """Which model, and its regularization.

    dropout: on the pooled features, training only. backbone, fusion: of BHaRNet and the body
    expert. prm, tam: PR-GCN's pose refinement and temporal aggregation (its ablation). window: of
    the running means, in frames, in the causal form, which a stream runs frame by frame; None: the
    form of the papers.
    """

    name: ModelName
    dropout: float = 0.0
    backbone: BackboneName = BackboneName.DEGCN
    fusion: Fusion = Fusion.MEAN
    prm: bool = True
    tam: bool = True
    window: int | None = None

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 1:
            raise InputError(f"model: got window {self.window}, expected at least 1 frame")
        if not 0 <= self.dropout < 1:
            raise InputError(f"model: got dropout {self.dropout}, expected 0 to below 1")


@dataclass(frozen=True)
class InputLayout:
    """What a model reads: body [N, channels, T, V, persons], and hands unless ``hand`` is None.

    coordinates: how many leading channels are coordinates (the rest: presence).
    """

    channels: int
    coordinates: int
    body: Skeleton = MEDIAPIPE_BODY25
    persons: int = 1
    hand: Skeleton | None = MEDIAPIPE_HAND21


def make_backbone(
    name: BackboneName,
    skeleton: Skeleton,
    channels: int,
    persons: int,
    classes: int,
    dropout: float = 0.0,
    window: int | None = None,
) -> Backbone:
    """A freshly initialized stream of ``name`` for x [N, channels, T, V, persons].

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


def build_model(config: ModelConfig, layout: InputLayout, classes: int) -> ActionModel:
    """A freshly initialized model for inputs of ``layout`` and a number of ``classes``.

    Raises UsageError when the model needs hands and the data has none.
    """
    channels, dropout = layout.channels, config.dropout

    def body() -> Backbone:
        return make_backbone(
            *(config.backbone, layout.body, channels, layout.persons, classes, dropout),
            config.window,
        )

    def hand() -> Backbone:
        if layout.hand is None:
            raise UsageError(
                f"{config.name.value}: needs hands, got a {layout.body.name} skeleton alone: use"
                " body-expert or pr-gcn"
            )
        return make_backbone(
            config.backbone, layout.hand, channels, 2, classes, dropout, config.window
        )

    match config.name:
        case ModelName.BHARNET_E:
            return BHaRNetExpertOnly(body(), hand(), config.fusion)
        case ModelName.BHARNET_E_FULL:
            return BHaRNetE(body(), hand(), config.fusion, dropout)
        case ModelName.BHARNET_P:
            return BHaRNetP(body(), hand(), config.fusion)
        case ModelName.BODY_EXPERT:
            return SingleStream(body(), of_hands=False)
        case ModelName.HAND_EXPERT:
            return SingleStream(hand(), of_hands=True)
        case ModelName.PR_GCN:
            joined = layout.hand is not None
            net = PRGCN(
                MEDIAPIPE_HOLISTIC67 if joined else layout.body,
                channels,
                classes,
                refined=layout.coordinates,
                prm=config.prm,
                tam=config.tam,
                dropout=dropout,
                window=config.window,
            )
            return JoinedPRGCN(net, joined=joined)
        case _:
            assert_never(config.name)
