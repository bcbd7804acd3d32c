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


def test_eval_prints_recalls_and_draws_the_confusion(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a run or of its checkpoint folder: top-1, every label's recall, a PNG."""
    picture = tmp_path / "confusion.png"
    command = ["--data", WORDS, "--signers", "s2"]
    assert main(["eval", str(run), *command, "--confusion", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "of 24 clips" in printed
    assert "macro recall, signs" in printed
    assert "calibration error" in printed
    for label in ("-", "coffee", "hello", "no", "please", "tea"):
        (line,) = (x for x in printed.splitlines() if x.split()[0] == label)
        assert line.endswith("%  of 4")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["eval", str(run / "checkpoint"), *command]) == 0
    assert capsys.readouterr().out == "\n".join(printed.splitlines()[:-1]) + "\n"


def test_eval_writes_tables_for_other_programs(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], error_line: Callable[[], str]
) -> None:
    """Confusions and recalls as CSV where the name says so."""
    command = ["eval", str(run), "--data", WORDS, "--signers", "s2"]
    tables = [tmp_path / "confusion.csv", tmp_path / "recalls.csv"]
    assert main([*command, "--confusion", str(tables[0]), "--recalls", str(tables[1])]) == 0
    printed = capsys.readouterr().out
    for table, first in zip(
        tables, ("truth,-,coffee", "label,clips,recall,precision"), strict=True
    ):
        assert str(table) in printed
        assert table.read_text().startswith(first)
    assert main([*command, "--recalls", str(tmp_path / "a/recalls.csv")]) == 3
    assert "no such folder" in error_line()


def test_folders_of_frames_can_be_scored(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The public layout, from the fixture."""
    assert main(["eval", str(run), "--data", str(DATA / "frames")]) == 0
    assert "of 3 clips" in capsys.readouterr().out


def test_an_ensemble_of_modalities_is_fused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every run reads the features it was trained with; both ways of fusing."""
    other = tmp_path / "bones"
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--signers", "s1", "--out", str(other)]
    command += ["--epochs", "1", "--draws", "0", "--modalities", "bone,bone-motion"]
    assert main(command) == 0
    config = json.loads((other / "config.json").read_text())
    assert config["features"]["modalities"] == ["bone", "bone-motion"]
    for fusion in ("mean", "noisy-or"):
        capsys.readouterr()
        command = ["eval", str(run), str(other), "--data", WORDS, "--signers", "s2"]
        assert main([*command, "--fusion", fusion]) == 0
        assert "of 24 clips" in capsys.readouterr().out


@pytest.mark.parametrize("worse", [["--drop-hands", "1"], ["--lose-hand", "right"]])
def test_lost_hands_are_scored_too(
    worse: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same clips, with hands missing; a part beyond one is exit code 2."""
    command = ["eval", str(run), "--data", WORDS, "--signers", "s2"]
    assert main([*command, *worse]) == 0
    assert "of 24 clips" in capsys.readouterr().out
    with pytest.raises(SystemExit) as error:
        main([*command, "--drop-hands", "2"])
    assert error.value.code == 2
    assert "expected a number from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize(("unknown", "clips"), [("tea,coffee", 8), ("all", 8)])
def test_false_accepts_are_printed_beside_the_score_of_the_known(
    unknown: str,
    clips: int,
    without: Path,
    capsys: pytest.CaptureFixture[str],
    error_line: Callable[[], str],
) -> None:
    """Of unknown labels; without the option they are refused as before."""
    data = ["eval", str(without), "--data", WORDS, "--signers", "s2"]
    assert main([*data, "--unknown", unknown]) == 0
    printed = capsys.readouterr().out
    assert "%  of 16 clips" in printed
    (line,) = (x for x in printed.splitlines() if x.startswith("false accepts"))
    assert line.endswith(f"%  of {clips} clips of unknown labels (nothing is rejected)")
    assert main([*data, "--unknown", "tea"]) == 3
    assert "got 'coffee', expected those of the model" in error_line()
    assert main([*data, "--unknown", "hello"]) == 2
    assert "which the model knows" in error_line()


def test_rejection_is_reported_once_the_run_is_calibrated(
    without: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the part when nothing is rejected beside it; a threshold of 1 rejects everything."""
    folder = Path(shutil.copytree(without / "checkpoint", tmp_path / "copied"))
    meta = json.loads((folder / "model.json").read_text())
    sure = {"temperature": 1.0, "reject_below": 1.0, "clips": 20, "keep": 0.95}
    (folder / "model.json").write_text(json.dumps({**meta, "calibration": sure}))
    data = ["--data", WORDS, "--signers", "s2", "--unknown", "all", "--background-from", WORDS]
    assert main(["eval", str(folder), *data]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("false accepts         0.00 %  of 8 clips of unknown labels (")
    assert lines[-2].endswith("% if nothing were rejected)")
    assert lines[-1].startswith("true rejects        100.00 %  of 48 clips of words.npz (")
    assert lines[-1].endswith("% if nothing were rejected)")
    (idle,) = (x for x in lines if "clips of - (" in x)
    assert idle.startswith("true rejects        100.00 %  of 4 clips")
    (recall,) = (x.split()[1] for x in lines if x.startswith("  - "))
    assert idle.endswith(f"({recall} % if nothing were rejected)")


def test_recordings_without_any_known_label_can_be_scored(
    without: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing but their false accepts is there to print."""
    strange = tmp_path / "strange.npz"
    landmarks = np.random.default_rng(0).random((3, 20, 258)).astype(np.float32)
    np.savez(strange, landmarks=landmarks, label=["dance", "dance", "jump"])
    assert main(["eval", str(without), "--data", str(strange), "--unknown", "all"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("false accepts")
    assert "of 3 clips" in line


def test_unknown_actions_of_a_skeleton_data_set_are_scored(
    views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its protocol: without a background class every answer is a sign."""
    with np.load(views) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["label"] = np.arange(12) // 6 + 2 * (np.arange(12) % 2)  # 0 to 3
    path, out = tmp_path / "four.npz", tmp_path / "run"
    np.savez(path, **arrays)
    data = ["--data", str(path), "--protocol", "nw-ucla-v3"]
    options = ["--out", str(out), "--epochs", "1", "--draws", "0", "--without", "3"]
    assert main(["fit", "--model", "body-expert", *data, *options]) == 0
    capsys.readouterr()
    assert main(["eval", str(out), *data, "--unknown", "all", "--background-from", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("false accepts       100.00 %  of 1 clips")
    assert lines[-1].startswith("true rejects          0.00 %  of 12 clips of four.npz")
