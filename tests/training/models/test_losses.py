from __future__ import annotations

import math

import pytest
import torch

from bhar_training.models.losses import complementary_loss

TARGET = torch.tensor([0, 1])


def test_streams_are_weighted_and_summed() -> None:
    """Even logits cost log 4 each: 1 x fused + 0.5 x body + 2 x hand."""
    streams = (torch.zeros(2, 4),) * 3
    loss = complementary_loss(streams, TARGET, (1.0, 0.5, 2.0), 0.0)
    assert loss.item() == pytest.approx(3.5 * math.log(4), rel=1e-6)


def test_a_model_of_one_stream_has_the_fused_loss_only() -> None:
    """Weights beyond its streams count nothing."""
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    loss = complementary_loss((logits,), TARGET, (1.0, 1.0, 1.0), 0.0)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-3)), rel=1e-5)


def test_smoothing_makes_certainty_cost() -> None:
    """With smoothing 0.1 over two classes the target is (0.95, 0.05)."""
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    loss = complementary_loss((logits,), TARGET, (1.0,), 0.1)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-3)) + 0.05 * 3, rel=1e-5)
