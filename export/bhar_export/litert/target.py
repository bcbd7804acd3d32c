"""Target ``tflite``: phones and small boards, run by LiteRT.

litert-torch converts the deployed torch model, ai-edge-quantizer quantizes it: weights and
activations in eight bits, bytes in and out where the accuracy allows it.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from bhar_export.graph.exported_model import ExportedModel
from bhar_export.graph.graph import OfInputs
from bhar_export.litert.quantize import FlatbufferQuantizer, halved
from bhar_export.litert.rewrite import InOperatorsOfLiteRt, litert_form
from bhar_export.litert.tools import imported, silent
from bhar_export.quantization.calibration_clips import LabeledFeatures
from bhar_export.quantization.job import ExportJob
from bhar_export.quantization.ranges import RangeMethod
from bhar_export.targets import Target
from bharsdk.bundle.bundle import GOLDEN, TFLITE_LOGITS, TFLITE_MODEL, Precision
from bharsdk.engines.engine import Backend
from bharsdk.engines.tflite import TfliteModel
from bharsdk.errors import UsageError

__all__ = ["TfliteQuantizer", "build", "build_half", "convert", "convert_called", "models"]


def build(model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> ExportedModel:
    """The deployed ``model`` in float32.

    shapes: of what it reads, without batch, by name. Raises BackendMissingError where the
    converters are not installed, UsageError for a model that they cannot convert.
    """
    return _exported(Precision.FP32, convert(model, shapes))


def build_half(in_float32: ExportedModel) -> ExportedModel:
    """The same with weights in half precision; it computes in float32."""
    return _exported(Precision.FP16, halved(in_float32.files[TFLITE_MODEL]), TFLITE_LOGITS)


class TfliteQuantizer:
    """A ``quantization.selection.Quantizer``. in_float32: the model to quantize."""

    def __init__(
        self,
        in_float32: ExportedModel,
        clips: LabeledFeatures,
        precision: Precision = Precision.INT8,
    ) -> None:
        one_by_one = clips.batches(in_float32.reads, 1)
        self._quantizer = FlatbufferQuantizer(in_float32.files[TFLITE_MODEL], one_by_one)
        self._precision = precision

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the tensors that they give."""
        return self._quantizer.layers

    def build(self, ranges: RangeMethod, in_float: Collection[str] = ()) -> ExportedModel:
        """The model in INT8."""
        flatbuffer = self._quantizer.quantized(ranges, in_float)
        form = _exported(self._precision, flatbuffer, TFLITE_LOGITS)
        return replace(form, nodes=partial(self._quantizer.nodes, in_float))


def convert(model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """The flatbuffer of the deployed ``model``, for one clip at a time."""
    examples = {name: torch.zeros(1, *shape) for name, shape in shapes.items()}
    return convert_called(OfInputs(model), examples)


def convert_called(model: nn.Module, examples: Mapping[str, torch.Tensor]) -> bytes:
    """The flatbuffer of ``model`` as it is called with ``examples``, by the same names."""
    with silent():
        litert_torch = imported("litert_torch")
        form = litert_form(copy.deepcopy(model)).eval()
        try:
            with InOperatorsOfLiteRt():
                converted = litert_torch.convert(form, (), sample_kwargs=dict(examples))
        # Its exceptions are those of torch, jax and MLIR, without a common class.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(
                f"target tflite: litert-torch cannot convert this: {reason}"
            ) from error
        return bytes(converted.model_content())


def _exported(
    precision: Precision, flatbuffer: bytes, golden: str = GOLDEN["logits"]
) -> ExportedModel:
    model = TfliteModel(flatbuffer, TFLITE_MODEL)
    return ExportedModel(
        target=Target.TFLITE,
        precision=precision,
        files={TFLITE_MODEL: flatbuffer},
        reads=tuple(model.inputs),
        run=model.run,
        backend=Backend.TFLITE,
        golden=golden,
    )


def models(job: ExportJob) -> Iterator[ExportedModel]:
    """Yield the model in float32, the step form of a causal model, and the asked precision."""
    in_float32 = build(job.model.module, job.model.shapes)
    yield in_float32
    yield from job.step_models(Target.TFLITE)
    if job.precision is Precision.FP16:
        yield build_half(in_float32)
    if job.precision.in_integers:
        yield job.chosen(TfliteQuantizer(in_float32, job.clips, job.precision))
