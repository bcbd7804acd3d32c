"""Body-and-hand models: what takes the two feature tensors and gives the logits of the actions.

All models of the package share one signature, that of the deployed graph::

    model(body [N, C, T, 25, 1], hands [N, C, T, 21, 2]) -> logits [N, classes]

``streams`` gives the logits of the parts beside the fused ones, for their losses.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from bhar_training.models.degcn import DeGCN
from bhar_training.models.prgcn import PRGCN
from bharsdk.features import FeatureConfig
from bharsdk.skeleton import MEDIAPIPE_BODY25, MEDIAPIPE_HAND21, MEDIAPIPE_HOLISTIC67

__all__ = ["ActionModel", "BHaRNetExpertOnly", "HolisticPRGCN"]


class ActionModel(nn.Module, ABC):
    """What training, evaluation and export ask of a model."""

    @abstractmethod
    def streams(self, body: Tensor, hands: Tensor) -> tuple[Tensor, ...]:
        """(fused logits, then the logits of each part that has its own loss), each [N, classes]."""

    @abstractmethod
    def _fold(self) -> None:
        """Fold in place."""

    def forward(self, body: Tensor, hands: Tensor) -> Tensor:
        """The fused logits [N, classes]."""
        return self.streams(body, hands)[0]

    def deploy(self) -> ActionModel:
        """A copy in evaluation mode without BatchNorm and DeTGC that gives the same logits."""
        folded = copy.deepcopy(self).eval()
        with torch.no_grad():
            folded._fold()
        return folded.requires_grad_(False)


class BHaRNetExpertOnly(ActionModel):
    """BHaRNet-E, expert-only: a body and a hand expert, fused by the mean of their logits.

    Each expert is a DeGCN single stream; the hand expert sees left and right hand as two persons.
    (BHaRNet, expertized branches without the interactive ones: the edge model)
    """

    def __init__(self, features: FeatureConfig, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        channels = features.channels
        self.body = DeGCN(MEDIAPIPE_BODY25, channels, 1, classes, dropout)
        self.hand = DeGCN(MEDIAPIPE_HAND21, channels, 2, classes, dropout)

    def streams(self, body: Tensor, hands: Tensor) -> tuple[Tensor, ...]:
        """(fused, body, hand) logits, each [N, classes]."""
        body_logits, hand_logits = self.body(body), self.hand(hands)
        return (body_logits + hand_logits) * 0.5, body_logits, hand_logits

    def _fold(self) -> None:
        self.body.fold()
        self.hand.fold()


class HolisticPRGCN(ActionModel):
    """PR-GCN on one graph of 67 joints: the body with a hand hanging from each wrist."""

    def __init__(self, features: FeatureConfig, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.net = PRGCN(
            MEDIAPIPE_HOLISTIC67,
            features.channels,
            classes,
            refined=3 * len(features.modalities),
            dropout=dropout,
        )

    def streams(self, body: Tensor, hands: Tensor) -> tuple[Tensor, ...]:
        """(logits [N, classes],): one stream, so no part has a loss of its own."""
        joined = torch.cat([body, hands[..., 0:1], hands[..., 1:2]], dim=3)
        return (self.net(joined),)

    def _fold(self) -> None:
        self.net.fold()
