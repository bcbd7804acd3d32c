from __future__ import annotations

import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bhar_training.training.run_folder import EpochRow
from bhar_training.training.tensorboard import event_files

ROW = EpochRow(1, 1.5, 0.25, math.nan, 1e-3, 2.0)


def test_the_curves_are_event_files_too(tmp_path: Path) -> None:
    """An epoch that a stopped run wrote and a resumed one repeats counts once."""
    reason = "tensorboard is not installed: pip install 'bharsdk[dev]'"
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason=reason
    )
    with event_files(tmp_path, 0) as show:
        show(ROW)
        show(replace(ROW, epoch=2, loss=9.0, validation_top1=0.5))
    time.sleep(1.1)  # files are read in the order of the second in which they were begun
    with event_files(tmp_path, 1) as show:
        show(replace(ROW, epoch=2, loss=1.0, validation_top1=0.75))
    events = reader.EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "train_top1", "validation_top1", "lr"}
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 1.5), (2, 1.0)]
    assert [(e.step, e.value) for e in events.Scalars("validation_top1")] == [(2, 0.75)]


def test_without_tensorboard_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing fails: the package is optional."""
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with event_files(tmp_path, 0) as show:
        show(ROW)
    assert not list(tmp_path.iterdir())
