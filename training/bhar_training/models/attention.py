"""Cross-attention between body and hand branches, linear in the number of tokens.

FAVOR+ (Choromanski et al., ICLR 2021): softmax attention by positive orthogonal random features.
With d the width of a head and omega m random directions, softmax(q.k) is near phi(q).phi(k) for
``phi(x) = exp(omega x - |x|^2 / 2) / sqrt(m)`` on inputs scaled by d^-1/4 (eq. 5, 7), so keys and
values are summed once instead of for every query. The causal form looks at the frames so far.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bhar_training.models.backbone import WIDTH
from bhar_training.models.deployed_attention import (
    HEAD_WIDTH,
    HEADS,
    STABLE,
    DeployedAxisAttention,
    DeployedCrossAttention,
    DeployedInteractiveBranch,
    DeployedPooledAttention,
    linear,
    linear_attention,
    mean_token,
    pooled_tokens,
    tokens_of,
)

__all__ = ["FastCrossAttention", "InteractiveBranch", "PooledAttention"]


def orthogonal_directions(count: int, width: int, generator: torch.Generator) -> Tensor:
    """Return blocks of orthogonal rows, each as long as a Gaussian vector: [count, width]."""
    blocks = []
    for _ in range(-(-count // width)):
        q, _ = torch.linalg.qr(torch.randn(width, width, generator=generator))
        blocks.append(q.T)
    lengths = torch.randn(count, width, generator=generator).norm(dim=1, keepdim=True)
    directions: Tensor = torch.cat(blocks)[:count] * lengths
    return directions


class FastCrossAttention(nn.Module):
    """FAVOR+ from query tokens [B, Q, 256] to context tokens [B, K, 256] -> [B, Q, 256].

    It has LayerNorm on both sides, 8 heads of 64, projections without bias and one output
    layer. The random directions are drawn once from a fixed seed and stored with the weights.

    window: length of the causal form, in frames of the tokens. Tokens are then [B, T, Q, 256]
    and [B, T, K, 256], and a query sees the keys up to its own frame
    (:func:`linear_attention`).
    """

    directions: Tensor

    def __init__(self, window: int | None = None) -> None:
        super().__init__()
        self.window = window
        inner = HEADS * HEAD_WIDTH
        self.query_norm, self.context_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key, self.value = (nn.Linear(WIDTH, inner, bias=False) for _ in range(3))
        self.out = nn.Linear(inner, WIDTH)
        count = int(HEAD_WIDTH * math.log(HEAD_WIDTH))
        directions = orthogonal_directions(count, HEAD_WIDTH, torch.Generator().manual_seed(0))
        self.register_buffer("directions", directions)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Return what the queries see, in the shape of the queries."""
        context = self.context_norm(context)
        query = self._features(self._heads(self.query(self.query_norm(tokens))), (-1,))
        # One stabilizer for all keys of a head: it must cancel between sum and normalizer. Of keys
        # that are still to come none is known, and none is needed: what is raised is at most half
        # the square of the longest direction, of which float32 holds any sum.
        over = (-1, -2) if self.window is None else ()
        key = self._features(self._heads(self.key(context)), over)
        mixed = linear_attention(query, key, self._heads(self.value(context)), self.window)
        out: Tensor = self.out(mixed.movedim(1, -2).flatten(-2))
        return out

    def deploy(self) -> DeployedCrossAttention:
        """Return the deployed form; it takes tokens and context that are normalized already."""
        query, key = self._folded_query_key()
        value = _behind(self.context_norm, self.value)
        directions = self.directions.T.clone()
        return DeployedCrossAttention(query, key, value, self.out, directions, self.window)

    def deploy_axis(self, head: nn.Linear) -> DeployedAxisAttention:
        """Return the deployed form of the mean over all tokens, followed by ``head``."""
        query, key = self._folded_query_key()
        value, out = _behind(self.context_norm, self.value), self.out
        # The product of three matrices, in float64: each head's values have their own columns.
        after = head.weight.double() @ out.weight.double()
        of_heads = after.view(-1, HEADS, HEAD_WIDTH).transpose(0, 1)  # [H, O, 64]
        weight = of_heads @ value.weight.double().view(HEADS, HEAD_WIDTH, WIDTH)
        bias = after @ value.bias.double() + head.weight.double() @ out.bias.double()
        joined = weight.transpose(0, 1).flatten(1).to(head.weight)
        return DeployedAxisAttention(
            query, key, linear(joined, bias + head.bias.double()), self.directions.T.clone()
        )

    def _folded_query_key(self) -> tuple[nn.Linear, nn.Linear]:
        scale = HEAD_WIDTH**-0.25
        return (
            _behind(self.query_norm, self.query, scale),
            _behind(self.context_norm, self.key, scale),
        )

    @staticmethod
    def _heads(x: Tensor) -> Tensor:
        """[B, ..., N, 512] -> [B, H, ..., N, 64]."""
        return x.view(*x.shape[:-1], HEADS, HEAD_WIDTH).movedim(-2, 1)

    def _features(self, x: Tensor, over: tuple[int, ...]) -> Tensor:
        """phi(x) for x [..., N, 64] -> [..., N, m], divided by its largest over axes, if any."""
        x = x * HEAD_WIDTH**-0.25
        exponent = x @ self.directions.T
        # The largest is a constant that cancels: no gradient need flow through it.
        largest = exponent.amax(over, keepdim=True).detach() if over else 0.0
        scale = len(self.directions) ** -0.5
        raised = torch.exp(exponent - x.square().sum(-1, keepdim=True) / 2 - largest)
        features: Tensor = scale * (raised + STABLE)
        return features


