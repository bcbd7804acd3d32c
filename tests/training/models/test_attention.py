from __future__ import annotations

import pytest
import torch

from bhar_training.models import attention
from bhar_training.models.attention import (
    FastCrossAttention,
    InteractiveBranch,
    PooledAttention,
    orthogonal_directions,
)
from bhar_training.models.deployed_attention import pooled_tokens


def _softmax_attention(
    layer: FastCrossAttention, tokens: torch.Tensor, context: torch.Tensor
) -> torch.Tensor:
    """What FAVOR+ approximates: every query against every key."""
    context = layer.context_norm(context)
    query = layer._heads(layer.query(layer.query_norm(tokens)))
    key, value = layer._heads(layer.key(context)), layer._heads(layer.value(context))
    weights = (query @ key.transpose(-1, -2) / 8).softmax(-1)
    out: torch.Tensor = layer.out((weights @ value).transpose(1, 2).flatten(2))
    return out


@torch.no_grad()
def test_favor_approximates_softmax_attention() -> None:
    """Nearer with more random directions; with many, within a few per cent."""
    torch.manual_seed(0)
    layer = FastCrossAttention()
    # The variance grows with exp(|q + k|^2): as large as a trained layer has it.
    layer.query.weight.mul_(0.7)
    layer.key.weight.mul_(0.7)
    tokens, context = torch.randn(2, 40, 256), torch.randn(2, 30, 256)
    expected = _softmax_attention(layer, tokens, context)
    uniform = layer.out(
        layer._heads(layer.value(layer.context_norm(context)))
        .mean(2, keepdim=True)
        .expand(-1, -1, 40, -1)
        .transpose(1, 2)
        .flatten(2)
    )
    errors = []
    for count in (16, 266, 8192):
        layer.directions = orthogonal_directions(count, 64, torch.Generator().manual_seed(1))
        errors.append(float((layer(tokens, context) - expected).norm()))
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.05 * float(expected.norm())
    # Far nearer than the mean of the values would be: it does attend.
    assert errors[2] < float((uniform - expected).norm()) / 3


@torch.no_grad()
def test_directions_of_a_block_are_orthogonal() -> None:
    """64 at a time; drawn from a fixed seed, so two layers have the same."""
    found = orthogonal_directions(100, 64, torch.Generator().manual_seed(3))
    assert found.shape == (100, 64)
    block = torch.nn.functional.normalize(found[:64], dim=1)
    torch.testing.assert_close(block @ block.T, torch.eye(64), rtol=0, atol=1e-5)
    torch.testing.assert_close(FastCrossAttention().directions, FastCrossAttention().directions)


@torch.no_grad()
def test_large_tokens_stay_finite() -> None:
    """The exponent is taken relative to its largest."""
    layer = FastCrossAttention()
    layer.query.weight.mul_(100)
    layer.key.weight.mul_(100)
    assert layer(torch.randn(1, 5, 256), torch.randn(1, 7, 256)).isfinite().all()


def test_attention_gradients_are_right() -> None:
    """Against finite differences, through the stabilized exponent."""
    torch.manual_seed(0)
    layer = FastCrossAttention().double()
    tokens = torch.randn(1, 2, 256, dtype=torch.float64)
    context = torch.randn(1, 3, 256, dtype=torch.float64)
    found = torch.autograd.grad(layer(tokens, context).sum(), list(layer.parameters()))
    direction = [torch.randn_like(p) for p in layer.parameters()]
    step = 1e-6
    sums = []
    for sign in (1, -1):
        with torch.no_grad():
            for p, d in zip(layer.parameters(), direction, strict=True):
                p.add_(sign * step * d)
            sums.append(float(layer(tokens, context).sum()))
            for p, d in zip(layer.parameters(), direction, strict=True):
                p.sub_(sign * step * d)
    along = sum(float((g * d).sum()) for g, d in zip(found, direction, strict=True))
    assert abs((sums[0] - sums[1]) / (2 * step) - along) < 1e-4 * max(1.0, abs(along))


