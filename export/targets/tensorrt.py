"""Target ``jetson``: the graph from which TensorRT builds its engine on the device.

Q/DQ as TensorRT's parser takes it: signed bytes, symmetric, weights per channel, biases in float.
An engine holds for one GPU and one TensorRT, so none is made here: ``tensorrt-rtx`` builds the
graph for GPUs that need not be there, and what it refuses is refused here. ONNX Runtime runs the
same graph, which is how its accuracy is known.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import onnx

from bhar_export.artefacts import Artefact, onnx_runner
from bhar_export.graph import logits_alone
from bhar_export.quantize import GraphQuantiser, Profile
from bhar_export.ranges import RangeMethod
from bhar_export.spec import GPUS, Target
from bhar_export.targets import onnx as onnx_target
from bharsdk.bundle import QDQ_LOGITS, QDQ_MODEL, Precision
from bharsdk.engines.tensorrt_build import build_engine
from bharsdk.errors import BackendMissingError, BundleError, UsageError

__all__ = ["TensorrtQuantiser", "accepted_by_tensorrt", "build_half"]


@dataclass(frozen=True)
class TensorrtQuantiser:
    """See :class:`bhar_export.selection.Quantiser`. What it makes is still to be accepted."""

    graph: GraphQuantiser
    precision: Precision = Precision.INT8

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of nodes."""
        return self.graph.layers

    def build(self, ranges: RangeMethod, in_float: Collection[str] = ()) -> Artefact:
        """The graph with Q/DQ."""
        made = self.graph.quantised(Profile.TENSORRT, ranges, in_float)
        return _artefact(self.precision, QDQ_MODEL, made, QDQ_LOGITS)


def build_half(graph: onnx.ModelProto) -> Artefact:
    """The graph in half precision: the one of target ``onnx``."""
    half = onnx_target.build(graph, Precision.FP16)
    return replace(half, target=Target.JETSON, backend=None)


def _artefact(precision: Precision, file: str, graph: onnx.ModelProto, golden: str) -> Artefact:
    model = logits_alone(graph).SerializeToString(deterministic=True)
    reads, run, _ = onnx_runner(model)
    return Artefact(Target.JETSON, precision, {file: model}, reads, run, None, golden)


def accepted_by_tensorrt(
    model: bytes, shapes: Mapping[str, tuple[int, ...]], gpus: Iterable[str] = GPUS
) -> dict[str, int]:
    """GPU -> bytes of the engine that TensorRT-RTX builds for it; UsageError when it refuses."""
    try:
        trt = importlib.import_module("tensorrt_rtx")
    except ImportError as error:
        raise BackendMissingError(
            "target jetson is checked by tensorrt-rtx:  pip install 'bharsdk[export]'"
        ) from error
    try:
        return {
            name: len(build_engine(trt, model, shapes, "target jetson", capability=name))
            for name in gpus
        }
    except BundleError as error:
        raise UsageError(str(error)) from error
