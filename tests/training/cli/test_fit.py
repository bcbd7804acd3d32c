from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bhar_training.checkpoint import load_checkpoint
from bhar_training.cli import main
from bhar_training.training.config import TrainConfig
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import UsageError

DATA = Path(__file__).parents[2] / "data"
WORDS = str(DATA / "words.npz")


def test_fit_leaves_a_run(run: Path) -> None:
    """Checkpoint, curves as table and picture."""
    for name in ("checkpoint/model.json", "curves.csv", "curves.png", "config.json"):
        assert (run / name).is_file()


def test_a_causal_model_has_the_window_of_its_clips(tmp_path: Path) -> None:
    """--causal: means run over as many frames as a clip has."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(tmp_path / "run")]
    assert main([*command, "--causal", "--epochs", "1", "--draws", "32"]) == 0
    model = load_checkpoint(tmp_path / "run").meta
    assert model.model.window == FeatureConfig().frames


def test_a_second_run_in_the_same_place_is_a_usage_error(
    run: Path, error_line: Callable[[], str]
) -> None:
    """Exit code 2; so are other settings with --resume."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(run)]
    assert main(command) == 2
    assert "--resume" in error_line()
    assert main([*command, "--resume", "--epochs", "3"]) == 2
    assert "other settings" in error_line()


def test_an_unknown_modality_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, with the names there are; nothing is written."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--modalities", "joint,color"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "'color'" in error
    assert "bone-motion" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--augment", "color=1"], "'color'"),
        (["--augment", "jitter"], "NAME=NUMBER"),
        (["--augment", "jitter=a lot"], "NAME=NUMBER"),
        (["--augment", "jitter=-0.1"], "jitter -0.1, expected 0 or more"),
        (["--augment", "turn_rad=nan"], "turn_rad nan"),
        (["--augment", "mirror=5"], "mirror 5, expected 0 to 1"),
        (["--augment", "time_warp=0.4"], "time_warp 0.4, expected 0 for none"),
    ],
)
def test_a_setting_that_makes_no_sense_is_a_usage_error(
    options: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2; nothing is written."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(tmp_path / "run")]
    assert main([*command, *options]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["--seed", "--threads"])
def test_a_number_below_zero_is_a_usage_error(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, with the option's name."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as ended:
        main([*command, f"{option}=-1"])
    assert ended.value.code == 2
    assert f"{option}: got '-1', expected a whole number from" in capsys.readouterr().err


def test_a_window_is_given_in_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounded to frames of the model's rate; one that is no time is a usage error."""
    from bhar_training.training import trainer

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
        with pytest.raises(SystemExit) as error:
            main([*command, "--window", wrong])
        assert error.value.code == 2
        assert "--window: got" in capsys.readouterr().err


def test_settings_of_augmentation_and_losses_are_kept_with_the_run(tmp_path: Path) -> None:
    """In config.json, so that the figure of a run says how it came about."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(tmp_path), "--epochs", "1"]
    options = ["--augment", "posture=0.1", "--augment", "mirror=0", "--stream-loss", "0.3"]
    options += ["--draws", "0", "--augment.turn-rad", "0.1", "--features.frames", "12"]
    options += ["--warmup", "0.2", "--dropout", "0.1", "--negatives", "seam"]
    assert main([*command, *options]) == 0
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["augment"]["turn_rad"], config["augment"]["negatives"]) == (0.1, ["seam"])
    assert (config["features"]["frames"], config["warmup"]) == (12, 0.2)
    assert config["model"]["dropout"] == 0.1
    assert (config["augment"]["posture"], config["augment"]["mirror"]) == (0.1, 0.0)
    assert config["loss_weights"] == [1.0, 0.3, 0.3]


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


def test_people_of_a_skeleton_data_set_may_stay_as_the_camera_saw_them(
    views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And in one place; the checkpoint keeps it for eval; landmarks, never turned, refuse it."""
    command = ["fit", "--model", "body-expert", "--out", str(tmp_path / "run")]
    for option in ("--as-seen", "--centered"):
        assert main([*command, option, "--data", WORDS]) == 2
        assert f"{option}: got it without --protocol" in capsys.readouterr().err
    assert main([*command, "--data", str(views)]) == 3
    assert "for a public skeleton data set, name its --protocol" in capsys.readouterr().err
    data = ["--data", str(views), "--protocol", "nw-ucla-v3", "--epochs", "1", "--draws", "0"]
    assert main([*command, "--as-seen", "--centered", *data]) == 0
    meta = json.loads((tmp_path / "run" / "checkpoint" / "model.json").read_text())
    assert meta["features"]["face_forward"] is False
    assert meta["features"]["centred"] is True


def test_a_model_of_hands_needs_hands(
    views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and the models that would do; nothing is written."""
    command = ["fit", "--model", "bharnet-e", "--data", str(views), "--out", str(tmp_path / "run")]
    assert main([*command, "--protocol", "nw-ucla-v3"]) == 2
    assert "body-expert or pr-gcn" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_classes_left_out_of_training_are_unknown_to_the_model(
    without: Path, tmp_path: Path, error_line: Callable[[], str]
) -> None:
    """The checkpoint says so; a label to leave out that is not there is exit code 3."""
    meta = json.loads((without / "checkpoint/model.json").read_text())
    assert meta["labels"] == ["-", "hello", "no", "please"]
    assert (meta["clips"], meta["trained_on"]) == (16, "words.npz without tea,coffee")
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(tmp_path / "run")]
    assert main([*command, "--without", "tea,dance"]) == 3
    assert "--without: got 'dance'" in error_line()
    assert not (tmp_path / "run").exists()


def test_a_rate_that_blows_the_weights_up_is_bad_input(
    tmp_path: Path, error_line: Callable[[], str]
) -> None:
    """Exit code 3, and no checkpoint of infinities."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--signers", "s1", "--draws", "0"]
    assert main([*command, "--out", str(tmp_path / "run"), "--epochs", "2", "--lr", "1e8"]) == 3
    assert "not finite" in error_line()
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_fit_says_what_it_assumed_and_what_looks_odd(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, a line each: the layout of the data, and a single label."""
    with np.load(WORDS) as data:
        tea = data["label"] == "tea"
        arrays = {name: data[name][tea] for name in ("landmarks", "label", "signer", "block")}
    np.savez(tmp_path / "tea.npz", **arrays)
    command = ["fit", "--model", "pr-gcn", "--data", str(tmp_path / "tea.npz"), "--draws", "0"]
    command += ["--out", str(tmp_path / "run"), "--epochs", "1", "--aspect", "4:3", "--fps", "20"]
    assert main(command) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("tea.npz: 8 clips, 258 values a frame (pose, hands); no times")
    assert "assumed 20 frames a second; aspect 4:3 assumed" in lines[0]
    assert any(line.startswith("warning: tea.npz: got one label, 'tea'") for line in lines)


@pytest.mark.parametrize("aspect", ["0:9", "16:0", "wide", "nan", "-1", "1:100"])
def test_an_aspect_that_is_none_is_a_usage_error(aspect: str, tmp_path: Path) -> None:
    """Width and height, both above 0."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as end:
        main([*command, f"--aspect={aspect}"])
    assert end.value.code == 2
