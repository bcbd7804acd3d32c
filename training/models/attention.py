"""Cross-attention between body and hand streams, linear in the number of tokens.

FAVOR+ (Choromanski et al., ICLR 2021): softmax attention by positive orthogonal random features.
With d the width of a head and omega m random directions, softmax(q.k) is near phi(q).phi(k) for
``phi(x) = exp(omega x - |x|^2 / 2) / sqrt(m)`` on inputs scaled by d^-1/4 (eq. 5, 7), so keys and
values are summed once instead of for every query.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bhar_training.models.backbone import WIDTH

__all__ = ["FastCrossAttention", "InteractiveBranch", "PooledAttention"]

HEADS, HEAD_WIDTH = 8, 64
STABLE = 1e-6
"""Added to every feature, so that no query divides by nothing."""


def orthogonal_directions(count: int, width: int, generator: torch.Generator) -> Tensor:
    """Blocks of orthogonal rows, each as long as a Gaussian vector: [count, width]."""
    blocks = []
    for _ in range(-(-count // width)):
        q, _ = torch.linalg.qr(torch.randn(width, width, generator=generator))
        blocks.append(q.T)
    lengths = torch.randn(count, width, generator=generator).norm(dim=1, keepdim=True)
    directions: Tensor = torch.cat(blocks)[:count] * lengths
    return directions


class FastCrossAttention(nn.Module):
    """FAVOR+ from query tokens [B, Q, 256] to context tokens [B, K, 256] -> [B, Q, 256].

    LayerNorm on both, 8 heads of 64, projections without bias, one output layer. The random
    directions are drawn once, from a fixed seed, and stored with the weights.
    """

    directions: Tensor

    def __init__(self) -> None:
        super().__init__()
        inner = HEADS * HEAD_WIDTH
        self.query_norm, self.context_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key, self.value = (nn.Linear(WIDTH, inner, bias=False) for _ in range(3))
        self.out = nn.Linear(inner, WIDTH)
        count = int(HEAD_WIDTH * math.log(HEAD_WIDTH))
        directions = orthogonal_directions(count, HEAD_WIDTH, torch.Generator().manual_seed(0))
        self.register_buffer("directions", directions)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """See the class."""
        context = self.context_norm(context)
        query = self._features(self._heads(self.query(self.query_norm(tokens))), (-1,))
        # One stabiliser for all keys of a head: it must cancel between sum and normaliser.
        key = self._features(self._heads(self.key(context)), (-1, -2))
        value = self._heads(self.value(context))
        summed = key.transpose(-1, -2) @ value  # [B, H, m, 64]
        normaliser = query @ key.sum(-2)[..., None]  # [B, H, Q, 1]
        mixed = (query @ summed) / normaliser
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    @staticmethod
    def _heads(x: Tensor) -> Tensor:
        b, tokens, _ = x.shape
        return x.view(b, tokens, HEADS, HEAD_WIDTH).transpose(1, 2)

    def _features(self, x: Tensor, over: tuple[int, ...]) -> Tensor:
        """phi(x) for x [B, H, N, 64] -> [B, H, N, m], divided by its largest over ``over``."""
        x = x * HEAD_WIDTH**-0.25
        exponent = x @ self.directions.T
        # The largest is a constant that cancels: no gradient need flow through it.
        largest = exponent.amax(over, keepdim=True).detach()
        scale = len(self.directions) ** -0.5
        raised = torch.exp(exponent - x.square().sum(-1, keepdim=True) / 2 - largest)
        features: Tensor = scale * (raised + STABLE)
        return features


class InteractiveBranch(nn.Module):
    """BHaRNet-E's second branch of a stream: look at the other stream, then classify.

    Every token (frame and joint) of an instance attends to those of the other stream's instance of
    the same number; where the streams have different numbers of instances (one body, two hands),
    to those of all of them.
    """

    def __init__(self, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention = FastCrossAttention()
        self.norm = nn.LayerNorm(WIDTH)
        self.hidden, self.project = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, features: Tensor, other: Tensor) -> Tensor:
        """features, other: [N, 256, T, M, V] -> logits [N, classes]."""
        n, _, _, m, _ = features.shape
        tokens, context = _tokens(features), _tokens(other)
        if other.shape[3] != m:
            context = context.reshape(n, 1, -1, WIDTH).expand(n, m, -1, WIDTH).flatten(0, 1)
        seen = self.norm(tokens + self.attention(tokens, context))
        told = self.project(F.gelu(self.hidden(seen)))
        pooled = told.reshape(n, -1, WIDTH).mean(1)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits


class PooledAttention(nn.Module):
    """BHaRNet-P's attention of one stream: to the other one along time, joints and instances.

    Each axis keeps its tokens and pools the others, so there are T + V + M tokens instead of T * V
    for each instance.
    """

    def __init__(self) -> None:
        super().__init__()
        self.time, self.joints, self.instances = (FastCrossAttention() for _ in range(3))

    def forward(self, features: Tensor, other: Tensor) -> Tensor:
        """features, other: [N, 256, T, M, V] -> [N, 256]: each axis's mean, summed."""
        axes = ((self.time, (3, 4)), (self.joints, (2, 3)), (self.instances, (2, 4)))
        seen = [
            attention(features.mean(pooled).transpose(1, 2), other.mean(pooled).transpose(1, 2))
            for attention, pooled in axes
        ]
        return torch.stack([tokens.mean(1) for tokens in seen]).sum(0)


def _tokens(features: Tensor) -> Tensor:
    """[N, 256, T, M, V] -> [N * M, T * V, 256]."""
    return features.permute(0, 3, 2, 4, 1).flatten(2, 3).flatten(0, 1)
