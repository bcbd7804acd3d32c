"""BHaRNet: a body and a hand stream, and the ways in which they look at each other.

All models of the package share one signature, that of the deployed graph::

    model(body [N, C, T, V, M], hands [N, C, T, V', M']) -> logits [N, classes]

``streams`` gives the logits of the parts beside the fused ones, for their losses.
"""

from __future__ import annotations

import copy
import enum
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from bhar_training.models.attention import InteractiveBranch, PooledAttention
from bhar_training.models.backbone import Backbone
from bhar_training.models.deployed_attention import DeployedPooledAttention
from bhar_training.models.losses import exact
from bhar_training.models.prgcn import PRGCN
from bharsdk.errors import assert_never

__all__ = [
    "ActionModel",
    "BHaRNetE",
    "BHaRNetExpertOnly",
    "BHaRNetP",
    "Fusion",
    "JoinedPRGCN",
    "SingleStream",
    "fuse",
]


class Fusion(enum.Enum):
    """How the class scores of several streams become one."""

    MEAN = "mean"
    NOISY_OR = "noisy-or"


def fuse(logits: list[Tensor], how: Fusion) -> Tensor:
    """Logits [N, classes] of the streams -> fused logits [N, classes].

    MEAN: their mean. NOISY_OR: ``p = 1 - prod(1 - p_i)`` of the class probabilities, as log p
    (softmax then normalizes it): a sure stream is not spoilt by an unsure one.
    (BHaRNet's extension of 2026, reliability-aware fusion)
    """
    match how:
        case Fusion.MEAN:
            return torch.stack(logits).mean(0)
        case Fusion.NOISY_OR:
            none = torch.stack([1 - exact(part).softmax(1) for part in logits]).prod(0)
            return torch.log((1 - none).clamp_min(1e-9))
        case _:
            assert_never(how)


class ActionModel(nn.Module, ABC):
    """What training, evaluation and export ask of a model."""

    @abstractmethod
    def streams(self, body: Tensor, hands: Tensor) -> tuple[Tensor, ...]:
        """(fused logits, then the logits of each part that has its own loss), each [N, classes]."""

    @abstractmethod
    def heads(self) -> tuple[nn.Module, ...]:
        """The layers that classify pooled features [N, D], in the order in which they run.

        Empty where a head classifies what it never pools.
        """

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
    """BHaRNet-E, expert-only: a body and a hand expert, fused at their logits. The edge model.

    Each expert is a backbone; the hand expert sees left and right hand as two persons.
    """

    def __init__(self, body: Backbone, hand: Backbone, fusion: Fusion = Fusion.MEAN) -> None:
        super().__init__()
        self.body, self.hand, self.fusion = body, hand, fusion

    def streams(self, body: Tensor, hands: Tensor) -> tuple[Tensor, ...]:
        """(fused, body, hand) logits, each [N, classes]."""
        experts = [self.body(body), self.hand(hands)]
        return (fuse(experts, self.fusion), *experts)

    def heads(self) -> tuple[nn.Module, ...]:
        """Of the experts."""
        return self.body.head, self.hand.head

    def expert_only(self) -> BHaRNetExpertOnly:
        """The two experts alone; they share their weights with this model."""
        return BHaRNetExpertOnly(self.body, self.hand, self.fusion)

    def _fold(self) -> None:
        self.body.fold()
        self.hand.fold()