class InteractiveBranch(nn.Module):
    """BHaRNet-E's interactive branch: look at the other expert's features, then classify.

    A token is one joint in one frame. Each token of an instance attends to the tokens of the
    other branch's instance with the same number. Where the branches have different numbers of
    instances (one body, two hands), it attends to the tokens of all of them.

    window: length of the causal form, in frames of the features. A token then sees the frames
    so far, and the head classifies their running mean.
    """

    def __init__(self, classes: int, dropout: float = 0.0, window: int | None = None) -> None:
        super().__init__()
        self.window = window
        self.attention = FastCrossAttention(window)
        self.norm = nn.LayerNorm(WIDTH)
        self.hidden, self.project = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, features: Tensor, other: Tensor) -> Tensor:
        """Return logits [N, classes] of features and other [N, 256, T, M, V]."""
        tokens, context = tokens_of(features, other, by_frame=self.window is not None)
        seen = self.norm(tokens + self.attention(tokens, context))
        told = self.project(F.gelu(self.hidden(seen)))
        pooled = mean_token(told, features.shape[0], self.window)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits

    def deploy(self) -> DeployedInteractiveBranch:
        """Return the deployed form, with constants folded in."""
        weight = self.head.weight.double() @ self.project.weight.double()
        bias = self.head.weight.double() @ self.project.bias.double() + self.head.bias.double()
        head = linear(weight.to(self.head.weight), bias)
        hidden = _behind(self.norm, self.hidden)
        return DeployedInteractiveBranch(self.attention.deploy(), hidden, head)


class PooledAttention(nn.Module):
    """BHaRNet-P's attention of one branch to the other, along time, joints and instances.

    Each axis keeps its own tokens and pools the others. So an instance has T + V + M tokens
    instead of T * V.

    window: length of the causal form, in frames of the features. It attends to the last
    ``window`` tokens of time, and to running means of joints and instances
    (:func:`pooled_tokens`).
    """

    def __init__(self, window: int | None = None) -> None:
        super().__init__()
        self.window = window
        self.time, self.joints, self.instances = (FastCrossAttention() for _ in range(3))

    def forward(self, features: Tensor, other: Tensor) -> Tensor:
        """Return the sum [N, 256] of each axis's mean, of features and other [N, 256, T, M, V]."""
        axes = self.time, self.joints, self.instances
        both = (pooled_tokens(x, self.window) for x in (features, other))
        seen = [axis(tokens, context) for axis, tokens, context in zip(axes, *both, strict=True)]
        return torch.stack([tokens.mean(1) for tokens in seen]).sum(0)

    def deploy(self, head: nn.Linear) -> DeployedPooledAttention:
        """Return the deployed form, with constants and the classifier ``head`` folded in."""
        unbiased = linear(head.weight, torch.zeros_like(head.bias))
        return DeployedPooledAttention(
            self.time.deploy_axis(head),
            self.joints.deploy_axis(unbiased),
            self.instances.deploy_axis(unbiased),
            self.window,
        )


def _behind(norm: nn.LayerNorm, layer: nn.Linear, scale: float = 1.0) -> nn.Linear:
    """``scale`` times ``layer``, with the weights of the LayerNorm before it folded in."""
    weight = layer.weight.double() * scale
    bias = weight @ norm.bias.double()
    if layer.bias is not None:
        bias = bias + layer.bias.double() * scale
    return linear((weight * norm.weight.double()).to(layer.weight), bias)
