from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bhar_training.cli import main

DATA = Path(__file__).parents[2] / "data"
WORDS = str(DATA / "words.npz")


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be calibrated.

    After one epoch it takes everything for "-", so that counts as a sign here.
    """
    shutil.copytree(run, tmp_path / "copied")
    described = tmp_path / "copied/checkpoint/model.json"
    described.write_text(json.dumps({**json.loads(described.read_text()), "background": None}))
    return tmp_path / "copied"


def test_calibrate_stores_what_eval_applies(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Temperature and threshold in the checkpoint; the errors that both print are the same."""
    data = ["--data", WORDS, "--signers", "s2"]
    assert main(["calibrate", str(copied), *data, "--keep", "0.5"]) == 0
    printed = capsys.readouterr().out
    stored = json.loads((copied / "checkpoint/model.json").read_text())["calibration"]
    assert (stored["clips"], stored["keep"]) == (24, 0.5)
    assert f"temperature {stored['temperature']:.3f}" in printed
    assert f"rejects below {stored['reject_below']:.3f}" in printed
    before, after = (x.split()[3] for x in printed.splitlines() if "calibration error" in x)
    assert main(["eval", str(copied), *data]) == 0
    lines = capsys.readouterr().out.splitlines()
    (error,) = (x for x in lines if x.startswith("calibration error"))
    assert error.split()[2] == after
    assert f"({before} %" in error
    (accepted,) = (x for x in lines if x.startswith("accepted"))
    assert accepted.endswith(f"at {stored['reject_below']:.3f} or more")
    # Calibrated again: from the logits as they are, not as the stored temperature makes them.
    assert main(["calibrate", str(copied), *data, "--keep", "0.5"]) == 0
    assert capsys.readouterr().out == printed


def test_too_few_clips_leave_the_checkpoint_as_it_was(
    copied: Path, error_line: Callable[[], str]
) -> None:
    """Exit code 3 for three clips, 2 for a part that is none."""
    before = (copied / "checkpoint/model.json").read_bytes()
    assert main(["calibrate", str(copied), "--data", str(DATA / "frames")]) == 3
    assert "got 3 clips that were not trained on" in error_line()
    with pytest.raises(SystemExit) as error:
        main(["calibrate", str(copied), "--data", WORDS, "--keep", "0"])
    assert error.value.code == 2
    assert (copied / "checkpoint/model.json").read_bytes() == before


def test_a_protocol_calibrates_on_the_subjects_that_fit_held_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As fit itself did: the same calibration, of none of the test side's clips."""
    random = np.random.default_rng(0)
    numbers = np.arange(120)
    labels, views = numbers % 2 + 1, numbers // 2 % 3 + 1
    data = random.normal(0, 1, (120, 6, 20, 3)) * labels[:, None, None, None]
    arrays = {"subject": numbers // 6 % 4 + 1, "view": views, "label": labels}
    path, out = tmp_path / "views.npz", tmp_path / "run"
    np.savez(path, data=data.reshape(-1, 20, 3).astype(np.float32), length=[6] * 120, **arrays)
    options = ["--data", str(path), "--protocol", "nw-ucla-v3"]
    command = ["--out", str(out), "--epochs", "1", "--draws", "0", "--validation", "0.25"]
    assert main(["fit", "--model", "body-expert", *options, *command]) == 0
    before = json.loads((out / "checkpoint/model.json").read_text())
    assert before["calibration"]["clips"] == 20
    assert main(["calibrate", str(out), *options]) == 0
    assert json.loads((out / "checkpoint/model.json").read_text()) == before
