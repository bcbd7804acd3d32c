"""Target ``onnx``: CPUs, run by ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from bhar_export.calibrate import LabelledFeatures
from bhar_export.quantize import quantize
from bharsdk.bundle import Precision
from bharsdk.errors import assert_never

__all__ = ["OnnxArtefacts", "build"]


@dataclass(frozen=True, eq=False)
class OnnxArtefacts:
    """The graphs of one export. shipped: the precision that runs."""

    shipped: Precision
    models: dict[Precision, bytes]

    def files(self, *, keep_fp32: bool) -> dict[str, bytes]:
        """The files of the bundle, by name. A bundle for INT8 leaves the float copy out."""
        kept = {self.shipped, *([Precision.FP32] if keep_fp32 else [])}
        return {p.model_file: self.models[p] for p in self.models if p in kept}


def build(
    graph: onnx.ModelProto, precision: Precision, calibration: LabelledFeatures | None
) -> OnnxArtefacts:
    """The float32 graph and, for INT8, the quantised one."""
    models = {Precision.FP32: graph.SerializeToString(deterministic=True)}
    match precision:
        case Precision.FP32:
            pass
        case Precision.INT8:
            assert calibration is not None, "ExportSpec refuses int8 without calibration"
            quantised = quantize(graph, calibration)
            models[precision] = quantised.SerializeToString(deterministic=True)
        case _:
            assert_never(precision)
    return OnnxArtefacts(precision, models)
