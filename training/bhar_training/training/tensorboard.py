"""The curves as TensorBoard event files, where tensorboard is installed."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from bhar_training.training.run_folder import EpochRow

__all__ = ["event_files"]

CURVES = ("loss", "train_top1", "validation_top1", "lr")


@contextlib.contextmanager
def event_files(folder: Path, done: int) -> Iterator[Callable[[EpochRow], None]]:
    """Yield a function that writes one epoch into ``folder``; drop epochs there after ``done``.

    The function does nothing when tensorboard is not installed. An error of tensorboard, such
    as a full disk, ends the events with a warning; training goes on.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        yield lambda row: None
        return
    writer: SummaryWriter | None = None
    failed = False

    def write(row: EpochRow) -> None:
        nonlocal writer
        if writer is None:  # a finished run that is asked to go on leaves no empty file
            writer = SummaryWriter(str(folder), purge_step=done + 1)
        for name in CURVES:
            value = getattr(row, name)
            if not math.isnan(value):
                writer.add_scalar(name, value, row.epoch)
        writer.flush()

    def show(row: EpochRow) -> None:
        nonlocal failed
        if failed:
            return
        try:
            write(row)
        except Exception as error:  # whatever tensorboard raises: the checkpoint matters
            failed = True
            warnings.warn(f"{folder}: no more events are written ({error})", stacklevel=2)

    try:
        yield show
    finally:
        if writer is not None:
            # A writer that failed has its file still open, and complains again.
            with contextlib.suppress(Exception):
                writer.close()
