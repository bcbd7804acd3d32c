"""Promises of ``--precision fp16`` and ``mixed``, and of ``--device``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bhar_export.graph.graph import deploy, inputs_of, to_onnx
from bhar_export.graph.spec import DataSpec
from bhar_export.litert import target as tflite
from bhar_export.native import target as native
from bhar_export.onnx import target as onnx
from bhar_export.onnx.quantize import GraphQuantizer
from bhar_export.quantization.calibration_clips import load_features
from bhar_export.quantization.ranges import RangeMethod
from bhar_export.quantization.selection import Quantizer
from bhar_export.quantization.verify import difference, run_exported, run_torch
from bhar_export.targets import DEVICES
from bhar_export.tensorrt import target as tensorrt
from bhar_training.checkpoint import load_checkpoint
from bharsdk.bundle.bundle import Bundle, Precision, load_bundle
from bharsdk.engines.engine import Backend, backends_of, open_engine
from bharsdk.engines.golden_check import read_golden, verify_bundle

WORDS = Path(__file__).parents[2] / "data" / "words.npz"
Export = Callable[..., int]


def _made(export: Export, tmp_path: Path, *arguments: object) -> Bundle:
    assert export(*arguments) == 0
    return load_bundle(tmp_path / "model.bhar")


@pytest.mark.long
def test_half_precision_is_half_the_size_and_next_to_exact(export: Export, tmp_path: Path) -> None:
    bundle = _made(export, tmp_path, "--target", "all", "--precision", "fp16", "--eval", WORDS)
    assert bundle.manifest.precision is Precision.FP16
    forms = bundle.report["forms"]
    assert "float32 or integers" in forms.pop("native-fp16")["reason"]
    for target in ("onnx", "tflite"):
        half, whole = forms[f"{target}-fp16"], forms[f"{target}-fp32"]
        assert half["size_bytes"] < 0.55 * whole["size_bytes"]
        assert 0 < half["difference"]["relative"] < 5e-3
        assert half["drop_points"] <= 1.0
    assert forms["jetson-fp16"]["status"] == "ok"
    assert bundle.tensorrt_file == "model.fp16.onnx"
    assert set(backends_of(bundle)) == {Backend.ONNX, Backend.TFLITE, Backend.TENSORRT}
    for backend in (Backend.ONNX, Backend.TFLITE):
        assert verify_bundle(bundle, backend).clips == 3
    golden = read_golden(bundle)
    logits = open_engine(bundle, Backend.ONNX).run(golden.inputs)
    assert logits.dtype == np.float32


def test_mixed_says_what_it_keeps_in_float_and_why(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--calib", WORDS, "--calib-signers", "s1", "--eval", WORDS, "--eval-signers", "s2")
    mixed = ("--target", "native", "--precision", "mixed")
    bundle = _made(export, tmp_path, *mixed, *data, "--max-drop", 5)
    assert bundle.manifest.precision is Precision.MIXED
    form = bundle.report["forms"]["native-mixed"]
    assert form["drop_points"] <= 5
    said = capsys.readouterr().out
    assert f"native-mixed: {form['selection']['ranges']} ranges" in said
    for layer, error in form["selection"]["in_float"].items():
        assert f"{layer} stays in float: alone in integers its error is {error:.4f}" in said
    assert verify_bundle(bundle, Backend.NATIVE).clips == 3


@pytest.mark.long
def test_every_quantizer_leaves_in_float_what_it_is_told_to(checkpoint: Path) -> None:
    loaded = load_checkpoint(checkpoint)
    clips = load_features(DataSpec(WORDS, ("s1",)), loaded.meta).evenly(6)
    module = deploy(loaded.model)
    graph = to_onnx(module, loaded.meta.features)
    shapes = {i.value: clips.inputs[i.value].shape[1:] for i in inputs_of(graph)}
    observed = GraphQuantizer(graph, clips)
    exact = run_torch(loaded.model, clips)
    batches = clips.batches([*shapes])
    quantizers: list[Quantizer] = [
        onnx.OnnxQuantizer(observed),
        tensorrt.TensorrtQuantizer(observed),
        native.NativeQuantizer(module, shapes, len(loaded.meta.labels), batches),
        tflite.TfliteQuantizer(tflite.build(module, shapes), clips),
    ]
    for quantizer in quantizers:
        errors = [
            difference(exact, run_exported(quantizer.build(RangeMethod.MIN_MAX, kept), clips))
            for kept in ((), quantizer.layers)
        ]
        assert len(quantizer.layers) > 10, quantizer
        assert errors[1].relative < 0.9 * errors[0].relative, quantizer


@pytest.mark.parametrize(
    "device", [pytest.param("android", marks=pytest.mark.long), "raspberry-pi-5"]
)
def test_a_device_names_its_targets(export: Export, tmp_path: Path, device: str) -> None:
    bundle = _made(export, tmp_path, "--device", device)
    expected = {Backend(target.value) for target in DEVICES[device].targets}
    assert set(backends_of(bundle)) == {Backend.ONNX, *expected}


def test_an_unknown_device_is_refused_with_those_there_are(
    export: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        export("--device", "jetson-nano-2019")
    assert refused.value.code == 2
    assert "orin-nano" in capsys.readouterr().err
