"""Target ``onnx``: CPUs, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from bhar_export.graph.exported_model import ExportedModel, exported_onnx
from bhar_export.graph.graph import logits_alone
from bhar_export.onnx.quantize import GraphQuantizer, Profile, integer_nodes
from bhar_export.quantization.job import ExportJob
from bhar_export.quantization.ranges import RangeMethod
from bhar_export.targets import Target
from bhar_training.console.quiet import quiet
from bharsdk.bundle.bundle import Precision
from bharsdk.errors import UsageError

__all__ = ["OnnxQuantizer", "build", "graph_quantizer", "models"]


def build(graph: onnx.ModelProto, precision: Precision = Precision.FP32) -> ExportedModel:
    """The graph in float32, or in half precision; inputs and logits are float32 all the same."""
    if precision is Precision.FP16:
        with quiet():
            graph = convert_float_to_float16(logits_alone(graph), keep_io_types=True)
    elif precision is not Precision.FP32:
        raise UsageError(f"target onnx: got {precision.value}, which a quantizer makes")
    return exported_onnx(precision, graph.SerializeToString(deterministic=True))


@dataclass(frozen=True)
class OnnxQuantizer:
    """A ``quantization.selection.Quantizer``. profile: for whose integer kernels."""

    graph: GraphQuantizer
    precision: Precision = Precision.INT8
    profile: ClassVar[Profile] = Profile.CPU

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of nodes."""
        return self.graph.layers

    def build(self, ranges: RangeMethod, in_float: Collection[str] = ()) -> ExportedModel:
        """The graph with Q/DQ."""
        made = self.kept(self.graph.quantized(self.profile, ranges, in_float))
        return self.exported(made.SerializeToString(deterministic=True))

    def kept(self, graph: onnx.ModelProto) -> onnx.ModelProto:
        """What is kept of a graph: all of it."""
        return graph

    def exported(self, model: bytes) -> ExportedModel:
        """The form that ``model`` is."""
        return replace(exported_onnx(self.precision, model), nodes=partial(integer_nodes, model))


def models(job: ExportJob) -> Iterator[ExportedModel]:
    """Yield the graph in float32, the step form of a causal model, and the asked precision."""
    yield build(job.model.graph)
    yield from job.step_models(Target.ONNX)
    if job.precision is Precision.FP16:
        yield build(job.model.graph, Precision.FP16)
    if job.precision.in_integers:
        yield job.chosen(OnnxQuantizer(graph_quantizer(job), job.precision))


def graph_quantizer(job: ExportJob) -> GraphQuantizer:
    """Return the quantizer of all targets that are ONNX graphs: tensors are observed once."""
    return job.shared("graph", lambda: GraphQuantizer(job.model.graph, job.clips))
