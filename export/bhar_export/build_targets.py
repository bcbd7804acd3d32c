"""Every form of a model that one export asks for, of each target: float, half, integers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from onnx import ModelProto
from torch import nn

from bhar_export.graph.exported_model import ExportedModel, form_name
from bhar_export.graph.spec import ExportSpec, Target
from bhar_export.litert import target as tflite
from bhar_export.native import target as native
from bhar_export.onnx import target as onnx
from bhar_export.onnx.quantize import GraphQuantizer
from bhar_export.quantization.calibration_clips import MAX_CALIBRATION_CLIPS, LabeledFeatures
from bhar_export.quantization.selection import Judge, Quantizer, quantize
from bhar_export.step import target as step
from bhar_export.step.form import is_causal
from bhar_export.tensorrt import target as tensorrt
from bharsdk.bundle.bundle import Precision
from bharsdk.errors import BackendMissingError, BundleError, UsageError, assert_never

__all__ = ["Calibrated", "Deployed", "make_forms"]


@dataclass(frozen=True, eq=False)
class Deployed:
    """A model as it is exported. shapes: of what it reads, without batch, by name."""

    module: nn.Module
    graph: ModelProto
    shapes: Mapping[str, tuple[int, ...]]
    classes: int


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What integers need: ``clips`` for their ranges, and who judges what they make."""

    clips: LabeledFeatures
    judge: Judge


def make_forms(
    spec: ExportSpec,
    model: Deployed,
    calibrated: Calibrated | None,
    done: Callable[[ExportedModel], None] = lambda form: None,
) -> tuple[list[ExportedModel], dict[str, str]]:
    """The forms of all targets, and of those that cannot be made: name -> why.

    done: told each as soon as it is made. The first is the ONNX graph in float32, whatever the
    targets. A target that is not possible raises UsageError or BackendMissingError if it is the
    only one.
    """
    maker = _Maker(spec, model, calibrated)
    made: list[ExportedModel] = []
    for target in dict.fromkeys((Target.ONNX, *spec.targets)):
        try:
            for form in maker.forms(target):
                made.append(form)  # those before one that fails are kept
                done(form)
        except (UsageError, BackendMissingError, BundleError) as error:
            if len(spec.targets) == 1:
                raise
            maker.impossible[form_name(target, spec.precision)] = str(error)
    return made, maker.impossible


@dataclass(eq=False)
class _Maker:
    spec: ExportSpec
    model: Deployed
    calibrated: Calibrated | None
    impossible: dict[str, str] = field(default_factory=dict)

    def forms(self, target: Target) -> Iterator[ExportedModel]:
        match target:
            case Target.ONNX:
                return self._onnx()
            case Target.NATIVE:
                return self._native()
            case Target.TFLITE:
                return self._tflite()
            case Target.JETSON:
                return self._jetson()
            case _:
                assert_never(target)

    def _onnx(self) -> Iterator[ExportedModel]:
        yield onnx.build(self.model.graph)
        yield from self._step(Target.ONNX)
        if self.precision is Precision.FP16:
            yield onnx.build(self.model.graph, Precision.FP16)
        if self.precision.in_integers:
            yield self._chosen(onnx.OnnxQuantizer(self._graph, self.precision))

    def _native(self) -> Iterator[ExportedModel]:
        model = self.model.module, self.model.shapes, self.model.classes
        yield native.build(*model)
        if self.precision is Precision.FP16:
            raise UsageError("target native computes in float32 or integers: fp32, int8 or mixed")
        if self.precision.in_integers:
            clips = self._clips.batches(tuple(self.model.shapes))
            yield self._chosen(native.NativeQuantizer(*model, clips, self.precision))

    def _tflite(self) -> Iterator[ExportedModel]:
        in_float32 = tflite.build(self.model.module, self.model.shapes)
        yield in_float32
        yield from self._step(Target.TFLITE)
        if self.precision is Precision.FP16:
            yield tflite.build_half(in_float32)
        if self.precision.in_integers:
            yield self._chosen(tflite.TfliteQuantizer(in_float32, self._clips, self.precision))

    def _jetson(self) -> Iterator[ExportedModel]:
        if self.precision is Precision.FP32:
            raise UsageError("target jetson: got fp32, expected --precision fp16, int8 or mixed")
        if self.precision is Precision.FP16:
            form = tensorrt.build_half(self.model.graph)
        else:
            form = self._chosen(tensorrt.TensorrtQuantizer(self._graph, self.precision))
        (graph,) = form.files.values()
        tensorrt.accepted_by_tensorrt(graph, self.model.shapes, self.spec.gpus)
        yield form

    def _step(self, target: Target) -> Iterator[ExportedModel]:
        """Of a causal model: one frame in, state as inputs and outputs; in float32."""
        if not is_causal(self.model.module):
            return
        try:
            yield step.build(target, self.model.module, self.model.shapes, self.precision)
        except (UsageError, BackendMissingError) as error:
            self.impossible[form_name(target, Precision.FP32, step=True)] = str(error)

    @property
    def precision(self) -> Precision:
        return self.spec.precision

    @property
    def _clips(self) -> LabeledFeatures:
        assert self.calibrated is not None, "ExportSpec refuses integers without calibration"
        return self.calibrated.clips.evenly(MAX_CALIBRATION_CLIPS)

    @cached_property
    def _graph(self) -> GraphQuantizer:
        """Of both targets that are ONNX graphs: their tensors are observed once."""
        return GraphQuantizer(self.model.graph, self._clips)

    def _chosen(self, quantizer: Quantizer) -> ExportedModel:
        assert self.calibrated is not None
        mixed = self.precision is Precision.MIXED
        return quantize(quantizer, self.calibrated.judge, mixed=mixed)
