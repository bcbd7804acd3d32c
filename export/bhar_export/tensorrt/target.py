"""Target ``jetson``: the graph from which TensorRT builds its engine on the device.

Q/DQ as TensorRT's parser takes it: signed bytes, symmetric, weights per channel, biases in float.
An engine holds for one GPU and one TensorRT, so none is made here: ``tensorrt-rtx`` builds the
graph for GPUs that need not be there, and what it refuses is refused here. ONNX Runtime runs the
same graph, which is how its accuracy is known.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import onnx

from bhar_export.graph.exported_model import ExportedModel, onnx_runner
from bhar_export.graph.graph import logits_alone
from bhar_export.graph.spec import GPUS
from bhar_export.onnx.quantize import Profile
from bhar_export.onnx.target import OnnxQuantizer, graph_quantizer
from bhar_export.onnx.target import build as build_onnx
from bhar_export.quantization.job import ExportJob
from bhar_export.targets import Target
from bharsdk.bundle.bundle import QDQ_LOGITS, QDQ_MODEL, Precision
from bharsdk.engines.tensorrt_build import build_engine
from bharsdk.errors import BackendMissingError, BundleError, UsageError

__all__ = ["TensorrtQuantizer", "accepted_by_tensorrt", "build_half", "models"]


class TensorrtQuantizer(OnnxQuantizer):
    """The same in TensorRT's profile. What it makes is still to be accepted."""

    profile = Profile.TENSORRT

    def kept(self, graph: onnx.ModelProto) -> onnx.ModelProto:
        """Logits alone: an embedding would be computed for nothing."""
        return logits_alone(graph)

    def exported(self, model: bytes) -> ExportedModel:
        """The form that ``model`` is; ONNX Runtime runs it."""
        reads, run, _ = onnx_runner(model)
        files = {QDQ_MODEL: model}
        return ExportedModel(Target.JETSON, self.precision, files, reads, run, None, QDQ_LOGITS)


def build_half(graph: onnx.ModelProto) -> ExportedModel:
    """The graph in half precision: the one of target ``onnx``."""
    half = build_onnx(graph, Precision.FP16)
    return replace(half, target=Target.JETSON, backend=None)


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


def models(job: ExportJob) -> Iterator[ExportedModel]:
    """Yield the graph in half precision or integers, once TensorRT has accepted it.

    Raises UsageError for float32, and when TensorRT refuses the graph.
    """
    if job.precision is Precision.FP32:
        raise UsageError("target jetson: got fp32, expected --precision fp16, int8 or mixed")
    if job.precision is Precision.FP16:
        exported = build_half(job.model.graph)
    else:
        exported = job.chosen(TensorrtQuantizer(graph_quantizer(job), job.precision))
    (graph,) = exported.files.values()
    accepted_by_tensorrt(graph, job.model.shapes, job.spec.gpus)
    yield exported
