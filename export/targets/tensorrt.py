"""Target ``jetson``: the graph from which TensorRT builds its engine on the device.

Q/DQ as TensorRT's parser takes it: signed bytes, symmetric, weights per channel, biases in float.
An engine holds for one GPU and one TensorRT, so none is made here: ``tensorrt-rtx`` builds the
graph for GPUs that need not be there, and what it refuses is refused here. ONNX Runtime runs the
same graph, which is how its accuracy is known.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import onnx

from bhar_export.artefacts import Artefact, onnx_runner
from bhar_export.calibrate import LabelledFeatures
from bhar_export.quantize import Profile, quantize
from bhar_export.spec import Target
from bharsdk.bundle import QDQ_LOGITS, QDQ_MODEL, Precision
from bharsdk.engines.tensorrt_build import build_engine
from bharsdk.errors import BackendMissingError, BundleError, UsageError

__all__ = ["CAPABILITIES", "accepted_by_tensorrt", "build"]

CAPABILITIES = ("SM86", "SM120")
"""GPUs that TensorRT-RTX builds for: of Orin's generation (SM87 itself it lacks) and of Thor's."""


def build(
    graph: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], clips: LabelledFeatures | None
) -> list[Artefact]:
    """The graph with Q/DQ, its ranges from ``clips``.

    Raises UsageError without clips or when TensorRT refuses the graph, BackendMissingError where
    ``tensorrt-rtx`` is not installed.
    """
    if clips is None:
        raise UsageError("target jetson is an INT8 graph: add --int8 --calib DATA")
    quantised = quantize(graph, clips, Profile.TENSORRT)
    model = quantised.SerializeToString(deterministic=True)
    accepted_by_tensorrt(model, shapes)
    reads, run = onnx_runner(model)
    files = {QDQ_MODEL: model}
    return [Artefact(Target.JETSON, Precision.INT8, files, reads, run, None, QDQ_LOGITS)]


def accepted_by_tensorrt(model: bytes, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
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
            for name in CAPABILITIES
        }
    except BundleError as error:
        raise UsageError(str(error)) from error
