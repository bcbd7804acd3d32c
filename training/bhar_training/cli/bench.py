"""``bhar-train bench``: training speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bharsdk.cli.command import Command
from bharsdk.cli.numbers import THREADS
from bharsdk.values.declared import Help, Range

__all__ = ["COMMAND", "Bench", "run"]


@dataclass(frozen=True)
class Bench:
    """The options of ``bhar-train bench``."""

    batch: Annotated[int, Range(1, 4096, "clips"), Help("in a batch")] = 4
    threads: Annotated[int, THREADS, Help("cores")] = 1


def run(arguments: Bench) -> None:
    """Measure both forms, and print a table."""
    import torch

    from bhar_training.paper.bench import bench

    torch.set_num_threads(arguments.threads)
    print(f"{'DeGCN single stream (3, 64, 25, 2)':36}{'ours':>8}{'public':>8}{'ratio':>7}")
    for row in bench(arguments.batch):
        print(f"{row.what + ', clips/s':36}{row.fast:8.2f}{row.public:8.2f}{row.ratio:7.2f}")


COMMAND = Command(
    Bench,
    run,
    "Clips a second on this machine, both forms in turn, float32, medians.",
    preload=("torch",),
)
