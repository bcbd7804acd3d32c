"""Losses of body-and-hand models."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["complementary_loss", "exact"]


def exact(logits: Tensor) -> Tensor:
    """Logits of bfloat16 as float32, others as they are."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def complementary_loss(
    streams: tuple[Tensor, ...], target: Tensor, weights: tuple[float, ...], smoothing: float
) -> Tensor:
    """Cross-entropy of the fused logits and of each stream, weighted and summed; scalar.

    L = lambda_cpl CE(fused) + lambda_B CE(body) + lambda_H CE(hand). streams: (fused, parts...),
    each [N, classes]; target: [N]. (BHaRNet, complementary loss)
    """
    total = weights[0] * F.cross_entropy(exact(streams[0]), target, label_smoothing=smoothing)
    for logits, weight in zip(streams[1:], weights[1:], strict=False):
        total = total + weight * F.cross_entropy(exact(logits), target, label_smoothing=smoothing)
    return total
