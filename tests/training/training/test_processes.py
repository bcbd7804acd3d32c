from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bhar_training.cli import main
from bhar_training.data.clip_set import ClipSet
from bhar_training.models import ModelConfig, ModelName
from bhar_training.training.config import TrainConfig
from bhar_training.training.processes import Devices
from bhar_training.training.trainer import fit
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import IncompatibleError, UsageError

WORDS = str(Path(__file__).parents[2] / "data" / "words.npz")
CONFIG = TrainConfig(
    ModelConfig(ModelName.PR_GCN, dropout=0.2),
    FeatureConfig(frames=6),
    epochs=2,
    draws=0,
    batch_size=7,
    validation=0.2,
)
"""Seven clips do not part evenly."""


def _curves(run: Path) -> list[list[float]]:
    """All columns but the seconds."""
    with (run / "curves.csv").open(newline="") as file:
        return [[float(value) for value in row[:-1]] for row in list(csv.reader(file))[1:]]


def test_two_processes_train_as_one_does(clips: ClipSet, tmp_path: Path) -> None:
    """The same batch, the same curves, the same weights; one can go on where two have stopped."""
    one, two = tmp_path / "one", tmp_path / "two"
    expected = fit(clips, CONFIG, one, trained_on="words.npz")
    found = fit(clips, CONFIG, two, trained_on="words.npz", devices=Devices("cpu", 2))
    assert found == replace(expected, metrics=found.metrics)
    assert "MASTER_PORT" not in os.environ
    for row, wanted in zip(_curves(two), _curves(one), strict=True):
        assert row == pytest.approx(wanted, rel=3e-4)
    weights, wanted = (load_file(run / "checkpoint/model.safetensors") for run in (two, one))
    assert weights.keys() == wanted.keys()
    # Not biases before a BatchNorm: their gradient is rounding, of which Adam makes whole steps.
    for name in (name for name in wanted if not name.endswith("bias")):
        assert float((weights[name].double() - wanted[name].double()).abs().mean()) < 3e-4, name
    again = fit(clips, CONFIG, two, trained_on="words.npz", resume=True)
    assert again == found


def test_an_error_of_a_process_ends_the_command_as_ever(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own exit code and one line."""
    (tmp_path / "config.json").write_text("{}")
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(tmp_path)]
    assert main([*command, "--accelerator", "cpu", "--devices", "2"]) == 2
    error = capsys.readouterr().err
    assert "holds a run already" in error
    assert "Traceback" not in error


def test_every_process_needs_a_clip_of_each_batch(clips: ClipSet, tmp_path: Path) -> None:
    """Said before anything is started or written."""
    with pytest.raises(UsageError, match="got 8 for batches of 7 clips, expected a clip for each"):
        fit(clips, CONFIG, tmp_path / "run", trained_on="words.npz", devices=Devices("cpu", 8))
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_torchrun_starts_the_same_training(tmp_path: Path) -> None:
    """Its processes share the batch and one of them writes and speaks."""
    options = ["--model", "pr-gcn", "--data", WORDS, "--epochs", "1", "--draws", "0"]
    options += ["--signers", "s1", "--accelerator", "cpu", "--threads", "1"]
    assert main(["fit", *options, "--out", str(tmp_path / "one")]) == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "bhar_training.cli", "fit", *options]
    result = subprocess.run(
        [*command, "--out", str(tmp_path / "two")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("24 clips, 6 labels") == 1
    (row,), (wanted,) = _curves(tmp_path / "two"), _curves(tmp_path / "one")
    assert row == pytest.approx(wanted, rel=1e-4)


def test_devices_that_are_not_there_are_refused(clips: ClipSet, tmp_path: Path) -> None:
    """More GPUs than the machine has; a kind of device that nobody knows."""
    too_many = Devices("cuda", torch.cuda.device_count() + 1)
    with pytest.raises(IncompatibleError, match="this machine has"):
        fit(clips, CONFIG, tmp_path / "run", trained_on="words.npz", devices=too_many)
    for bad in (("tpu", 1), ("cpu", 0)):
        with pytest.raises(UsageError, match="expected at least 1 of auto, cpu, cuda"):
            Devices(*bad)
    assert not (tmp_path / "run").exists()
