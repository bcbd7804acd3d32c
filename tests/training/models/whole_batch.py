"""Two processes, each with its share of a batch, against one layer on all of it; float64.

A script, so that the processes it starts can import what they run.
"""

from __future__ import annotations

import os
import sys

import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor, nn

from bhar_training.models.distributed import share_of, synchronized

BATCH, PROCESSES = 5, 2
"""Shares of 2 and 3."""


class Layers(nn.Module):
    """Both kinds of BatchNorm and dropout, in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm1d(3)
        self.rest = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.4))

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, 3, T, 1]."""
        out: Tensor = self.rest(self.first(x[..., 0])[..., None].tanh())
        return out


def trained(mine: slice, layers: nn.Module) -> dict[str, Tensor]:
    """What a share of the batch gives: its outputs and input gradients, all buffers."""
    torch.manual_seed(1)
    x = (100 + torch.randn(BATCH, 3, 6, 1, dtype=torch.float64))[mine].requires_grad_()
    weights = torch.randn(BATCH, 4, 6, 1, dtype=torch.float64)[mine]
    torch.manual_seed(2)  # of dropout
    out = layers(x)
    (out * weights).sum().backward()
    assert x.grad is not None
    found = {"out": out.detach(), "grad": x.grad}
    found |= {name: p.grad for name, p in layers.named_parameters() if p.grad is not None}
    return found | dict(layers.named_buffers())


def fresh() -> nn.Module:
    """The same weights everywhere."""
    torch.manual_seed(0)
    return Layers().double().train()


def check(rank: int) -> None:
    """One process: its share is that of the whole, parameter gradients add up to the whole's."""
    torch.distributed.init_process_group("gloo", rank=rank, world_size=PROCESSES)
    whole = trained(slice(None), fresh())
    layers = fresh()
    synchronized(layers)
    assert layers.state_dict().keys() == fresh().state_dict().keys()
    share = share_of(BATCH, rank, PROCESSES)
    mine = slice(share.start, share.stop)
    found = trained(mine, layers)
    for name, _ in layers.named_parameters():
        torch.distributed.all_reduce(found[name])
    for name, value in whole.items():
        expected = value[mine] if name in ("out", "grad") else value
        torch.testing.assert_close(found[name], expected, rtol=1e-10, atol=1e-12)
    torch.distributed.destroy_process_group()
    print("equal\n", end="", flush=True)  # in one write: two processes print at once


if __name__ == "__main__":
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": sys.argv[1]}
    torch.multiprocessing.spawn(check, nprocs=PROCESSES)
