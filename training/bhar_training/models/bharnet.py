"""BHaRNet: a body and a hand branch, and the ways in which they look at each other.

The models take tensors by name, ``body`` [N, C, T, V, M] and ``hands`` [N, C, T, V', M'], and give
logits [N, classes]. ``branches`` also gives the logits of the parts, for their losses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bhar_training.models.action_model import ActionModel, Inputs, InputSpecs
from bhar_training.models.attention import InteractiveBranch, PooledAttention
from bhar_training.models.backbone import Backbone
from bhar_training.models.backbones import backbone_of
from bhar_training.models.config import Fusion, ModelConfig
from bhar_training.models.deployed_attention import DeployedPooledAttention
from bhar_training.models.losses import exact
from bharsdk.errors import assert_never

__all__ = [
    "BHaRNetE",
    "BHaRNetExpertOnly",
    "BHaRNetP",
    "build_e",
    "build_expert_only",
    "build_p",
    "fuse",
]


def fuse(logits: list[Tensor], how: Fusion) -> Tensor:
    """Fuse the logits [N, classes] of several branches into one [N, classes].

    MEAN: their mean. NOISY_OR: ``p = 1 - prod(1 - p_i)`` of the class probabilities, as log p;
    softmax then normalizes it. An unsure branch does not spoil a sure one.
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


class BHaRNetExpertOnly(ActionModel):
    """BHaRNet-E, expert-only: a body and a hand expert, fused at their logits. The edge model.

    Each expert is a backbone. The hand expert sees the left and the right hand as two persons.
    """

    reads = ("body", "hands")

    def __init__(self, body: Backbone, hand: Backbone, fusion: Fusion = Fusion.MEAN) -> None:
        super().__init__()
        self.body, self.hand, self.fusion = body, hand, fusion

    def branches(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """Return (fused, body, hand) logits, each [N, classes]."""
        experts = [self.body(inputs["body"]), self.hand(inputs["hands"])]
        return (fuse(experts, self.fusion), *experts)

    def heads(self) -> tuple[nn.Module, ...]:
        """Return the heads of the experts: body, hand."""
        return self.body.head, self.hand.head

    def expert_only(self) -> BHaRNetExpertOnly:
        """Return the two experts alone; they share their weights with this model."""
        return BHaRNetExpertOnly(self.body, self.hand, self.fusion)

    def _fold(self) -> None:
        self.body.fold()
        self.hand.fold()


class BHaRNetE(BHaRNetExpertOnly):
    """BHaRNet-E with all four branches: two experts, and two that look at the other expert.

    Only the interactive branches have losses of their own. The experts learn from what they add to
    the sum (complementary loss). Devices run :meth:`expert_only`.
    """

    def __init__(
        self, body: Backbone, hand: Backbone, fusion: Fusion = Fusion.MEAN, dropout: float = 0.0
    ) -> None:
        super().__init__(body, hand, fusion)
        sizes = body.head.out_features, dropout, body.feature_window
        self.body_interaction: nn.Module = InteractiveBranch(*sizes)
        self.hand_interaction: nn.Module = InteractiveBranch(*sizes)

    def branches(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """Return (fused, body interactive, hand interactive) logits, each [N, classes].

        MEAN sums the four logits; NOISY_OR takes the four as independent witnesses.
        """
        b, h = self.body.features(inputs["body"]), self.hand.features(inputs["hands"])
        experts = [self.body.classify(b), self.hand.classify(h)]
        interactive = [self.body_interaction(b, h), self.hand_interaction(h, b)]
        both = experts + interactive
        fused = torch.stack(both).sum(0) if self.fusion is Fusion.MEAN else fuse(both, self.fusion)
        return (fused, *interactive)

    def heads(self) -> tuple[nn.Module, ...]:
        """Return the heads of the experts, then those of the interactive branches."""
        branches = self.body_interaction, self.hand_interaction
        return (*super().heads(), *(branch.get_submodule("head") for branch in branches))

    def _fold(self) -> None:
        super()._fold()
        for branch in ("body_interaction", "hand_interaction"):
            setattr(self, branch, getattr(self, branch).deploy())


class BHaRNetP(BHaRNetExpertOnly):
    """BHaRNet-P: each branch classifies what pooled attention to the other one has gathered."""

    def __init__(self, body: Backbone, hand: Backbone, fusion: Fusion = Fusion.MEAN) -> None:
        super().__init__(body, hand, fusion)
        self.body_attention: nn.Module = PooledAttention(body.feature_window)
        self.hand_attention: nn.Module = PooledAttention(hand.feature_window)

    def branches(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """Return (fused, body, hand) logits, each [N, classes]."""
        b, h = self.body.features(inputs["body"]), self.hand.features(inputs["hands"])
        parts = [
            _classified(self.body, self.body_attention, b, h),
            _classified(self.hand, self.hand_attention, h, b),
        ]
        return (fuse(parts, self.fusion), *parts)

    def heads(self) -> tuple[nn.Module, ...]:
        """Return none: in the deployed form, attention classifies token by token."""
        return ()

    def _fold(self) -> None:
        super()._fold()
        self.body_attention = self.body_attention.deploy(self.body.head)  # type: ignore[operator]
        self.hand_attention = self.hand_attention.deploy(self.hand.head)  # type: ignore[operator]


def _classified(branch: Backbone, attention: nn.Module, own: Tensor, other: Tensor) -> Tensor:
    """Logits of what ``branch`` gathers; a deployed attention has its classifier in it."""
    seen: Tensor = attention(own, other)
    if isinstance(attention, DeployedPooledAttention):
        return seen
    logits: Tensor = branch.head(branch.dropout(seen))
    return logits


def build_expert_only(config: ModelConfig, specs: InputSpecs, classes: int) -> BHaRNetExpertOnly:
    """Return the edge model. Raises UsageError when the data lacks body or hands."""
    return BHaRNetExpertOnly(*_experts(config, specs, classes), config.fusion)


def build_e(config: ModelConfig, specs: InputSpecs, classes: int) -> BHaRNetE:
    """Return BHaRNet-E in full. Raises UsageError when the data lacks body or hands."""
    return BHaRNetE(*_experts(config, specs, classes), config.fusion, config.dropout)


def build_p(config: ModelConfig, specs: InputSpecs, classes: int) -> BHaRNetP:
    """Return BHaRNet-P. Raises UsageError when the data lacks body or hands."""
    return BHaRNetP(*_experts(config, specs, classes), config.fusion)


def _experts(config: ModelConfig, specs: InputSpecs, classes: int) -> tuple[Backbone, Backbone]:
    body, hand = (backbone_of(config, specs, name, classes) for name in BHaRNetExpertOnly.reads)
    return body, hand
