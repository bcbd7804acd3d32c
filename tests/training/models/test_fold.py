"""Convolutions side by side compute what each of them does."""

from __future__ import annotations

import pytest
import torch

from bhar_training.models.fold import one_by_one, side_by_side

GROUPS, COUNT, INPUTS, OUTPUTS = 4, 3, 8, 12


@pytest.mark.parametrize("inputs_too", [False, True])
@torch.no_grad()
def test_side_by_side_they_compute_the_same_and_come_apart_again(inputs_too: bool) -> None:
    torch.manual_seed(0)
    convs = [torch.nn.Conv2d(INPUTS, OUTPUTS, 1, groups=GROUPS) for _ in range(COUNT)]
    xs = [torch.randn(2, INPUTS, 5, 6) for _ in convs] if inputs_too else [torch.randn(2, 8, 5, 6)]
    together = torch.stack([x.view(2, GROUPS, -1, 5, 6) for x in xs], 2).flatten(1, 3)
    got = side_by_side(convs, inputs_too=inputs_too)(together)
    of_each = got.view(2, GROUPS, COUNT, -1, 5, 6).transpose(1, 2).flatten(2, 3)
    for k, conv in enumerate(convs):
        expected = conv(xs[k if inputs_too else 0])
        torch.testing.assert_close(of_each[:, k], expected)
    apart = one_by_one(side_by_side(convs, inputs_too=inputs_too), COUNT, inputs_too=inputs_too)
    for conv, again in zip(convs, apart, strict=True):
        torch.testing.assert_close(again.weight, conv.weight, rtol=0, atol=0)
        torch.testing.assert_close(again.bias, conv.bias, rtol=0, atol=0)
        assert again.groups == GROUPS