class BHaRNetE(BHaRNetExpertOnly):
    """BHaRNet-E with all four branches: two experts and two that look at the other stream.

    Trained with individual losses on the interactive branches only; the experts learn from what
    they add to the sum (complementary loss). :meth:`expert_only` is what runs on a device.
    """

    def __init__(
        self, body: Backbone, hand: Backbone, fusion: Fusion = Fusion.MEAN, dropout: float = 0.0
    ) -> None:
        super().__init__(body, hand, fusion)
        sizes = body.head.out_features, dropout, body.feature_window
        self.body_interaction: nn.Module = InteractiveBranch(*sizes)
        self.hand_interaction: nn.Module = InteractiveBranch(*sizes)

    def streams(self, body: Tensor, hands: Tensor) -> tuple[Tensor, ...]:
        """(fused, body interactive, hand interactive) logits, each [N, classes].

        The four logits are summed; NOISY_OR takes the four as independent witnesses.
        """
        b, h = self.body.features(body), self.hand.features(hands)
        experts = [self.body.classify(b), self.hand.classify(h)]
        interactive = [self.body_interaction(b, h), self.hand_interaction(h, b)]
        both = experts + interactive
        fused = torch.stack(both).sum(0) if self.fusion is Fusion.MEAN else fuse(both, self.fusion)
        return (fused, *interactive)

    def heads(self) -> tuple[nn.Module, ...]:
        """Of the experts, then of the interactive branches, whose pooled features change folded."""
        branches = self.body_interaction, self.hand_interaction
        return (*super().heads(), *(branch.get_submodule("head") for branch in branches))

    def _fold(self) -> None:
        super()._fold()
        for branch in ("body_interaction", "hand_interaction"):
            setattr(self, branch, getattr(self, branch).deploy())


class BHaRNetP(BHaRNetExpertOnly):
    """BHaRNet-P: each stream classifies what pooled attention to the other one has gathered."""

    def __init__(self, body: Backbone, hand: Backbone, fusion: Fusion = Fusion.MEAN) -> None:
        super().__init__(body, hand, fusion)
        self.body_attention: nn.Module = PooledAttention(body.feature_window)
        self.hand_attention: nn.Module = PooledAttention(hand.feature_window)

    def streams(self, body: Tensor, hands: Tensor) -> tuple[Tensor, ...]:
        """(fused, body, hand) logits, each [N, classes]."""
        b, h = self.body.features(body), self.hand.features(hands)
        parts = [
            _classified(self.body, self.body_attention, b, h),
            _classified(self.hand, self.hand_attention, h, b),
        ]
        return (fuse(parts, self.fusion), *parts)

    def heads(self) -> tuple[nn.Module, ...]:
        """None: folded, attention classifies token by token."""
        return ()

    def _fold(self) -> None:
        super()._fold()
        self.body_attention = self.body_attention.deploy(self.body.head)  # type: ignore[operator]
        self.hand_attention = self.hand_attention.deploy(self.hand.head)  # type: ignore[operator]


def _classified(stream: Backbone, attention: nn.Module, own: Tensor, other: Tensor) -> Tensor:
    """Logits of what ``stream`` gathers; a deployed attention has its classifier in it."""
    seen: Tensor = attention(own, other)
    if isinstance(attention, DeployedPooledAttention):
        return seen
    logits: Tensor = stream.head(stream.dropout(seen))
    return logits


class SingleStream(ActionModel):
    """One expert alone: of the body, or of the hands; the other input is not looked at."""

    def __init__(self, net: Backbone, *, of_hands: bool) -> None:
        super().__init__()
        self.net, self.of_hands = net, of_hands

    def streams(self, body: Tensor, hands: Tensor) -> tuple[Tensor, ...]:
        """(logits [N, classes],)."""
        return (self.net(hands if self.of_hands else body),)

    def heads(self) -> tuple[nn.Module, ...]:
        """The backbone's."""
        return (self.net.head,)

    def _fold(self) -> None:
        self.net.fold()


class JoinedPRGCN(ActionModel):
    """PR-GCN on one graph: of 67 joints, the body with a hand hanging from each wrist.

    joined: False where the data has no hands and the body is the whole graph.
    """

    def __init__(self, net: PRGCN, *, joined: bool = True) -> None:
        super().__init__()
        self.net, self.joined = net, joined

    def streams(self, body: Tensor, hands: Tensor) -> tuple[Tensor, ...]:
        """(logits [N, classes],): one stream, so no part has a loss of its own."""
        if self.joined:
            body = torch.cat([body, hands[..., 0:1], hands[..., 1:2]], dim=3)
        return (self.net(body),)

    def heads(self) -> tuple[nn.Module, ...]:
        """PR-GCN's."""
        return (self.net.head,)

    def _fold(self) -> None:
        self.net.fold()
