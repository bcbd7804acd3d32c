from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bhar_training.cli import main
from bhar_training.config import TrainConfig
from bharsdk.errors import UsageError
from bharsdk.features import FeatureConfig

DATA = Path(__file__).parents[1] / "data"
WORDS = str(DATA / "words.npz")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One epoch of PR-GCN on signer s1, through the command."""
    out = tmp_path_factory.mktemp("cli") / "run"
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--signers", "s1", "--out", str(out)]
    command += ["--draws", "0"]
    assert main([*command, "--epochs", "1", "--batch-size", "24", "--lr", "0.001"]) == 0
    return out


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("bhar-train:")]
    assert len(lines) == 1
    assert lines[0].startswith("bhar-train: error: ")
    return lines[0]


def test_fit_leaves_a_run(run: Path) -> None:
    """Checkpoint, curves as table and picture."""
    for name in ("checkpoint/model.json", "curves.csv", "curves.png", "config.json"):
        assert (run / name).is_file()


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
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    assert "no such folder" in _error(capsys)


def test_a_second_run_in_the_same_place_is_a_usage_error(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2; so are other settings with --resume."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(run)]
    assert main(command) == 2
    assert "--resume" in _error(capsys)
    assert main([*command, "--resume", "--epochs", "3"]) == 2
    assert "other settings" in _error(capsys)


def test_bad_data_ends_with_exit_code_3(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing file, an empty folder, an unknown signer or label, a missing checkpoint."""
    (tmp_path / "empty").mkdir()
    strange = tmp_path / "strange.npz"
    np.savez(strange, landmarks=np.ones((1, 3, 258), np.float32), label=["dance"])
    for command, message in (
        (["eval", str(run), "--data", str(tmp_path / "none.npz")], "no such file"),
        (["eval", str(run), "--data", str(tmp_path / "empty")], "expected <label>/"),
        (["eval", str(run), "--data", WORDS, "--signers", "s7"], "got 's7'"),
        (["eval", str(run), "--data", str(strange)], "got 'dance', expected those of the model"),
        (["eval", str(run), "--data", str(DATA / "frames"), "--fps", "0"], "frames a second"),
        (["eval", str(tmp_path / "empty"), "--data", WORDS], "no checkpoint here"),
        (["eval", str(run), "--data", WORDS, "--confusion", str(tmp_path / "a/b")], "no such"),
    ):
        assert main(command) == 3
        assert message in _error(capsys)


