"""Target ``onnx``: CPUs, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from bhar_export.artefacts import Artefact, onnx_artefact
from bhar_export.graph import logits_alone
from bhar_export.quantize import GraphQuantiser, integer_nodes
from bhar_export.ranges import RangeMethod
from bhar_training.quiet import quiet
from bharsdk.bundle import Precision
from bharsdk.errors import UsageError

__all__ = ["OnnxQuantiser", "build"]


def build(graph: onnx.ModelProto, precision: Precision = Precision.FP32) -> Artefact:
    """The graph in float32, or in half precision; inputs and logits are float32 all the same."""
    if precision is Precision.FP16:
        with quiet():
            graph = convert_float_to_float16(logits_alone(graph), keep_io_types=True)
    elif precision is not Precision.FP32:
        raise UsageError(f"target onnx: got {precision.value}, which a quantiser makes")
    return onnx_artefact(precision, graph.SerializeToString(deterministic=True))


@dataclass(frozen=True)
class OnnxQuantiser:
    """See :class:`bhar_export.selection.Quantiser`."""

    graph: GraphQuantiser
    precision: Precision = Precision.INT8

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of nodes."""
        return self.graph.layers

    def build(self, ranges: RangeMethod, in_float: Collection[str] = ()) -> Artefact:
        """The graph with Q/DQ."""
        made = self.graph.quantised(ranges=ranges, in_float=in_float)
        model = made.SerializeToString(deterministic=True)
        nodes = partial(integer_nodes, model)
        return replace(onnx_artefact(self.precision, model), nodes=nodes)
