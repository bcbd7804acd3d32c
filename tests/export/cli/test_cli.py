"""Promises of ``bhar-export``: a proven bundle, or a documented exit code and no file at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bhar_export.graph.spec import DECODERS
from bhar_training.checkpoint import load_checkpoint, save_meta
from bhar_training.data.batches import features_of
from bhar_training.data.clips import load_clips
from bharsdk.bundle.bundle import Precision, load_bundle
from bharsdk.bundle.calibration import Calibration
from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.cli import main as bhar
from bharsdk.engines.engine import open_engine
from bharsdk.engines.golden_check import verify_bundle

WORDS = Path(__file__).parents[2] / "data" / "words.npz"
LABELS = ("-", "coffee", "hello", "no", "please", "tea")
Export = Callable[..., int]


@pytest.fixture
def refused(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run an export that must end with a code, one line, and nothing written; gives the line."""

    def run(code: int, *arguments: object, **more: Path) -> str:
        capsys.readouterr()
        assert export(*arguments, **more) == code
        written = [path.name for path in tmp_path.iterdir() if "model" in path.name]
        assert written == []
        lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert len(lines) == 1
        assert "Traceback" not in lines[0]
        return lines[0]

    return run


def test_the_int8_bundle_loads_verifies_and_holds_no_float_copy(int8_bundle: Path) -> None:
    bundle = load_bundle(int8_bundle)
    assert bundle.manifest.precision is Precision.INT8
    assert bundle.manifest.labels == LABELS
    assert "model.onnx" not in bundle.files
    assert {"model.int8.onnx", "report.json", "MODEL_CARD.md"} < set(bundle.files)
    assert int8_bundle.stat().st_size < 4_000_000
    assert verify_bundle(bundle).max_abs_difference == 0


def test_the_bundle_runs_the_int8_graph_that_was_measured(int8_bundle: Path) -> None:
    bundle = load_bundle(int8_bundle)
    clips = load_clips(WORDS).of_signers(["s2"])
    body, hands = features_of(clips, bundle.manifest.features)
    logits = open_engine(bundle).run({"body": body.numpy(), "hands": hands.numpy()})
    hits = [LABELS[i] == label for i, label in zip(logits.argmax(1), clips.labels, strict=True)]
    assert np.mean(hits) == pytest.approx(bundle.report["forms"]["onnx-int8"]["accuracy"]["top1"])


def test_the_report_holds_the_proof(int8_bundle: Path) -> None:
    report = load_bundle(int8_bundle).report
    exact, quantized = report["forms"]["onnx-fp32"], report["forms"]["onnx-int8"]
    assert set(report["forms"]) == {"onnx-fp32", "onnx-int8"}
    assert exact["difference"]["largest"] <= 1e-4
    assert exact["difference"]["cosine"] == pytest.approx(1, abs=1e-9)
    assert exact["difference"]["relative"] < quantized["difference"]["relative"] < 1
    assert report["held_out"] is True
    assert report["forced"] is False
    assert report["signers"] == ["s2"]
    assert quantized["size_bytes"] < 0.5 * exact["size_bytes"]
    assert quantized["latency_ms"] > 0 < exact["latency_ms"]
    assert exact["status"] == "ok" and exact["reason"] == ""
    assert report["accuracy"]["clips"] == exact["accuracy"]["clips"] == 24
    assert report["accuracy"]["top1"] == exact["accuracy"]["top1"]
    assert set(report["decides"]) == set(exact["accuracy"]["recalls"])
    assert set(exact["accuracy"]["top1_of"]) == set(report["decides"].values())
    nodes = quantized["nodes"]
    assert len(nodes["float_compute"]) < nodes["integer"] / 2
    assert any("calibration clips" in warning for warning in report["warnings"])


def test_the_card_says_who_trained_and_who_is_a_stranger(int8_bundle: Path) -> None:
    card = load_bundle(int8_bundle).model_card
    assert "signers s1, 24 clips" in card
    assert "never seen in training: s2" in card
    assert "License of the data: MIT" in card
    assert "recall of `coffee`" in card


def test_the_float_bundle_computes_what_torch_computes(
    export: Export, checkpoint: Path, tmp_path: Path
) -> None:
    assert export("--eval", WORDS) == 0
    bundle = load_bundle(tmp_path / "model.bhar")
    assert set(bundle.files) > {"model.onnx"}
    model = load_checkpoint(checkpoint)
    body, hands = features_of(load_clips(WORDS).take(range(5)), model.meta.features)
    with torch.no_grad():
        expected = model.model(body, hands).numpy()
    got = open_engine(bundle).run({"body": body.numpy(), "hands": hands.numpy()})
    assert np.abs(got - expected).max() <= 1e-4


