"""Measure the training speed of the fast form of DeGCN beside its public form, in one run."""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import dataclass

import torch

from bhar_training.console.progress import progress_bar
from bhar_training.models.degcn import DeGCN
from bhar_training.models.degcn_reference import plain_form
from bharsdk.landmarks.skeleton import NTU25

__all__ = ["BenchRow", "bench"]

CLIP, CLASSES = (3, 64, 25, 2), 120
"""The input of the paper: coordinates, frames, joints, persons."""


@dataclass(frozen=True)
class BenchRow:
    """Clips a second, medians."""

    what: str
    fast: float
    public: float

    @property
    def ratio(self) -> float:
        """Return how many times faster the fast form is."""
        return self.fast / self.public


def bench(batch: int = 4, repeats: int = 10) -> list[BenchRow]:
    """Time forward, then forward and backward, in training mode; the two forms take turns."""
    torch.manual_seed(0)
    fast = DeGCN(NTU25, CLIP[0], CLIP[3], CLASSES).train()
    forms = {"fast": fast, "public": plain_form(copy.deepcopy(fast))}
    x, truth = torch.randn(batch, *CLIP), torch.randint(0, CLASSES, (batch,))
    rows = []
    for what, backward in (("forward", False), ("forward and backward", True)):
        seconds: dict[str, list[float]] = {name: [] for name in forms}
        for turn in progress_bar(range(repeats + 1), desc=what, leave=False):
            for name, model in forms.items():
                start = time.perf_counter()
                with torch.set_grad_enabled(backward):
                    loss = torch.nn.functional.cross_entropy(model(x), truth)
                if backward:
                    loss.backward()  # type: ignore[no-untyped-call]
                if turn:  # the first one warms up
                    seconds[name].append(time.perf_counter() - start)
        rate = {name: batch / statistics.median(times) for name, times in seconds.items()}
        rows.append(BenchRow(what, rate["fast"], rate["public"]))
    return rows
