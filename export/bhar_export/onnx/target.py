"""Target ``onnx``: CPUs, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from bhar_export.graph.exported_model import Artefact, onnx_artefact
from bhar_export.graph.graph import logits_alone
from bhar_export.onnx.quantize import GraphQuantiser, Profile, integer_nodes
from bhar_export.quantization.ranges import RangeMethod
from bhar_training.console.quiet import quiet
from bharsdk.bundle.bundle import Precision
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
    """See :class:`bhar_export.quantization.selection.Quantiser`. profile: for whose integer kernels."""

    graph: GraphQuantiser
    precision: Precision = Precision.INT8
    profile: ClassVar[Profile] = Profile.CPU

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of nodes."""
        return self.graph.layers

    def build(self, ranges: RangeMethod, in_float: Collection[str] = ()) -> Artefact:
        """The graph with Q/DQ."""
        made = self.kept(self.graph.quantised(self.profile, ranges, in_float))
        return self.artefact(made.SerializeToString(deterministic=True))

    def kept(self, graph: onnx.ModelProto) -> onnx.ModelProto:
        """What is kept of a graph: all of it."""
        return graph

    def artefact(self, model: bytes) -> Artefact:
        """The form that ``model`` is."""
        return replace(onnx_artefact(self.precision, model), nodes=partial(integer_nodes, model))
