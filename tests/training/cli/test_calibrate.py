from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bhar_training.cli import main
from bhar_training.data.batches import split_held_out
from bhar_training.data.clips import load_clips

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


def test_a_run_that_learnt_everything_is_as_sure_as_another_one_like_it(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--like: the calibration of a run that held something out; all else stays as it was."""
    other = tmp_path / "other"
    shutil.copytree(copied, other)
    described = copied / "checkpoint/model.json"
    before = json.loads(described.read_text())
    assert main(["calibrate", str(other), "--data", WORDS, "--keep", "0.5"]) == 0
    assert main(["calibrate", str(copied), "--like", str(other)]) == 0
    found = json.loads((other / "checkpoint/model.json").read_text())["calibration"]
    assert json.loads(described.read_text()) == {**before, "calibration": found}
    assert f"rejects below {found['reject_below']:.3f}" in capsys.readouterr().out


def test_a_run_of_something_else_says_nothing_about_this_one(
    copied: Path, tmp_path: Path, error_line: Callable[[], str]
) -> None:
    """Exit code 3 for other features or no calibration, 2 for both of --data and --like."""
    other = tmp_path / "other"
    shutil.copytree(copied, other)
    before = (copied / "checkpoint/model.json").read_bytes()
    like = ["calibrate", str(copied), "--like", str(other)]
    assert main(like) == 3
    assert "got a run without calibration" in error_line()
    described = other / "checkpoint/model.json"
    meta = json.loads(described.read_text())
    meta["features"]["frames"] += 1
    described.write_text(json.dumps(meta))
    assert main(like) == 3
    assert "got a run of other features" in error_line()
    assert main([*like, "--data", WORDS]) == 2
    assert "got both of --data and --like" in error_line()
    assert main(["calibrate", str(copied)]) == 2
    assert "got neither of --data and --like" in error_line()
    assert (copied / "checkpoint/model.json").read_bytes() == before


def test_held_out_is_what_fit_did_not_train_on(tmp_path: Path) -> None:
    """The blocks that the configuration of the run leaves out, and no other clip."""
    out, data = tmp_path / "run", ["--data", WORDS]
    small = ["--epochs", "1", "--draws", "0", "--validation", "0.5"]
    assert main(["fit", "--model", "pr-gcn", *data, "--out", str(out), *small]) == 0
    described = out / "checkpoint/model.json"
    described.write_text(json.dumps({**json.loads(described.read_text()), "background": None}))
    assert main(["calibrate", str(out), *data, "--held-out", "--keep", "0.5"]) == 0
    clips = load_clips(Path(WORDS))
    _, held = split_held_out(clips, 0.5, 0)
    assert 0 < len(held) < len(clips)
    assert json.loads(described.read_text())["calibration"]["clips"] == len(held)