def test_a_calibrated_checkpoint_makes_a_calibrated_bundle(
    export: Export, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The manifest, the model card and bhar inspect say so; without one, none of them does."""
    calibration = Calibration(0.75, 0.6, 240, 0.95)
    source = Path(shutil.copytree(checkpoint, tmp_path / "run"))
    save_meta(source, replace(load_checkpoint(checkpoint).meta, calibration=calibration))
    assert export("--eval", WORDS, source=source) == 0
    path = tmp_path / "model.bhar"
    bundle = load_bundle(path)
    assert bundle.manifest.calibration == calibration
    assert f"Scores are calibrated: {calibration}" in bundle.model_card
    capsys.readouterr()
    assert bhar(["inspect", str(path)]) == 0
    shown = json.loads(capsys.readouterr().out)["calibration"]
    assert shown == {"temperature": 0.75, "reject_below": 0.6, "clips": 240, "keep": 0.95}
    assert export("--eval", WORDS) == 0
    bundle = load_bundle(path)
    assert bundle.manifest.calibration is None
    assert "calibrated" not in bundle.model_card
    capsys.readouterr()
    assert bhar(["inspect", str(path)]) == 0
    assert "calibration" not in json.loads(capsys.readouterr().out)


def test_int8_without_calibration_data_is_a_usage_error(refused: Callable[..., str]) -> None:
    assert "--calib" in refused(2, "--int8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--calib-signers", "s1"],
        ["--output", "model.zip"],
        ["--output", "none/model.bhar"],
    ],
)
def test_arguments_that_contradict_are_usage_errors(
    refused: Callable[..., str], arguments: list[str]
) -> None:
    assert "--" in refused(2, *arguments)


def test_missing_data_checkpoint_and_signer_are_input_errors(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    assert "none.npz" in refused(3, "--int8", "--calib", tmp_path / "none.npz")
    assert "no checkpoint" in refused(3, source=tmp_path)
    assert "s9" in refused(3, "--eval", WORDS, "--eval-signers", "s9")
    assert "decoder.json" in refused(3, "--decoder", tmp_path / "decoder.json")


def test_a_corrupt_checkpoint_is_exit_4(
    refused: Callable[..., str], checkpoint: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(checkpoint, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    refused(4, source=broken)


def test_a_checkpoint_of_another_version_is_exit_5(
    refused: Callable[..., str], checkpoint: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    fields = json.loads((other / "model.json").read_text())
    (other / "model.json").write_text(json.dumps({**fields, "format_version": 99}))
    refused(5, source=other)


@pytest.fixture
def certain(checkpoint: Path, tmp_path: Path) -> Path:
    """The recordings labeled with what the float model says: its accuracy on them is 100 %."""
    model = load_checkpoint(checkpoint)
    clips = load_clips(WORDS)
    with torch.no_grad():
        said = model.model(*features_of(clips, model.meta.features)).argmax(1)
    with np.load(WORDS, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    arrays["label"] = np.array([LABELS[i] for i in said])
    np.savez(tmp_path / "certain.npz", **arrays)
    return tmp_path / "certain.npz"


def test_int8_that_loses_too_much_is_exit_6_unless_forced(
    refused: Callable[..., str],
    export: Export,
    noise_file: Path,
    certain: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture = tmp_path / "forms.png"
    data = ("--calib", noise_file, "--eval", certain)
    arguments = ("--int8", *data, "--max-drop", 0.5, "--plot", picture)
    assert "(100.00 ->" in refused(6, *arguments)
    assert picture.read_bytes().startswith(b"\x89PNG")  # also of what is refused
    assert export(*arguments, "--force") == 0
    assert "FORCED" in capsys.readouterr().out
    bundle = load_bundle(tmp_path / "model.bhar")
    assert bundle.report["forced"] is True
    form = bundle.report["forms"]["onnx-int8"]
    assert form["status"] == "failed: accuracy" and form["drop_points"] > 0.5
    assert form["reason"] in bundle.model_card
    assert "failed its gate" in bundle.model_card


def test_a_broken_layer_is_exit_7(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bhar_export import pipeline

    def broken(model: torch.nn.Module) -> torch.nn.Module:
        folded = model.deploy().eval()
        with torch.no_grad():
            next(p for p in folded.parameters() if p.dim() > 1).mul_(1.1)
        return folded

    monkeypatch.setattr(pipeline, "deploy", broken)
    assert "off torch" in refused(7, "--eval", WORDS)


def test_a_decoder_is_chosen_by_name_or_file(
    export: Export, tmp_path: Path, refused: Callable[..., str]
) -> None:
    """The bundle carries it; what neither is a name nor a file is refused with the names."""
    file = tmp_path / "own.json"
    file.write_text('{"hop_s": 0.2}')
    for name, expected in (("spelling", DECODERS["spelling"]), (file, DecoderConfig(hop_s=0.2))):
        assert export("--decoder", name) == 0
        assert load_bundle(tmp_path / "model.bhar").manifest.decoder == expected
        (tmp_path / "model.bhar").unlink()
    assert "words, spelling" in refused(3, "--decoder", "speling")


def test_missing_packages_are_exit_8_with_the_command_to_run(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bhar_export.cli import export as cli

    def missing(spec: object, picture: object) -> None:
        raise ModuleNotFoundError("No module named 'onnxscript'", name="onnxscript")

    monkeypatch.setattr(cli, "_export", missing)
    assert "pip install 'bharsdk[export]'" in refused(8)


def test_an_existing_bundle_survives_a_failed_export(
    export: Export, int8_bundle: Path, tmp_path: Path
) -> None:
    shutil.copy(int8_bundle, tmp_path / "model.bhar")
    assert export("--int8", "--calib", tmp_path / "none.npz") == 3
    assert load_bundle(tmp_path / "model.bhar").manifest == load_bundle(int8_bundle).manifest
