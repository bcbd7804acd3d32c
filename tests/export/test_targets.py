"""Promises of the table of targets: one row makes a target, and nothing else lists them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bhar_export import build_targets as loop
from bhar_export.targets import DEVICES, Target
from bharsdk.bundle.bundle import Precision
from bharsdk.errors import UsageError

ROOT = Path(__file__).parents[2]


def test_every_target_has_one_row_whose_module_makes_models() -> None:
    for target in Target:
        assert target.description
        assert callable(importlib.import_module(target.module).models)


def test_every_device_runs_targets_that_exist() -> None:
    for device in DEVICES.values():
        assert device.targets and set(device.targets) <= set(Target)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A target of another module in the place of ``tflite``: one row is all that changes."""
    asked: list[Any] = []
    module: Any = ModuleType("toy_target")

    def models(job: Any) -> Iterator[Any]:
        asked.append(job)
        yield SimpleNamespace(name="toy-fp32")
        if job.precision is Precision.INT8:
            raise UsageError("target toy: got int8, expected fp32")

    module.models = models
    monkeypatch.setitem(sys.modules, "toy_target", module)
    monkeypatch.setattr(Target.TFLITE, "module", "toy_target")
    onnx: Any = ModuleType("toy_onnx")
    onnx.models = lambda job: iter([SimpleNamespace(name="onnx-fp32")])
    monkeypatch.setitem(sys.modules, "toy_onnx", onnx)
    monkeypatch.setattr(Target.ONNX, "module", "toy_onnx")
    return asked


def _job(precision: Precision, *targets: Target) -> Any:
    spec = SimpleNamespace(targets=targets, precision=precision)
    return SimpleNamespace(spec=spec, precision=precision, impossible={})


def test_a_row_makes_a_target(toy: list[Any]) -> None:
    """Behind the graph of every bundle, told as it is made."""
    told: list[str] = []
    job = _job(Precision.FP32, Target.TFLITE)
    made = loop.build_targets(job, lambda exported: told.append(exported.name))
    assert [exported.name for exported in made] == told == ["onnx-fp32", "toy-fp32"]
    assert toy == [job]


def test_a_target_that_cannot_be_made_is_left_out_of_several_and_ends_one_alone(
    toy: list[Any],
) -> None:
    job = _job(Precision.INT8, Target.TFLITE, Target.ONNX)
    made = loop.build_targets(job)
    assert [exported.name for exported in made] == ["onnx-fp32", "toy-fp32"]
    assert job.impossible == {"tflite-int8": "target toy: got int8, expected fp32"}
    with pytest.raises(UsageError, match="target toy"):
        loop.build_targets(_job(Precision.INT8, Target.TFLITE))


def test_no_other_module_of_export_lists_the_targets() -> None:
    """Each target's own code names it; a second table would have to be kept up to date."""
    for path in (ROOT / "export/bhar_export").rglob("*.py"):
        if path.name != "targets.py":
            named = {t for t in Target if f"Target.{t.name}" in path.read_text()}
            assert len(named) <= 2, f"{path}: {named}"
