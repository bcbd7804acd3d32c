from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bhar_training.checkpoint import CheckpointMeta, load_checkpoint
from bhar_training.data.batches import features_of, split_held_out
from bhar_training.data.clip_set import ClipSet
from bhar_training.evaluation.calibration import calibrate
from bhar_training.evaluation.evaluate import class_indices, logits_of
from bhar_training.models import ModelConfig, ModelName
from bhar_training.training import run_folder, trainer
from bhar_training.training.config import TrainConfig
from bhar_training.training.trainer import fit, learning_rate
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import BundleError, InputError, UsageError
from bharsdk.files.codec import from_json_dict

CONFIG = TrainConfig(
    ModelConfig(ModelName.PR_GCN, dropout=0.2),
    FeatureConfig(frames=6),
    epochs=2,
    draws=0,
    batch_size=8,
    validation=0.2,
)


@pytest.fixture(scope="module")
def whole_run(clips: ClipSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs without interruption."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    fit(clips, CONFIG, out, trained_on="words.npz")
    return out


def _fit(clips: ClipSet, out: Path, **changes: object) -> CheckpointMeta:
    resume = bool(changes.pop("resume", False))
    return fit(clips, replace(CONFIG, **changes), out, trained_on="words.npz", resume=resume)


def test_a_run_leaves_checkpoint_curves_and_configuration(whole_run: Path) -> None:
    """All under their names, nothing half-written beside them."""
    names = {str(p.relative_to(whole_run)) for p in whole_run.rglob("*") if p.is_file()}
    assert {name for name in names if not name.startswith("tensorboard/")} == {
        "checkpoint/model.json",
        "checkpoint/model.safetensors",
        "resume/state.safetensors",
        "config.json",
        "curves.csv",
        "curves.png",
    }
    assert (whole_run / "curves.png").read_bytes().startswith(b"\x89PNG")
    stored = json.loads((whole_run / "config.json").read_text())
    assert from_json_dict(TrainConfig, stored, "config") == CONFIG


def test_the_curves_have_a_row_for_every_epoch(whole_run: Path) -> None:
    """Loss, both accuracies, learning rate, seconds."""
    with (whole_run / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row in rows:
        assert 0 < float(row["loss"]) < 10
        assert 0 <= float(row["train_top1"]) <= 1
        assert 0 <= float(row["validation_top1"]) <= 1


def test_the_checkpoint_says_what_it_is(whole_run: Path, clips: ClipSet) -> None:
    """Model, features, labels, data and epoch, and a model in evaluation mode."""
    checkpoint = load_checkpoint(whole_run / "checkpoint")
    meta = checkpoint.meta
    assert meta.model == CONFIG.model
    assert meta.features == CONFIG.features
    assert meta.labels == clips.classes
    assert meta.background == "-"
    assert meta.signers == ("s1", "s2")
    assert (meta.trained_on, meta.clips, meta.epoch) == ("words.npz", 24, 2)
    assert set(meta.metrics) == {"train_top1", "validation_top1"}
    assert not checkpoint.model.training


@pytest.mark.parametrize(
    ("module", "stopped_in"),
    [(trainer, "_train_epoch"), (run_folder, "write_tensors"), (run_folder, "plot_curves")],
)
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    clips: ClipSet,
    whole_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    stopped_in: str,
) -> None:
    """Stopped in the second epoch while training or while it writes: bit for bit the same."""
    original, calls = getattr(module, stopped_in), 0

    def interrupted(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(module, stopped_in, interrupted)
        with pytest.raises(KeyboardInterrupt):
            _fit(clips, out)
    meta = _fit(clips, out, resume=True)
    assert meta.epoch == 2
    for name in ("checkpoint/model.safetensors", "resume/state.safetensors"):
        found, expected = load_file(out / name), load_file(whole_run / name)
        assert found.keys() == expected.keys()
        for key, value in found.items():
            torch.testing.assert_close(value, expected[key], rtol=0, atol=0)
    columns = slice(0, 5)  # without the seconds
    for left, right in zip(
        (out / "curves.csv").read_text().splitlines(),
        (whole_run / "curves.csv").read_text().splitlines(),
        strict=True,
    ):
        assert left.split(",")[columns] == right.split(",")[columns]


def test_resuming_a_finished_run_trains_no_more(whole_run: Path, clips: ClipSet) -> None:
    """The weights stay, and the description says how far it went."""
    before = (whole_run / "checkpoint/model.safetensors").read_bytes()
    assert _fit(clips, whole_run, resume=True).epoch == 2
    assert (whole_run / "checkpoint/model.safetensors").read_bytes() == before


def test_a_run_is_not_overwritten(whole_run: Path, clips: ClipSet) -> None:
    """Without --resume a folder that holds one is refused."""
    with pytest.raises(UsageError, match="holds a run already: give --resume"):
        _fit(clips, whole_run)


def test_a_run_is_not_resumed_with_other_settings(whole_run: Path, clips: ClipSet) -> None:
    """Half a run at one rate and half at another is neither."""
    with pytest.raises(UsageError, match="other settings"):
        _fit(clips, whole_run, resume=True, lr=0.1)


def test_a_run_is_not_resumed_on_other_data(whole_run: Path, clips: ClipSet) -> None:
    """Other labels, signers or clips."""
    fewer = clips.where(lambda i: clips.labels[i] != "tea")
    with pytest.raises(UsageError, match="was trained on labels"):
        _fit(fewer, whole_run, resume=True)


@pytest.mark.parametrize("name", ["config.json", "curves.csv", "resume/state.safetensors"])
def test_a_damaged_run_is_refused(
    whole_run: Path, clips: ClipSet, tmp_path: Path, name: str
) -> None:
    """Exit code 4, one line."""
    for file in ("config.json", "curves.csv", "resume/state.safetensors"):
        target = tmp_path / file
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((whole_run / file).read_bytes())
    (tmp_path / name).write_bytes(b"epoch,loss\nx,y\n")
    with pytest.raises(BundleError, match="damaged") as error:
        _fit(clips, tmp_path, resume=True)
    assert "\n" not in str(error.value)


def test_a_training_that_diverges_is_ended(clips: ClipSet, tmp_path: Path) -> None:
    """With what to do; a model of no numbers is not left behind."""
    with pytest.raises(InputError, match=r"loss of epoch 1 is nan.*smaller --lr than 1e\+30"):
        _fit(clips, tmp_path / "run", lr=1e30)
    assert not (tmp_path / "run" / "checkpoint").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"lr": math.nan},
        {"lr": math.inf},
        {"lr": 1e300},
        {"weight_decay": 1e300},
        {"draws": 10**12},
        {"loss_weights": (1.0, math.nan, 1.0)},
        {"loss_weights": (0.0, 0.0, 0.0)},
        {"validation": 1.0},
        {"warmup": -0.1},
        {"draws": -1},
        {"seed": -1},
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    """With what was got and expected."""
    with pytest.raises(InputError, match=r"training: got .*, expected"):
        replace(CONFIG, **changes)


def test_a_single_clip_is_refused(clips: ClipSet, tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(InputError, match="got 1 clips, expected at least 2"):
        _fit(clips.take([0]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_fewer_clips_than_a_batch_make_one_smaller_batch(clips: ClipSet, tmp_path: Path) -> None:
    """So that three clips of a new gesture are enough to try the commands."""
    meta = _fit(clips.take([0, 8, 16]), tmp_path, validation=0.0)
    assert (meta.clips, meta.epoch) == (3, 2)


def test_without_validation_its_figure_is_left_out(clips: ClipSet, tmp_path: Path) -> None:
    """NaN is no JSON."""
    meta = _fit(clips, tmp_path, validation=0.0, epochs=1)
    assert set(meta.metrics) == {"train_top1"}
    assert "NaN" not in (tmp_path / "checkpoint/model.json").read_text()


def test_held_out_blocks_calibrate_a_run(words: ClipSet, tmp_path: Path) -> None:
    """With twenty of them; resumed, the finished run says the same.

    After two epochs it takes nearly everything for "-", so that counts as a sign here.
    """
    held_out = split_held_out(words, 0.5, CONFIG.seed)[1]
    assert len(held_out) >= 20
    changes = {"validation": 0.5, "background": "none"}
    meta = _fit(words, tmp_path, **changes)
    assert load_checkpoint(tmp_path).meta == meta
    found = load_checkpoint(tmp_path)
    logits = logits_of(found.model, features_of(held_out, CONFIG.features)).numpy()
    assert meta.calibration == calibrate(logits, class_indices(held_out, meta.labels))
    assert _fit(words, tmp_path, **changes, resume=True) == meta


def test_too_few_held_out_clips_leave_a_run_without_calibration(whole_run: Path) -> None:
    """Six say nothing; fit goes on without, since bhar-train calibrate can follow."""
    assert load_checkpoint(whole_run).meta.calibration is None


def test_both_models_train(clips: ClipSet, tmp_path: Path) -> None:
    """BHaRNet-E with the losses of its experts; its weights change and stay finite."""
    config = ModelConfig(ModelName.BHARNET_E)
    few = clips.take(range(8))
    _fit(few, tmp_path, model=config, epochs=1, validation=0.0, features=FeatureConfig(frames=4))
    model = load_checkpoint(tmp_path / "checkpoint").model
    assert all(bool(p.isfinite().all()) for p in model.parameters())


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    """A tenth of the way up, then half a cosine."""
    rates = [learning_rate(CONFIG, progress / 100) for progress in range(101)]
    assert rates[0] < 0.01 * CONFIG.lr
    assert max(rates) == pytest.approx(CONFIG.lr, rel=1e-3)
    assert rates.index(max(rates)) == 10
    assert rates[55] == pytest.approx(CONFIG.lr / 2, rel=1e-3)
    assert rates[100] == pytest.approx(0, abs=1e-9)
    assert all(math.isfinite(rate) for rate in rates)


def test_weights_that_blew_up_end_a_run_and_the_checkpoint_before_stays(
    clips: ClipSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is that of the weights before the last step, and finite."""
    out, rates = tmp_path / "run", iter([1e-3, 1e37])
    monkeypatch.setattr(trainer, "learning_rate", lambda config, progress: next(rates))
    few = clips.take(range(8))
    with pytest.raises(InputError, match=r"after epoch 2 .* not finite.*smaller --lr") as error:
        _fit(few, out, validation=0.0)
    assert error.value.exit_code == 3
    kept = load_checkpoint(out)
    assert kept.meta.epoch == 1
    assert all(bool(p.isfinite().all()) for p in kept.model.parameters())


def test_answers_that_are_not_finite_end_a_run(
    clips: ClipSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of weights that are: nothing of it is kept."""
    broken = lambda model, inputs: torch.full((len(inputs["body"]), 6), math.nan)  # noqa: E731
    monkeypatch.setattr(trainer, "logits_of", broken)
    with pytest.raises(InputError, match="after epoch 1 the model's answers are not finite"):
        _fit(clips.take(range(8)), tmp_path / "run", validation=0.0)
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_a_run_to_resume_with_weights_that_are_not_finite_is_refused(
    whole_run: Path, clips: ClipSet, tmp_path: Path
) -> None:
    """An older version may have left it."""
    copy = tmp_path / "copy"
    shutil.copytree(whole_run, copy)
    path = copy / "resume" / "state.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    state = load_file(path)
    name = next(name for name in state if name.startswith("model.") and name.endswith("weight"))
    state[name] = torch.full_like(state[name], math.inf)
    save_file(state, path, metadata)
    with pytest.raises(BundleError, match="not finite"):
        _fit(clips, copy, resume=True)


def test_doubts_about_the_labels_are_said(
    clips: ClipSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One label; a background of another name."""
    one = clips.where(lambda i: clips.labels[i] == "tea")
    _fit(one, tmp_path / "one", epochs=1, validation=0.0)
    assert "words.npz: got one label, 'tea'" in caplog.text
    caplog.clear()
    idle = replace(one, labels=("none", "none", *one.labels[2:]))
    _fit(idle, tmp_path / "idle", epochs=1, validation=0.0)
    assert "give  --background none  if it is" in caplog.text
