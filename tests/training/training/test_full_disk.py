"""A disk that is full, before or while training, costs no checkpoint that was there."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bhar_training.checkpoint import load_checkpoint
from bhar_training.cli import main
from bhar_training.data.clip_set import ClipSet
from bhar_training.data.extract import Job, extract
from bhar_training.evaluation.metrics import Report
from bhar_training.evaluation.plots import plot_curves
from bhar_training.evaluation.report_files import write_confusion, write_recalls
from bhar_training.models import ModelConfig, ModelName
from bhar_training.paper.results import Results, save_results
from bhar_training.training import run_folder, trainer
from bhar_training.training.config import TrainConfig
from bhar_training.training.run_folder import EpochRow
from bhar_training.training.tensorboard import event_files
from bhar_training.training.trainer import fit
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import InputError
from bharsdk.landmarks.landmarks import LandmarkSequence

from ..conftest import WORDS

CONFIG = TrainConfig(
    ModelConfig(ModelName.PR_GCN),
    FeatureConfig(frames=6),
    epochs=2,
    draws=0,
    batch_size=6,
    validation=0.0,
)


@pytest.fixture
def shrink() -> Iterator[Callable[[int], None]]:
    """No file of this process grows beyond the bytes it is given, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


def test_a_disk_without_room_is_told_before_training(
    tmp_path: Path,
    shrink: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    error_line: Callable[[], str],
) -> None:
    """Exit code 3 and a line: not a traceback after minutes."""
    monkeypatch.setattr(trainer, "_train_epoch", pytest.fail)
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--signers", "s1"]
    shrink(50_000)
    assert main([*command, "--out", str(tmp_path / "run")]) == 3
    assert "cannot be written" in error_line()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


def test_a_disk_that_fills_up_keeps_the_checkpoint_of_the_epoch_before(
    clips: ClipSet,
    tmp_path: Path,
    shrink: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights and description of epoch 1 load; the error says so, and --resume goes on from it."""
    few, out, write = clips.take(range(0, 24, 4)), tmp_path / "run", run_folder.write_epoch

    def write_and_fill(*arguments: object) -> None:
        write(*arguments)  # type: ignore[arg-type]
        shrink(50_000)

    with monkeypatch.context() as patched:
        patched.setattr(trainer, "write_epoch", write_and_fill)
        with pytest.raises(InputError, match="cannot be written") as error:
            fit(few, CONFIG, out, trained_on="words.npz")
    said = f"{out / 'checkpoint'} holds epoch 1: make room, then --resume goes on"
    assert said in str(error.value) and "\n" not in str(error.value)
    checkpoint = load_checkpoint(out)
    state = run_folder.read_state(out, checkpoint.meta)
    assert state is not None and checkpoint.meta.epoch == state.epoch == 1
    for name, value in checkpoint.model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state.weights[name].numpy())
    assert not [path for path in out.rglob(".*") if path.is_file()]
    shrink(resource.RLIM_INFINITY)
    meta = fit(few, CONFIG, out, trained_on="words.npz", resume=True)
    assert meta.epoch == load_checkpoint(out).meta.epoch == 2


def test_curves_reports_and_results_leave_what_was_there(
    tmp_path: Path, shrink: Callable[[int], None]
) -> None:
    """Pictures, tables, JSON: an InputError, and the file of before."""
    report = Report(("-", "tea"), np.array([[3, 1], [0, 2]]), "-")
    (tmp_path / "curves.csv").write_text(
        "epoch,loss,train_top1,validation_top1,lr,seconds\n1,1.0,0.5,0.5,0.1,1.0\n"
    )
    writers: dict[str, Callable[[Path], None]] = {
        "a.png": lambda path: write_confusion(report, path),
        "b.png": lambda path: plot_curves(tmp_path / "curves.csv", path),
        "c.csv": lambda path: write_recalls(report, path),
        "d.json": lambda path: save_results(path, Results()),
    }
    shrink(10)
    for name, write in writers.items():
        path = tmp_path / name
        path.write_bytes(b"old")
        with pytest.raises(InputError, match=rf"{name}: cannot be written .* is as it was"):
            write(path)
        assert path.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {*writers, "curves.csv"}


def test_events_that_cannot_be_written_do_not_end_the_training(tmp_path: Path) -> None:
    """A warning, once; the files of TensorBoard are its own."""
    tensorboard = pytest.importorskip(
        "torch.utils.tensorboard", reason="needs the package tensorboard"
    )
    (tmp_path / "file").write_text("")
    row = EpochRow(1, 1.0, 0.5, 0.5, 0.1, 1.0)
    assert tensorboard.SummaryWriter
    with event_files(tmp_path / "file", 0) as show:
        with pytest.warns(UserWarning, match="no more events are written"):
            show(row)
        show(replace(row, epoch=2))


def test_extraction_says_how_many_clips_are_whole(
    tmp_path: Path,
    recording: LandmarkSequence,
    shrink: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And goes on when it is called again."""
    from bhar_training.data import extract as extraction

    jobs = [Job(Path(f"{name}.mp4"), "tea") for name in "ab"]

    def results(*_: object) -> Iterator[tuple[Job, LandmarkSequence]]:
        yield jobs[0], recording
        shrink(1000)
        yield jobs[1], recording

    monkeypatch.setattr(extraction, "_results", results)
    monkeypatch.setattr(extraction, "_require_camera_packages", lambda landmarker: None)
    with pytest.raises(InputError, match=r"1 clips of this call are whole, the same command goes"):
        extract(jobs, tmp_path)
    assert [path.name for path in (tmp_path / "tea").iterdir()] == ["a.bhar-session"]
