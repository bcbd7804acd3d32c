"""The promise of ``--target all``: every form is made, measured, and replayed from the bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from bharsdk.bundle.bundle import load_bundle
from bharsdk.engines.engine import Backend
from bharsdk.engines.golden_check import verify_bundle

FORMS = ("onnx", "native", "tflite")


def test_every_form_is_ok_and_measured(every_target: Path) -> None:
    forms = load_bundle(every_target).report["forms"]
    both = [f"{target}-{precision}" for target in FORMS for precision in ("fp32", "int8")]
    assert set(forms) == {*both, "jetson-int8"}
    for name, form in forms.items():
        assert form["status"] == "ok", name
        assert form["difference"]["cosine"] > 0.9, name
        assert form["latency_ms"] > 0 < form["size_bytes"], name
    for name in ("onnx-fp32", "native-fp32", "tflite-fp32"):
        assert forms[name]["difference"]["relative"] <= 1e-5, name


@pytest.mark.parametrize("backend", [Backend.AUTO, Backend.ONNX, Backend.NATIVE, Backend.TFLITE])
def test_every_back_end_gives_its_golden_logits(every_target: Path, backend: Backend) -> None:
    bundle = load_bundle(every_target)
    assert verify_bundle(bundle, backend).max_abs_difference <= bundle.manifest.golden_tolerance
