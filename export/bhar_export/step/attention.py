"""The step counterparts of attention between streams, of the features of one frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bhar_export.step.state import LayerState
from bhar_training.models.deployed_attention import (
    DeployedAxisAttention,
    DeployedInteractiveBranch,
    DeployedPooledAttention,
    normalized,
    tokens_of,
)

__all__ = ["StepInteractiveBranch", "StepPooledAttention"]


class StepInteractiveBranch(nn.Module):
    """Of BHaRNet-E's second branch: what keys and values add up to runs along.

    groups: instances of a sample that attend on their own.
    """

    def __init__(self, layer: DeployedInteractiveBranch, state: LayerState, groups: int) -> None:
        super().__init__()
        assert layer.attention.window is not None
        self.layer, self.window, self.mean = layer, layer.attention.window, state.below("mean")
        of_groups = state.of_rows(groups)
        self.summed, self.key_sum = of_groups.below("values"), of_groups.below("keys")

    def forward(self, features: Tensor, other: Tensor) -> Tensor:
        """features, other: [N, 256, 1, M, V] -> logits [N, classes]."""
        tokens, context = tokens_of(features, other, by_frame=True)
        hidden = self.layer.seen(tokens, context, self._attend)
        # [N * groups, 1, Q, 256]: the mean of the frame, then over time.
        of_frame = hidden.view(features.shape[0], -1, 1, *hidden.shape[2:]).mean((1, 3))
        pooled = self.mean.running_mean(of_frame.transpose(1, 2), self.window)
        logits: Tensor = self.layer.head(pooled[:, :, 0])
        return logits

    def _attend(self, tokens: Tensor, context: Tensor) -> Tensor:
        attention = self.layer.attention
        query, key = attention.both(tokens, context, ())
        values = key.transpose(-1, -2) @ attention.values(context)
        summed = self.summed.running_mean(values, self.window)
        key_sum = self.key_sum.running_mean(key.sum(-2)[..., None], self.window)
        return attention.joined((query @ summed) / (query @ key_sum))


class StepPooledAttention(DeployedPooledAttention):
    """Of BHaRNet-P's attention of one stream: the last tokens of time are kept, with their count.

    Between two frames of the features the logits stay what they were.
    """

    def __init__(self, layer: DeployedPooledAttention, state: LayerState) -> None:
        super().__init__(layer.time, layer.joints, layer.instances, layer.window)
        self.streams = state.below("own"), state.below("other")
        self.state = state.below("logits")

    def forward(self, features: Tensor, other: Tensor) -> Tensor:
        """features, other: [N, 256, 1, M, V] -> logits [N, classes]."""
        window = self.window
        assert window is not None
        own, others = (
            self._tokens(x, state, window)
            for x, state in zip((features, other), self.streams, strict=True)
        )
        logits = _along_time(self.time, own[0], others[0], self.state.count(own[0], window))
        for attention, tokens, context in zip(self.axes[1:], own[1:], others[1:], strict=True):
            logits = logits + attention(tokens, context)
        return self.state.held(logits)

    def _tokens(self, x: Tensor, state: LayerState, window: int) -> list[Tensor]:
        """[N, 256, 1, M, V] -> normalized tokens [N, tokens, 256], as pooled_tokens gives."""
        means = zip(("joints", "instances"), (3, 4), strict=True)
        tokens = [state.below("time").recent(x.mean((3, 4)), window)]
        tokens += [
            state.below(name).running_mean(x.mean(axis), window)[:, :, 0] for name, axis in means
        ]
        return [normalized(of.transpose(1, 2)) for of in tokens]


def _along_time(
    axis: DeployedAxisAttention, tokens: Tensor, context: Tensor, count: Tensor
) -> Tensor:
    """``axis`` of the last ``count`` tokens of both: those before repeat the first."""
    query, key = axis.both(tokens, context)
    frames = tokens.shape[1]
    counts = (torch.arange(frames)[:, None] >= frames - count[:, None]).float()
    key = key * counts
    weights = counts * query / (query @ key.sum(-2)[..., None])
    mean = weights.sum(-2, keepdim=True) / count[:, None]
    summaries = (mean @ key.transpose(-1, -2))[:, :, 0] @ context
    out: Tensor = axis.value(summaries.flatten(1))
    return out
