from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bhar_training.checkpoint import CheckpointMeta, load_checkpoint, save_checkpoint, save_meta
from bhar_training.data.batches import input_specs
from bhar_training.models import ModelConfig, ModelName, build_model
from bharsdk.bundle.calibration import Calibration
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import BharError, BundleError, IncompatibleError, InputError

META = CheckpointMeta(
    model=ModelConfig(ModelName.PR_GCN),
    features=FeatureConfig(frames=6),
    labels=("-", "tea"),
    background="-",
    trained_on="words.npz",
    signers=("s1",),
    clips=10,
    epoch=3,
    seed=0,
    metrics={"train_top1": 0.5},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of fresh weights."""
    torch.manual_seed(0)
    save_checkpoint(tmp_path, build_model(META.model, input_specs(META.features), 2), META)
    return tmp_path


def _change(folder: Path, **changes: Any) -> None:
    data = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**data, **changes}))


def test_what_is_saved_loads_to_the_same(folder: Path) -> None:
    """Description and every weight."""
    torch.manual_seed(0)
    model = build_model(META.model, input_specs(META.features), 2)
    loaded = load_checkpoint(folder)
    assert loaded.meta == META
    state = loaded.model.state_dict()
    assert state.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(state[name], value, rtol=0, atol=0)


def test_a_calibration_is_kept_with_the_weights_it_is_of(folder: Path) -> None:
    """To the last digit; without one, the file is what it was before there were any."""
    weights = (folder / "model.safetensors").read_bytes()
    assert "calibration" not in json.loads((folder / "model.json").read_text())
    meta = replace(META, calibration=Calibration(0.1 + 0.2, 1 / 3, 40, 0.95))
    save_meta(folder, meta)
    assert load_checkpoint(folder).meta == meta
    assert (folder / "model.safetensors").read_bytes() == weights
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", "model.safetensors"]


def test_nothing_half_written_is_left(folder: Path) -> None:
    """Two files, no temporary names, no pickle."""
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", "model.safetensors"]


def _refused(folder: Path, kind: type[BharError], code: int, message: str) -> None:
    with pytest.raises(kind, match=message) as error:
        load_checkpoint(folder)
    assert type(error.value).exit_code == code
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_checkpoint_is_bad_input(tmp_path: Path) -> None:
    """Exit code 3, with what a checkpoint is made of."""
    _refused(tmp_path / "nowhere", InputError, 3, r"no checkpoint here, expected model\.json")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_version_is_incompatible(folder: Path, version: Any) -> None:
    """Exit code 5."""
    _change(folder, format_version=version)
    _refused(folder, IncompatibleError, 5, "got format version .*, expected 1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["a", "b", "c"]}, "size mismatch"),
        ({"model": {"name": "bharnet-e"}}, "Missing key"),
        ({"model": {"name": "st-gcn"}}, "got 'st-gcn'"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"labels": "ab"}, "expected a list"),
        ({"features": {"fps": -1}}, "fps"),
        (
            {"model": {"name": "bharnet-e", "backbone": "st-gcn", "window": 5}},
            "st-gcn has no causal form",
        ),
        (
            {"calibration": {"temperature": 0, "reject_below": 0, "clips": 1, "keep": 1}},
            "0.01 to 100",
        ),
    ],
)
def test_a_description_that_does_not_fit_is_corrupt(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    """Exit code 4, with the reason."""
    _change(folder, **changes)
    _refused(folder, BundleError, 4, message)


def test_damaged_files_are_corrupt(folder: Path) -> None:
    """Weights cut off or gone, a description that is no JSON: exit code 4."""
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    _refused(folder, BundleError, 4, "does not fit")
    weights.unlink()
    _refused(folder, BundleError, 4, "does not fit")
    for content in (b"{", b"\xff\xfe"):
        (folder / "model.json").write_bytes(content)
        _refused(folder, BundleError, 4, "not readable JSON")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_neither_written_nor_loaded(
    folder: Path, value: float
) -> None:
    """What a training left that went astray; exit codes 3 and 4, and the file of before stays."""
    before = (folder / "model.safetensors").read_bytes()
    model = build_model(META.model, input_specs(META.features), 2)
    name, weight = next(iter(model.named_parameters()))
    weight.data.view(-1)[:3] = value
    with pytest.raises(InputError, match=f"got 3 weights that are not finite, {name} among") as bad:
        save_checkpoint(folder, model, META)
    assert bad.value.exit_code == 3
    assert (folder / "model.safetensors").read_bytes() == before
    weights = load_file(folder / "model.safetensors")
    weights[name].view(-1)[0] = value
    save_file(weights, folder / "model.safetensors")
    _refused(folder, BundleError, 4, f"got 1 weights that are not finite, {name} among")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"format_version": 1, "epoch": ' + "9" * 5000 + "}",
        '{"format_version": 1, "seed": NaN}',
        '{"format_version": 1' + " " * (5 << 20) + "}",
    ],
)
def test_a_hostile_description_is_corrupt(folder: Path, text: str) -> None:
    """Deep, endless or long JSON: exit code 4."""
    (folder / "model.json").write_text(text)
    _refused(folder, BundleError, 4, "not readable JSON")


def test_a_description_of_a_model_larger_than_its_weights_is_corrupt(folder: Path) -> None:
    """Nothing is built for it: a million labels would take a gigabyte."""
    _change(folder, labels=[str(i) for i in range(100_000)])
    _refused(folder, BundleError, 4, "too few for 100000 labels")
    _change(folder, labels=["-", "tea"], features={"modalities": ["joint"] * 100_000})
    _refused(folder, BundleError, 4, "too few for 300001 labels or channels")


def test_weights_larger_than_any_are_corrupt(folder: Path) -> None:
    """A file of holes costs the disk nothing, and memory all of its size."""
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate((1 << 30) + 1)
    _refused(folder, BundleError, 4, "expected at most")
