"""Target ``onnx``: CPUs, run by ONNX Runtime."""

from __future__ import annotations

import onnx

from bhar_export.artefacts import Artefact, onnx_artefact
from bhar_export.calibrate import LabelledFeatures
from bhar_export.quantize import quantize
from bharsdk.bundle import Precision
from bharsdk.errors import assert_never

__all__ = ["build"]


def build(
    graph: onnx.ModelProto, precision: Precision, calibration: LabelledFeatures | None
) -> list[Artefact]:
    """The float32 graph and, for INT8, the quantised one."""
    made = [onnx_artefact(Precision.FP32, graph.SerializeToString(deterministic=True))]
    match precision:
        case Precision.FP32:
            pass
        case Precision.INT8:
            assert calibration is not None, "ExportSpec refuses int8 without calibration"
            quantised = quantize(graph, calibration)
            made.append(onnx_artefact(precision, quantised.SerializeToString(deterministic=True)))
        case _:
            assert_never(precision)
    return made
