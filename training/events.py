"""The curves as TensorBoard event files, where tensorboard is installed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

from bhar_training.run_folder import EpochRow

__all__ = ["event_files"]

CURVES = ("loss", "train_top1", "validation_top1", "lr")


@contextlib.contextmanager
def event_files(folder: Path, done: int) -> Iterator[Callable[[EpochRow], None]]:
    """Gives what writes one epoch to ``folder``; epochs after ``done`` there count no more.

    Without tensorboard it writes nothing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        yield lambda row: None
        return
    writer: SummaryWriter | None = None

    def show(row: EpochRow) -> None:
        nonlocal writer
        if writer is None:  # a finished run that is asked to go on leaves no empty file
            writer = SummaryWriter(str(folder), purge_step=done + 1)
        for name in CURVES:
            value = getattr(row, name)
            if not math.isnan(value):
                writer.add_scalar(name, value, row.epoch)
        writer.flush()

    try:
        yield show
    finally:
        if writer is not None:
            writer.close()
