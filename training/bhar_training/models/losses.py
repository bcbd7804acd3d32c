"""Losses of body-and-hand models."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["complementary_loss", "exact"]


def exact(logits: Tensor) -> Tensor:
    """Return logits of bfloat16 as float32, others unchanged."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def complementary_loss(
    branches: tuple[Tensor, ...], target: Tensor, weights: tuple[float, ...], smoothing: float
) -> Tensor:
    """Return the weighted sum of the cross-entropies of the fused logits and of each branch.

    L = lambda_cpl CE(fused) + lambda_B CE(body) + lambda_H CE(hand). branches: (fused, parts...),
    each [N, classes]. target: class indices [N]. (BHaRNet, complementary loss)
    """
    total = weights[0] * F.cross_entropy(exact(branches[0]), target, label_smoothing=smoothing)
    for logits, weight in zip(branches[1:], weights[1:], strict=False):
        total = total + weight * F.cross_entropy(exact(logits), target, label_smoothing=smoothing)
    return total
