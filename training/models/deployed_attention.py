"""The deployed forms of attention between streams: what is constant after training is folded in.

LayerNorm's weights go into the linear layers behind it, the factor d^-1/4 of FAVOR+ into queries
and keys, the factor m^-1/2 of its features cancels, and the weights of all keys add up to one, so
that what is added to every value is added to every result. Means commute with linear layers:
what follows a mean over tokens is computed once, of the mean, and is one matrix.

:mod:`bhar_training.models.attention` makes these modules from its trained ones (``deploy()``).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bhar_training.models.backbone import WIDTH

__all__ = [
    "AXES",
    "HEADS",
    "HEAD_WIDTH",
    "STABLE",
    "DeployedAxisAttention",
    "DeployedCrossAttention",
    "DeployedInteractiveBranch",
    "DeployedPooledAttention",
    "linear",
    "tokens_of",
]

HEADS, HEAD_WIDTH = 8, 64
STABLE = 1e-6
"""Added to every feature, so that no query divides by nothing."""

AXES = ((3, 4), (2, 3), (2, 4))
"""Of features [N, 256, T, M, V]: what time, joints and instances pool."""


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """The layer of weight [O, I] and bias [O], in the precision of the weight."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
    layer.weight.data.copy_(weight)
    layer.bias.data.copy_(bias)
    return layer


def tokens_of(features: Tensor) -> Tensor:
    """[N, 256, T, M, V] -> [N * M, T * V, 256]."""
    return features.permute(0, 3, 2, 4, 1).flatten(2, 3).flatten(0, 1)


def _normalised(x: Tensor) -> Tensor:
    return F.layer_norm(x, (WIDTH,))


def _heads(x: Tensor) -> Tensor:
    """[B, N, 512] -> [B, H, N, 64]."""
    b, tokens, _ = x.shape
    return x.view(b, tokens, HEADS, HEAD_WIDTH).transpose(1, 2)


def _features(x: Tensor, directions: Tensor, over: tuple[int, ...]) -> Tensor:
    """phi(x) for x [B, H, N, 64] -> [B, H, N, m], divided by its largest over ``over``."""
    exponent = x @ directions
    raised = torch.exp(exponent - x.square().sum(-1, keepdim=True) / 2 - exponent.amax(over, True))
    return raised + STABLE


class _Folded(nn.Module):
    """Queries and keys of normalised tokens, and the directions [64, m] of their features."""

    directions: Tensor

    def __init__(self, query: nn.Linear, key: nn.Linear, directions: Tensor) -> None:
        super().__init__()
        self.query, self.key = query, key
        self.register_buffer("directions", directions)

    def _both(self, tokens: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the keys, and those of the queries over their product with all keys."""
        key = _features(_heads(self.key(context)), self.directions, (-1, -2))
        query = _features(_heads(self.query(tokens)), self.directions, (-1,))
        return key, query / (query @ key.sum(-2)[..., None])


class DeployedCrossAttention(_Folded):
    """FAVOR+ from tokens [B, Q, 256] to context [B, K, 256], both normalised -> [B, Q, 256]."""

    def __init__(
        self, query: nn.Linear, key: nn.Linear, value: nn.Linear, out: nn.Linear, directions: Tensor
    ) -> None:
        super().__init__(query, key, directions)
        self.value, self.out = value, out

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """See the class."""
        key, weights = self._both(tokens, context)
        mixed = weights @ (key.transpose(-1, -2) @ _heads(self.value(context)))
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class DeployedInteractiveBranch(nn.Module):
    """BHaRNet-E's second branch: ``head`` is also the layer that came before the mean."""

    def __init__(
        self, attention: DeployedCrossAttention, hidden: nn.Linear, head: nn.Linear
    ) -> None:
        super().__init__()
        self.attention, self.hidden, self.head = attention, hidden, head

    def forward(self, features: Tensor, other: Tensor) -> Tensor:
        """features, other: [N, 256, T, M, V] -> logits [N, classes]."""
        n, m = features.shape[0], features.shape[3]
        tokens, context = tokens_of(features), _normalised(tokens_of(other))
        if other.shape[3] != m:
            context = context.reshape(n, 1, -1, WIDTH).expand(n, m, -1, WIDTH).flatten(0, 1)
        seen = tokens + self.attention(_normalised(tokens), context)
        hidden = F.gelu(self.hidden(_normalised(seen)))
        logits: Tensor = self.head(hidden.reshape(n, -1, WIDTH).mean(1))
        return logits


class DeployedAxisAttention(_Folded):
    """One axis of BHaRNet-P's attention.

    value: from the heads' weighted means of normalised context tokens, [H * 256], to outputs.
    """

    def __init__(
        self, query: nn.Linear, key: nn.Linear, value: nn.Linear, directions: Tensor
    ) -> None:
        super().__init__(query, key, directions)
        self.value = value

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Normalised tokens [N, Q, 256] and context [N, K, 256] -> [N, outputs]."""
        key, weights = self._both(tokens, context)
        of_keys = weights.mean(-2, keepdim=True) @ key.transpose(-1, -2)  # [N, H, 1, K]
        summaries = of_keys[:, :, 0] @ context  # [N, H, 256]
        out: Tensor = self.value(summaries.flatten(1))
        return out


class DeployedPooledAttention(nn.Module):
    """BHaRNet-P's attention of one stream and its classifier: logits at once."""

    def __init__(
        self,
        time: DeployedAxisAttention,
        joints: DeployedAxisAttention,
        instances: DeployedAxisAttention,
    ) -> None:
        super().__init__()
        self.time, self.joints, self.instances = time, joints, instances

    @property
    def axes(self) -> tuple[DeployedAxisAttention, ...]:
        """Time, joints, instances."""
        return self.time, self.joints, self.instances

    def forward(self, features: Tensor, other: Tensor) -> Tensor:
        """features, other: [N, 256, T, M, V] -> logits [N, classes]."""
        parts = [
            attention(*(_normalised(x.mean(pooled).transpose(1, 2)) for x in (features, other)))
            for attention, pooled in zip(self.axes, AXES, strict=True)
        ]
        return torch.stack(parts).sum(0)
