"""``bhar-train bench``: training speed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bhar_training.cli.options import EXIT_CODES
from bharsdk.cli.numbers import threads, whole

if TYPE_CHECKING:
    from bhar_training.cli.options import Commands

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """Declare its options."""
    parser = commands.add_parser(
        "bench",
        help="training speed of DeGCN against its public form",
        description="Clips a second on this machine, both forms in turn, float32, medians.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(run=run, when_interrupted="interrupted")
    parser.add_argument("--batch", type=whole(1, 4096), default=4, metavar="N", help="clips (4)")
    parser.add_argument("--threads", type=threads, default=1, metavar="N", help="cores (1)")


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    import torch

    from bhar_training.paper.bench import bench

    torch.set_num_threads(arguments.threads)
    print(f"{'DeGCN single stream (3, 64, 25, 2)':36}{'ours':>8}{'public':>8}{'ratio':>7}")
    for row in bench(arguments.batch):
        print(f"{row.what + ', clips/s':36}{row.fast:8.2f}{row.public:8.2f}{row.ratio:7.2f}")
