"""The deployed forms of attention between branches: constants are folded into the layers.

LayerNorm's weights go into the linear layers behind it. The factor d^-1/4 of FAVOR+ goes into
queries and keys; the factor m^-1/2 of its features cancels. The weights of all keys add up to one,
so a constant that is added to every value is added to every result. Means commute with linear
layers, so one matrix computes everything that follows a mean over tokens.

This module also has what the trained and the deployed forms share: which tokens attend to which.

:mod:`bhar_training.models.attention` makes these modules from its trained ones (``deploy()``).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bhar_training.models.backbone import WIDTH
from bhar_training.models.causal import running_mean

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
    "linear_attention",
    "mean_token",
    "normalized",
    "pooled_tokens",
    "tokens_of",
]

HEADS, HEAD_WIDTH = 8, 64
STABLE = 1e-6
"""Added to every feature, so that no query divides by nothing."""

AXES = ((3, 4), (2, 3), (2, 4))
"""Of features [N, 256, T, M, V]: what time, joints and instances pool."""


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a layer with weight [O, I] and bias [O], in the precision of the weight."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
    layer.weight.data.copy_(weight)
    layer.bias.data.copy_(bias)
    return layer


def tokens_of(features: Tensor, other: Tensor, *, by_frame: bool) -> tuple[Tensor, Tensor]:
    """Features [N, 256, T, M, V] of both branches -> tokens [N * groups, T * M / groups * V, 256].

    An instance and the other branch's instance of the same number are a group; where the branches
    have different numbers of instances, all of them are one. by_frame: the tokens of every frame
    on their own, [N * groups, T, M / groups * V, 256].
    """
    groups = features.shape[3] if features.shape[3] == other.shape[3] else 1
    frames = [
        x.reshape(*x.shape[:3], groups, -1, x.shape[4])
        .permute(0, 3, 2, 4, 5, 1)
        .flatten(3, 4)
        .flatten(0, 1)
        for x in (features, other)
    ]
    tokens, context = frames if by_frame else (x.flatten(1, 2) for x in frames)
    return tokens, context


def linear_attention(query: Tensor, key: Tensor, value: Tensor, window: int | None) -> Tensor:
    """What queries see: [..., Q, D].

    query, key: random features [..., Q, m] and [..., K, m]; value: [..., K, D]. window: of the
    causal form, whose tokens are [B, H, T, ...]: a query sees the keys up to its own frame. What
    they add up to, with values and alone, then runs along with the frames: prefix sums (Choromanski
    et al. 2021, the unidirectional case), divided by the number of frames, which cancels.
    """
    summed, key_sum = key.transpose(-1, -2) @ value, key.sum(-2)[..., None]
    if window is not None:
        summed, key_sum = running_mean(summed, window), running_mean(key_sum, window)
    return (query @ summed) / (query @ key_sum)


def mean_token(tokens: Tensor, samples: int, window: int | None) -> Tensor:
    """Return the mean token [N, 256] of N ``samples``; tokens as :func:`tokens_of` gives them.

    window: of the causal form, which takes the running mean at the last frame.
    """
    groups = tokens.view(samples, -1, *tokens.shape[1:])
    if window is None:
        return groups.mean((1, 2))
    return running_mean(groups.mean((1, 3)).transpose(1, 2), window)[:, :, -1]


def pooled_tokens(features: Tensor, window: int | None) -> list[Tensor]:
    """Pool [N, 256, T, M, V] into tokens [N, tokens, 256] along time, joints and instances.

    window: of the causal form, as the last frame sees the clip. Time has at most the last
    ``window`` tokens; joints and instances pool time by a running mean.
    """
    if window is None:
        return [features.mean(axes).transpose(1, 2) for axes in AXES]
    time = features.mean(AXES[0])[:, :, -window:]
    running = (running_mean(features.mean(axis), window)[:, :, -1] for _, axis in AXES[1:])
    return [tokens.transpose(1, 2) for tokens in (time, *running)]


def normalized(x: Tensor) -> Tensor:
    """Normalize as LayerNorm does without weights; these are folded into the next layers."""
    return F.layer_norm(x, (WIDTH,))


def _heads(x: Tensor) -> Tensor:
    """[B, ..., N, 512] -> [B, H, ..., N, 64]."""
    return x.view(*x.shape[:-1], HEADS, HEAD_WIDTH).movedim(-2, 1)


def _features(x: Tensor, directions: Tensor, over: tuple[int, ...]) -> Tensor:
    """phi(x) for x [..., N, 64] -> [..., N, m], divided by its largest ``over`` axes, if any."""
    exponent = x @ directions
    largest = exponent.amax(over, True) if over else 0.0
    return torch.exp(exponent - x.square().sum(-1, keepdim=True) / 2 - largest) + STABLE


class _Folded(nn.Module):
    """Queries and keys of normalized tokens, and the directions [64, m] of their features."""

    directions: Tensor

    def __init__(self, query: nn.Linear, key: nn.Linear, directions: Tensor) -> None:
        super().__init__()
        self.query, self.key = query, key
        self.register_buffer("directions", directions)

    def both(
        self, tokens: Tensor, context: Tensor, over: tuple[int, ...] = (-1, -2)
    ) -> tuple[Tensor, Tensor]:
        """Features of the queries, and those of the keys, by their largest over ``over``."""
        query = _features(_heads(self.query(tokens)), self.directions, (-1,))
        return query, _features(_heads(self.key(context)), self.directions, over)


class DeployedCrossAttention(_Folded):
    """FAVOR+ from tokens [B, Q, 256] to context [B, K, 256], both normalized -> [B, Q, 256].

    window: of the causal form, of tokens and context of each frame, as in training.
    """

    def __init__(
        self,
        query: nn.Linear,
        key: nn.Linear,
        value: nn.Linear,
        out: nn.Linear,
        directions: Tensor,
        window: int | None,
    ) -> None:
        super().__init__(query, key, directions)
        self.value, self.out, self.window = value, out, window

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """See the class."""
        query, key = self.both(tokens, context, (-1, -2) if self.window is None else ())
        return self.joined(linear_attention(query, key, self.values(context), self.window))

    def values(self, context: Tensor) -> Tensor:
        """Of the heads: [B, ..., K, 256] -> [B, H, ..., K, 64]."""
        return _heads(self.value(context))

    def joined(self, seen: Tensor) -> Tensor:
        """What the heads see, [B, H, ..., Q, 64] -> [B, ..., Q, 256]."""
        out: Tensor = self.out(seen.movedim(1, -2).flatten(-2))
        return out


class DeployedInteractiveBranch(nn.Module):
    """BHaRNet-E's interactive branch; ``head`` includes the layer that came before the mean."""

    def __init__(
        self, attention: DeployedCrossAttention, hidden: nn.Linear, head: nn.Linear
    ) -> None:
        super().__init__()
        self.attention, self.hidden, self.head = attention, hidden, head

    def forward(self, features: Tensor, other: Tensor) -> Tensor:
        """Return logits [N, classes] of features and other [N, 256, T, M, V]."""
        window = self.attention.window
        tokens, context = tokens_of(features, other, by_frame=window is not None)
        hidden = self.seen(tokens, context, self.attention)
        logits: Tensor = self.head(mean_token(hidden, features.shape[0], window))
        return logits

    def seen(
        self, tokens: Tensor, context: Tensor, attention: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """The tokens before the mean, by this module's ``attention`` or its equal."""
        seen = tokens + attention(normalized(tokens), normalized(context))
        return F.gelu(self.hidden(normalized(seen)))


class DeployedAxisAttention(_Folded):
    """One axis of BHaRNet-P's attention.

    value: from the heads' weighted means of normalized context tokens, [H * 256], to outputs.
    """

    def __init__(
        self, query: nn.Linear, key: nn.Linear, value: nn.Linear, directions: Tensor
    ) -> None:
        super().__init__(query, key, directions)
        self.value = value

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Return [N, outputs] of normalized tokens [N, Q, 256] and context [N, K, 256]."""
        query, key = self.both(tokens, context)
        weights = query / (query @ key.sum(-2)[..., None])
        of_keys = weights.mean(-2, keepdim=True) @ key.transpose(-1, -2)  # [N, H, 1, K]
        summaries = of_keys[:, :, 0] @ context  # [N, H, 256]
        out: Tensor = self.value(summaries.flatten(1))
        return out


class DeployedPooledAttention(nn.Module):
    """BHaRNet-P's attention of one branch together with its classifier: it gives logits.

    window: of the causal form (:func:`pooled_tokens`).
    """

    def __init__(
        self,
        time: DeployedAxisAttention,
        joints: DeployedAxisAttention,
        instances: DeployedAxisAttention,
        window: int | None,
    ) -> None:
        super().__init__()
        self.time, self.joints, self.instances = time, joints, instances
        self.window = window

    @property
    def axes(self) -> tuple[DeployedAxisAttention, ...]:
        """Time, joints, instances."""
        return self.time, self.joints, self.instances

    def forward(self, features: Tensor, other: Tensor) -> Tensor:
        """Return logits [N, classes] of features and other [N, 256, T, M, V]."""
        both = (pooled_tokens(x, self.window) for x in (features, other))
        parts = [
            attention(normalized(tokens), normalized(context))
            for attention, tokens, context in zip(self.axes, *both, strict=True)
        ]
        return torch.stack(parts).sum(0)