@torch.no_grad()
def test_instances_attend_to_their_number_or_to_all() -> None:
    """Two persons and their two hands stay apart; one body sees both hands."""
    torch.manual_seed(0)
    branch = InteractiveBranch(4).eval()
    two, other = torch.randn(1, 256, 3, 2, 5), torch.randn(1, 256, 3, 2, 6)
    swapped = branch(two.flip(3), other.flip(3))
    torch.testing.assert_close(branch(two, other), swapped, rtol=1e-4, atol=1e-5)
    assert (branch(two, other.flip(3)) - swapped).abs().max() > 1e-5
    one = two[:, :, :, :1]
    torch.testing.assert_close(branch(one, other), branch(one, other.flip(3)), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_causal_attention_of_a_frame_is_that_of_the_frames_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Up to the window: what clips divide keys by cancels. No frame sees a later one."""
    monkeypatch.setattr(attention, "STABLE", 0.0)  # is added after the division
    torch.manual_seed(0)
    causal, clip = FastCrossAttention(window=4).double(), FastCrossAttention().double()
    clip.load_state_dict(causal.state_dict())
    tokens = torch.randn(2, 7, 5, 256, dtype=torch.float64)
    context = torch.randn(2, 7, 3, 256, dtype=torch.float64)
    found = causal(tokens, context)
    for t in range(4):
        expected = clip(tokens[:, t], context[:, : t + 1].flatten(1, 2))
        torch.testing.assert_close(found[:, t], expected)
    changed = context.clone()
    changed[:, 5] = torch.randn(2, 3, 256, dtype=torch.float64)
    later = causal(tokens, changed)
    torch.testing.assert_close(later[:, :5], found[:, :5])
    assert (later[:, 5:] - found[:, 5:]).abs().amax((0, 2, 3)).min() > 1e-4


@torch.no_grad()
def test_large_tokens_of_a_stream_stay_finite() -> None:
    """No key is raised beyond what float32 holds, however large."""
    layer = FastCrossAttention(window=3)
    for factor in (4, 25):
        layer.query.weight.mul_(factor)
        layer.key.weight.mul_(factor)
        assert layer(torch.randn(1, 5, 4, 256), torch.randn(1, 5, 6, 256)).isfinite().all()


@torch.no_grad()
def test_causal_pooled_attention_is_that_of_a_clip_up_to_the_window() -> None:
    """And beyond it, no longer: time forgets what joints and instances still have a part of."""
    torch.manual_seed(0)
    causal, clip = PooledAttention(window=4).double(), PooledAttention().double()
    clip.load_state_dict(causal.state_dict())
    own = torch.randn(2, 256, 6, 1, 5, dtype=torch.float64)
    other = torch.randn(2, 256, 6, 2, 7, dtype=torch.float64)
    for t in range(1, 5):
        parts = own[:, :, :t], other[:, :, :t]
        torch.testing.assert_close(causal(*parts), clip(*parts))
    assert (causal(own, other) - clip(own, other)).abs().max() > 1e-4
    first = other.clone()
    first[:, :, 0] += torch.randn(2, 256, 2, 7)
    time, joints, _ = pooled_tokens(other, 4)
    changed = pooled_tokens(first, 4)
    torch.testing.assert_close(changed[0], time)
    assert (changed[1] - joints).abs().max() > 1e-4


@torch.no_grad()
def test_pooled_attention_takes_any_lengths() -> None:
    """Streams may differ in frames, joints and instances."""
    found = PooledAttention()(torch.randn(2, 256, 3, 1, 5), torch.randn(2, 256, 4, 2, 7))
    assert found.shape == (2, 256)
    assert found.isfinite().all()


def _with_every_constant(module: torch.nn.Module) -> torch.nn.Module:
    """In float64, its norms and biases no longer at their start."""
    torch.manual_seed(0)
    for name, parameter in module.named_parameters():
        if "norm" in name or name.endswith("bias"):
            parameter.data += 0.2 * torch.randn(parameter.shape)
    return module.double().eval()


@torch.no_grad()
@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("instances", [(1, 2), (2, 2), (2, 1)])
def test_deployed_attention_is_the_same_function(
    instances: tuple[int, int], window: int | None
) -> None:
    """In float64 to the last digits: folding leaves nothing out."""
    own, other = (torch.randn(2, 256, 5, m, 5 + m, dtype=torch.float64) for m in instances)
    head = _with_every_constant(torch.nn.Linear(256, 4))
    assert isinstance(head, torch.nn.Linear)
    pooled = _with_every_constant(PooledAttention(window))
    assert isinstance(pooled, PooledAttention)
    torch.testing.assert_close(pooled.deploy(head)(own, other), head(pooled(own, other)))
    branch = _with_every_constant(InteractiveBranch(4, window=window))
    assert isinstance(branch, InteractiveBranch)
    torch.testing.assert_close(branch.deploy()(own, other), branch(own, other))
