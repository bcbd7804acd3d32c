"""Promises of ``mixed``: the layers that lose most stay in float, until the gate passes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest

from bhar_export.graph.exported_model import ExportedModel
from bhar_export.quantization.calibration_clips import LabeledFeatures
from bhar_export.quantization.ranges import RangeMethod
from bhar_export.quantization.selection import Judge, quantize, sensitivities
from bhar_export.targets import Target
from bharsdk.bundle.bundle import Precision

FloatArray = npt.NDArray[np.float32]
JudgeOf = Callable[[float], Judge]
LOSES = {"enter": 0.5, "middle": 0.01, "late": 0.1, "head": 0.02}
"""How far each layer moves the logits when it is in integers."""


@dataclass
class Layers:
    """A quantizer whose layers lose what ``LOSES`` says; percentile ranges lose half."""

    built: list[frozenset[str]] = field(default_factory=list)
    layers: tuple[str, ...] = tuple(LOSES)

    def build(self, ranges: RangeMethod, in_float: Collection[str] = ()) -> ExportedModel:
        self.built.append(frozenset(in_float))
        off = sum(loss for layer, loss in LOSES.items() if layer not in in_float)
        off *= 0.5 if ranges is RangeMethod.PERCENTILE else 1.0

        def run(inputs: Mapping[str, FloatArray]) -> FloatArray:
            return _exact(len(inputs["body"])) + np.float32(off)

        return ExportedModel(Target.ONNX, Precision.MIXED, {}, ("body",), run, None)


def _exact(clips: int) -> FloatArray:
    return np.tile(np.float32([1, 2, 3]), (clips, 1))


@pytest.fixture
def judge_of(noise: Callable[[int], LabeledFeatures]) -> JudgeOf:
    """A gate that takes logits off by at most so much."""
    clips = noise(5)
    one = {"body": clips.inputs["body"][:1]}
    return lambda off: Judge(clips, _exact(5), lambda form: bool(form.run(one)[0, 0] - 1 <= off))


def test_the_ranges_with_the_least_error_are_taken(judge_of: JudgeOf) -> None:
    form = quantize(Layers(), judge_of(1e9), mixed=False)
    assert form.selection is not None
    assert form.selection.ranges == "percentile"
    errors = form.selection.range_errors
    assert errors["min-max"] == pytest.approx(2 * errors["percentile"], rel=1e-4)
    assert form.selection.in_float == {}


def test_sensitivity_is_what_one_layer_alone_loses(judge_of: JudgeOf) -> None:
    found = sensitivities(Layers(), RangeMethod.MIN_MAX, judge_of(0))
    assert list(found) == ["enter", "late", "head", "middle"]
    assert found["enter"] / found["late"] == pytest.approx(5, rel=1e-3)


@pytest.mark.parametrize(
    ("off", "kept"),
    [
        (1.0, []),
        (0.07, ["enter"]),
        (0.02, ["enter", "late"]),
        (1e-6, list(LOSES)),
        (-1, list(LOSES)),
    ],
)
def test_the_worst_layers_stay_in_float_until_the_gate_passes(
    judge_of: JudgeOf, off: float, kept: list[str]
) -> None:
    form = quantize(Layers(), judge_of(off), mixed=True)
    assert form.selection is not None
    assert set(form.selection.in_float) == set(kept)
    errors = list(form.selection.in_float.values())
    assert errors == sorted(errors, reverse=True)
    assert judge_of(off).passes(form) is (off > 0)


def test_a_model_that_passes_is_not_searched(judge_of: JudgeOf) -> None:
    layers = Layers()
    quantize(layers, judge_of(1.0), mixed=True)
    assert len(layers.built) == len(RangeMethod)