def test_folders_of_frames_can_be_scored(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The public layout, from the fixture."""
    assert main(["eval", str(run), "--data", str(DATA / "frames")]) == 0
    assert "of 3 clips" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        (["fit", "--model", "pr-gcn", "--data", WORDS, "--out", "x"], "torch", "train"),
        (["fit", "--model", "pr-gcn", "--data", WORDS, "--out", "x"], "lightning_fabric", "train"),
        (["eval", "x", "--data", WORDS], "torch", "train"),
        (["eval", "x", "--data", WORDS], "matplotlib", "train"),
        (["extract", str(DATA), "--out", "x"], "tqdm", "train"),
    ],
)
def test_a_missing_package_ends_with_exit_code_8(
    tmp_path: Path, command: list[str], missing: str, extra: str
) -> None:
    """One line with the pip install that brings it, no traceback, nothing written."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from bhar_training.cli import main; sys.exit(main({command!r}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 8
    expected = f"bhar-train: error: {missing} is not installed: run  pip install 'bharsdk[{extra}]'"
    assert result.stderr.strip() == expected
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [[], ["fit"], ["dance"], ["extract", "x"], ["eval"]])
def test_an_incomplete_command_ends_with_exit_code_2(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the usage on stderr."""
    with pytest.raises(SystemExit) as error:
        main(command)
    assert error.value.code == 2
    assert "usage: bhar-train" in capsys.readouterr().err


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


def test_an_unknown_modality_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, with the names there are; nothing is written."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(tmp_path / "run")]
    assert main([*command, "--modalities", "joint,colour"]) == 2
    error = capsys.readouterr().err
    assert "'colour'" in error
    assert "bone-motion" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--augment", "colour=1"], "'colour'"),
        (["--augment", "jitter"], "NAME=NUMBER"),
        (["--augment", "jitter=a lot"], "NAME=NUMBER"),
    ],
)
def test_an_augmentation_that_is_none_is_a_usage_error(
    options: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2; nothing is written."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(tmp_path / "run")]
    assert main([*command, *options]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_window_is_given_in_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounded to frames of the model's rate; one that is no time is a usage error."""
    from bhar_training import trainer

    configs: list[TrainConfig] = []

    def stop(clips: object, config: TrainConfig, *rest: object, **more: object) -> None:
        configs.append(config)
        raise UsageError("seen enough")

    monkeypatch.setattr(trainer, "fit", stop)
    command = ["fit", "--model", "hand-expert", "--data", WORDS, "--out", str(tmp_path / "run")]
    for options in ([], ["--window", "0.6"]):
        assert main([*command, *options]) == 2
    assert [config.features for config in configs] == [FeatureConfig(), FeatureConfig(frames=12)]
    for wrong in ("0", "-1", "nan", "60"):
        assert main([*command, "--window", wrong]) == 2
        assert "--window: got" in capsys.readouterr().err


def test_settings_of_augmentation_and_losses_are_kept_with_the_run(tmp_path: Path) -> None:
    """In config.json, so that the figure of a run says how it came about."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(tmp_path), "--epochs", "1"]
    options = ["--augment", "posture=0.1", "--augment", "mirror=0", "--stream-loss", "0.3"]
    options += ["--draws", "0"]
    assert main([*command, *options]) == 0
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["augment"]["posture"], config["augment"]["mirror"]) == (0.1, 0.0)
    assert config["loss_weights"] == [1.0, 0.3, 0.3]


@pytest.fixture
def views(tmp_path: Path) -> Path:
    """Twelve packed clips of 20 joints: two actions, three views, four subjects."""
    random = np.random.default_rng(0)
    data = random.normal(0, 1, (12 * 6, 20, 3)).astype(np.float32)
    numbers = np.arange(12)
    path = tmp_path / "views.npz"
    labels = numbers % 2 + 1
    arrays = {"subject": numbers % 4 + 1, "view": numbers // 2 % 3 + 1, "label": labels}
    np.savez(path, data=data, length=np.full(12, 6), **arrays)
    return path


@pytest.mark.parametrize("model", ["body-expert", "pr-gcn"])
def test_a_skeleton_data_set_trains_by_its_protocol(
    model: str, views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fit sees views 1 and 2, eval view 3; the checkpoint knows its skeleton."""
    out = tmp_path / "run"
    data = ["--data", str(views), "--protocol", "nw-ucla-v3"]
    options = ["--out", str(out), "--epochs", "1", "--draws", "0"]
    assert main(["fit", "--model", model, *data, *options]) == 0
    assert "8 clips, 2 labels: 1 2" in capsys.readouterr().out
    meta = json.loads((out / "checkpoint" / "model.json").read_text())
    assert meta["features"]["skeleton"] == "kinect20"
    assert main(["eval", str(out), *data]) == 0
    assert "of 4 clips" in capsys.readouterr().out
    assert main(["eval", str(out), "--data", WORDS]) == 3
    assert "expected those of the model: ['1', '2']" in capsys.readouterr().err


def test_a_model_of_hands_needs_hands(
    views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and the models that would do; nothing is written."""
    command = ["fit", "--model", "bharnet-e", "--data", str(views), "--out", str(tmp_path / "run")]
    assert main([*command, "--protocol", "nw-ucla-v3"]) == 2
    assert "body-expert or pr-gcn" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("worse", [["--drop-hands", "1"], ["--lose-hand", "right"]])
def test_lost_hands_are_scored_too(
    worse: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same clips, with hands missing; a part beyond one is exit code 2."""
    command = ["eval", str(run), "--data", WORDS, "--signers", "s2"]
    assert main([*command, *worse]) == 0
    assert "of 24 clips" in capsys.readouterr().out
    assert main([*command, "--drop-hands", "2"]) == 2
    assert "expected a part from 0 to 1" in capsys.readouterr().err


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
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3 for three clips, 2 for a part that is none."""
    before = (copied / "checkpoint/model.json").read_bytes()
    assert main(["calibrate", str(copied), "--data", str(DATA / "frames")]) == 3
    assert "got 3 clips that were not trained on" in _error(capsys)
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


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One epoch on signer s1 without two of the words."""
    out = tmp_path_factory.mktemp("cli") / "without"
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--signers", "s1", "--out", str(out)]
    command += ["--without", "tea,coffee", "--epochs", "1", "--draws", "0", "--validation", "0"]
    assert main(command) == 0
    return out


def test_classes_left_out_of_training_are_unknown_to_the_model(
    without: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The checkpoint says so; a label to leave out that is not there is exit code 3."""
    meta = json.loads((without / "checkpoint/model.json").read_text())
    assert meta["labels"] == ["-", "hello", "no", "please"]
    assert (meta["clips"], meta["trained_on"]) == (16, "words.npz without tea,coffee")
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(tmp_path / "run")]
    assert main([*command, "--without", "tea,dance"]) == 3
    assert "--without: got 'dance'" in _error(capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("unknown", "clips"), [("tea,coffee", 8), ("all", 8)])
def test_false_accepts_are_printed_beside_the_score_of_the_known(
    unknown: str, clips: int, without: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of unknown labels; without the option they are refused as before."""
    data = ["eval", str(without), "--data", WORDS, "--signers", "s2"]
    assert main([*data, "--unknown", unknown]) == 0
    printed = capsys.readouterr().out
    assert "%  of 16 clips" in printed
    (line,) = (x for x in printed.splitlines() if x.startswith("false accepts"))
    assert line.endswith(f"%  of {clips} clips of unknown labels (nothing is rejected)")
    assert main([*data, "--unknown", "tea"]) == 3
    assert "got 'coffee', expected those of the model" in _error(capsys)
    assert main([*data, "--unknown", "hello"]) == 2
    assert "which the model knows" in _error(capsys)


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
