"""One export as its targets see it: the model, the precision, and what integers need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from onnx import ModelProto
from torch import nn

from bhar_export.graph.exported_model import ExportedModel, form_name
from bhar_export.graph.spec import ExportSpec
from bhar_export.quantization.calibration_clips import MAX_CALIBRATION_CLIPS, LabeledFeatures
from bhar_export.quantization.selection import Judge, Quantizer, quantize
from bhar_export.targets import Target
from bharsdk.bundle.bundle import Precision
from bharsdk.errors import BackendMissingError, UsageError

__all__ = ["Deployed", "ExportJob", "QuantizationData"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Deployed:
    """A model as it is exported.

    Attributes:
        module: the deployed network.
        graph: the same in float32 ONNX.
        shapes: of each input, without batch.
        classes: how many logits it has.
        step: makes the step form for a target; None for a model that is not causal.
    """

    module: nn.Module
    graph: ModelProto
    shapes: Mapping[str, tuple[int, ...]]
    classes: int
    step: Callable[[Target], ExportedModel] | None = None


@dataclass(frozen=True, eq=False)
class QuantizationData:
    """What integers need: ``clips`` that set their ranges, and a judge of what they make."""

    clips: LabeledFeatures
    judge: Judge


@dataclass(eq=False)
class ExportJob:
    """One export. A target's ``models(job)`` reads it and yields what it makes.

    Attributes:
        spec: what was asked for.
        model: the model.
        data: what integers need; None where none are asked for.
        impossible: name of an exported model that cannot be made -> why.
    """

    spec: ExportSpec
    model: Deployed
    data: QuantizationData | None
    impossible: dict[str, str] = field(default_factory=dict)
    _shared: dict[str, Any] = field(default_factory=dict)

    @property
    def precision(self) -> Precision:
        """Return the number format that was asked for."""
        return self.spec.precision

    @property
    def clips(self) -> LabeledFeatures:
        """Return the clips that set the ranges of integers, evenly chosen."""
        assert self.data is not None, "ExportSpec refuses integers without such clips"
        return self.data.clips.evenly(MAX_CALIBRATION_CLIPS)

    def shared(self, name: str, make: Callable[[], T]) -> T:
        """Return what ``make`` makes; targets that ask for the same ``name`` share it."""
        if name not in self._shared:
            self._shared[name] = make()
        made: T = self._shared[name]
        return made

    def chosen(self, quantizer: Quantizer) -> ExportedModel:
        """Return the best integer model of ``quantizer``, by measurement."""
        assert self.data is not None
        mixed = self.precision is Precision.MIXED
        return quantize(quantizer, self.data.judge, mixed=mixed)

    def step_models(self, target: Target) -> Iterator[ExportedModel]:
        """Yield the step form of a causal model: one frame in, in float32; else nothing."""
        if self.model.step is None:
            return
        try:
            yield self.model.step(target)
        except (UsageError, BackendMissingError) as error:
            self.impossible[form_name(target, Precision.FP32, step=True)] = str(error)
