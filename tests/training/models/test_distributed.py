from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bhar_training.data.augment import AugmentConfig
from bhar_training.data.batches import training_batches
from bhar_training.data.clip_set import ClipSet
from bhar_training.models.distributed import GlobalBatchNorm1d, GlobalBatchNorm2d, share_of
from bharsdk.bundle.feature_config import FeatureConfig


def free_port() -> str:
    """A port of this machine on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


@pytest.mark.parametrize(("count", "processes"), [(8, 2), (7, 3), (2, 2), (1, 3)])
def test_shares_are_everything_once(count: int, processes: int) -> None:
    """In order; none is larger than another by more than one."""
    shares = [share_of(count, rank, processes) for rank in range(processes)]
    assert [i for share in shares for i in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_shares_of_a_batch_are_the_batch(clips: ClipSet) -> None:
    """Each process makes its clips only, and as one process would have made them."""
    settings = (clips.classes, FeatureConfig(frames=6), AugmentConfig(), 8, "-", (0, 3), 16)
    whole = list(training_batches(clips, *settings))
    shares = [list(training_batches(clips, *settings, (rank, 3))) for rank in range(3)]
    assert [len(batch[0][1]) for batch in shares] == [2, 3, 3]
    for expected, *parts in zip(whole, *shares, strict=True):
        for name in ("body", "hands"):
            joined = torch.cat([inputs[name] for inputs, _ in parts])
            torch.testing.assert_close(joined, expected[0][name])
        torch.testing.assert_close(torch.cat([target for _, target in parts]), expected[1])


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_one_process_it_is_batch_norm(dims: int, dtype: torch.dtype) -> None:
    """Outputs, gradients and running statistics, also of values far from zero."""
    torch.manual_seed(0)
    ours = (GlobalBatchNorm1d if dims == 1 else GlobalBatchNorm2d)(4)
    torch.nn.init.normal_(ours.weight)
    theirs = (torch.nn.BatchNorm1d if dims == 1 else torch.nn.BatchNorm2d)(4)
    theirs.load_state_dict(ours.state_dict())
    x = (torch.randn(3, 4, *[5] * dims) + 20).to(dtype)
    weights, found = torch.randn(x.shape), []
    for layer in (ours, theirs):
        given = x.clone().requires_grad_()
        out = layer(given)
        (out * weights).sum().backward()
        found.append((out, given.grad, layer.weight.grad, layer.bias.grad, *layer.buffers()))
    limit = 1e-4 if dtype is torch.float32 else 3e-2
    for got, expected in zip(*found, strict=True):
        assert got.dtype == expected.dtype
        torch.testing.assert_close(got, expected, rtol=limit, atol=limit)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=limit, atol=limit)


def test_layers_of_two_processes_see_the_whole_batch() -> None:
    """Outputs, gradients and running statistics of uneven shares, to ten digits."""
    script = Path(__file__).with_name("whole_batch.py")
    result = subprocess.run(
        [sys.executable, str(script), free_port()],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["equal", "equal"]
