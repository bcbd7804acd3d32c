"""What of an INT8 model is chosen by measurement: its ranges, and the layers left in float.

A target's quantizer makes forms of one model; which ranges it takes is decided by how far they move
the logits of calibration clips. ``mixed`` also leaves layers in float, the most sensitive first,
until the form passes its gate. A layer's sensitivity is how far the logits move when it alone is in
integers. (Wu et al. 2020, "Integer Quantization for Deep Learning Inference", section 5.1)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bhar_export.graph.exported_model import ExportedModel, Selection
from bhar_export.quantization.calibration_clips import LabeledFeatures
from bhar_export.quantization.ranges import RangeMethod
from bhar_export.quantization.verify import difference, run_all_exported

__all__ = ["JUDGED_CLIPS", "Judge", "Quantizer", "quantize", "sensitivities"]

FloatArray = npt.NDArray[np.float32]

JUDGED_CLIPS = 32
"""Calibration clips whose logits say which ranges are best."""
SENSITIVITY_CLIPS = 16
"""And how sensitive a layer is: each costs a graph and a session."""


class Quantizer(Protocol):
    """Of one target: INT8 forms of one model, calibrated."""

    @property
    def layers(self) -> Sequence[str]:
        """Those that it computes in integers, by the target's own names."""
        ...

    def build(self, ranges: RangeMethod, in_float: Collection[str] = ()) -> ExportedModel:
        """The form whose ranges are those of ``ranges``, with some of ``layers`` in float."""
        ...


@dataclass(frozen=True, eq=False)
class Judge:
    """Who says how good a form is: calibration clips, their exact logits, and the gate.

    exact: logits of ``clips``, [N, classes], of the model in float32. passes: whether a form passes
    the accuracy gate. progress: told what is tried.
    """

    clips: LabeledFeatures
    exact: FloatArray
    passes: Callable[[ExportedModel], bool]
    progress: Callable[[str], None] = lambda what: None

    def errors(self, forms: Sequence[ExportedModel], count: int = JUDGED_CLIPS) -> list[float]:
        """Of each, relative, of the logits of ``count`` clips; infinite if one is not finite."""
        keep = self.clips.evenly_spread(count)
        found = [
            difference(self.exact[keep], logits)
            for logits in run_all_exported(forms, self.clips.at(keep))
        ]
        return [off.relative if off.finite else float("inf") for off in found]


def quantize(quantizer: Quantizer, judge: Judge, *, mixed: bool) -> ExportedModel:
    """The form with the best ranges; ``mixed``: and with layers in float until the gate passes.

    One that fails with every layer in float is returned as it is: the gate refuses it.
    """
    tried = {method: quantizer.build(method) for method in RangeMethod}
    errors = dict(zip(tried, judge.errors([*tried.values()]), strict=True))
    best = min(errors, key=lambda method: errors[method])
    form, in_float = tried[best], dict[str, float]()
    if mixed and not judge.passes(form):
        for in_float in _more_and_more(sensitivities(quantizer, best, judge)):
            form = quantizer.build(best, in_float)
            if judge.passes(form):
                break
    measured = {method.value: error for method, error in errors.items()}
    return replace(form, selection=Selection(best.value, measured, in_float))


def sensitivities(quantizer: Quantizer, ranges: RangeMethod, judge: Judge) -> dict[str, float]:
    """Layer -> error when it alone is in integers, the most sensitive first."""
    layers = quantizer.layers
    found = {}
    for index, layer in enumerate(layers):
        judge.progress(f"quantize: layer {index + 1} of {len(layers)} alone in integers")
        others = [name for name in layers if name != layer]
        (found[layer],) = judge.errors([quantizer.build(ranges, others)], SENSITIVITY_CLIPS)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _more_and_more(ranked: dict[str, float]) -> Iterator[dict[str, float]]:
    """The first one, two, four, ... of ``ranked``; at last all."""
    count = 1
    while count < len(ranked):
        yield dict(list(ranked.items())[:count])
        count *= 2
    yield ranked
