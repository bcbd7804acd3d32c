"""The proof that a bundle carries: what was measured, and the gates it had to pass."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bhar_export.graph.exported_model import ExportedModel, IntegerNodes, Selection
from bhar_export.graph.spec import MIN_CALIBRATION_CLIPS, ExportSpec
from bhar_export.quantization.calibration_clips import LabeledFeatures
from bhar_export.quantization.verify import (
    Accuracy,
    Difference,
    accuracy,
    deciding_inputs,
    difference,
    latency_ms,
    machine,
    tool_versions,
)
from bhar_training.checkpoint import Checkpoint
from bharsdk.bundle.bundle import Precision
from bharsdk.errors import AccuracyGateError, BharError, ParityError

__all__ = ["Evaluated", "Form", "Proof", "Status", "check_gates", "prove"]

FloatArray = npt.NDArray[np.float32]


class Status(enum.Enum):
    """What became of a form that was asked for."""

    OK = "ok"
    UNEQUAL = "failed: parity"
    INACCURATE = "failed: accuracy"
    IMPOSSIBLE = "not possible"


GATES: dict[Status, type[BharError]] = {
    Status.UNEQUAL: ParityError,
    Status.INACCURATE: AccuracyGateError,
}


@dataclass(frozen=True)
class Form:
    """One form of the model, measured. reason: why it is not ok.

    difference: of its logits from those of the checkpoint's own model, in torch. accuracy: None
    where there were no labeled clips. drop_points: top-1 that it loses, in points; below 0: gains.
    latency_ms: median of one clip, or of one frame of a step form, on one thread. nodes: what of a
    quantized form runs in integers, where that is known. selection: what was chosen for it by
    measurement.
    """

    status: Status
    reason: str = ""
    difference: Difference | None = None
    accuracy: Accuracy | None = None
    drop_points: float | None = None
    latency_ms: float | None = None
    size_bytes: int = 0
    nodes: IntegerNodes | None = None
    selection: Selection | None = None

    @property
    def state(self) -> str:
        """The status, and why."""
        return f"{self.status.value}: {self.reason}" if self.reason else self.status.value


@dataclass(frozen=True)
class Proof:
    """``report.json``. forms: by name, ``onnx-fp32`` first.

    evaluated_on: the clips behind every accuracy; empty when there were none. accuracy: of the
    checkpoint's own model, in torch. decides: label -> the input that its class hangs on. held_out:
    whether they are other clips than the calibration's. parity_clips: how many clips the
    differences are of. forced: written though a gate failed.
    """

    model: str
    parameters: int
    evaluated_on: str
    signers: tuple[str, ...]
    held_out: bool
    accuracy: Accuracy | None
    decides: dict[str, str]
    parity_clips: int
    max_drop_points: float
    forms: dict[str, Form]
    forced: bool
    machine: str
    warnings: tuple[str, ...]
    tools: dict[str, str]


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The evaluation clips, and logits of them, [N, classes].

    exact: of the checkpoint's own model, so that folding is under test too. logits: of each form,
    by name.
    """

    clips: LabeledFeatures
    exact: FloatArray
    logits: Mapping[str, FloatArray]


def prove(
    spec: ExportSpec,
    checkpoint: Checkpoint,
    exported_models: Sequence[ExportedModel],
    impossible: Mapping[str, str],
    calibration: LabeledFeatures | None,
    evaluated: Evaluated,
) -> Proof:
    """What ``evaluated`` says of each of ``exported_models``, the ONNX graph in float32 first.

    impossible: forms that were asked for and could not be made -> why.
    """
    meta, clips, exact = checkpoint.meta, evaluated.clips, evaluated.exact
    decides = deciding_inputs(exported_models[0], clips, meta) if clips.source else {}
    before = accuracy(exact, clips, meta, decides) if clips.source else None
    times = latency_ms(exported_models, clips)

    def measured(exported: ExportedModel, logits: FloatArray) -> Form:
        after = accuracy(logits, clips, meta, decides) if before is not None else None
        drop = None if before is None or after is None else 100 * (before.top1 - after.top1)
        off = difference(exact, logits)
        status, reason = _judged(spec, exported.quantized, off, before, after)
        return Form(
            status=status,
            reason=reason,
            difference=off,
            accuracy=after,
            drop_points=drop,
            latency_ms=round(times[exported.name], 3),
            size_bytes=exported.size,
            nodes=exported.nodes() if exported.nodes else None,
            selection=exported.selection,
        )

    forms = {a.name: measured(a, evaluated.logits[a.name]) for a in exported_models}
    failed = any(form.status in GATES for form in forms.values())
    forms |= {name: Form(Status.IMPOSSIBLE, why) for name, why in impossible.items()}
    return Proof(
        model=meta.model.name.value,
        parameters=sum(p.numel() for p in checkpoint.model.parameters()),
        evaluated_on=clips.source,
        signers=clips.signers,
        held_out=spec.evaluation is not None and spec.evaluation != spec.calibration,
        accuracy=before,
        decides=decides,
        parity_clips=len(clips),
        max_drop_points=spec.max_drop_points,
        forms=forms,
        forced=failed and spec.force,
        machine=machine(),
        warnings=(*_warnings(spec, calibration, clips), *_without_gain(forms)),
        tools=tool_versions(),
    )


def check_gates(spec: ExportSpec, proof: Proof) -> None:
    """Raise ParityError or AccuracyGateError if a form fails its gate and nothing forces it.

    Values that are not finite are refused even when forced: such a model says nothing.
    """
    for name, form in proof.forms.items():
        if form.difference is not None and not form.difference.finite:
            raise ParityError(
                f"export: {name} gives logits that are not finite; nothing was written"
            )
    if spec.force:
        return
    for name, form in proof.forms.items():
        if form.status in GATES:
            raise GATES[form.status](
                f"export: {name} {form.reason}; nothing was written: calibrate on more real clips,"
                " or --force writes it, marked"
            )


def _judged(
    spec: ExportSpec,
    quantized: bool,
    off: Difference,
    before: Accuracy | None,
    after: Accuracy | None,
) -> tuple[Status, str]:
    """Whether a form passes its gates, and why not."""
    if not off.finite:
        return Status.UNEQUAL, "gives logits that are not finite"
    if not quantized and not off.largest <= off.limit:
        reason = f"is off torch by {off.largest:.2g}, expected at most {off.limit:.2g}"
        return Status.UNEQUAL, reason
    if before is not None and after is not None:
        was, now = 100 * before.top1, 100 * after.top1
        if was - now > spec.max_drop_points:
            reason = (
                f"loses {was - now:.2f} points of top-1 ({was:.2f} -> {now:.2f} %), expected at"
                f" most {spec.max_drop_points:g}"
            )
            return Status.INACCURATE, reason
    return Status.OK, ""


def _without_gain(forms: Mapping[str, Form]) -> list[str]:
    """Quantized forms that run on this CPU, and take as long as in float32 or longer."""
    found = []
    for name, form in forms.items():
        target, _, precision = name.rpartition("-")
        exact = forms.get(f"{target}-{Precision.FP32.value}")
        if precision == Precision.FP32.value or exact is None:
            continue
        if form.latency_ms is not None and form.latency_ms >= (exact.latency_ms or 0):
            found.append(
                f"{name} gains no time on this machine: {form.latency_ms:.2f} ms a clip, in float32"
                f" {exact.latency_ms:.2f}"
            )
    return found


def _warnings(
    spec: ExportSpec, calibration: LabeledFeatures | None, clips: LabeledFeatures
) -> tuple[str, ...]:
    found = []
    if calibration is not None and len(calibration) < MIN_CALIBRATION_CLIPS:
        found.append(
            f"got {len(calibration)} calibration clips, expected at least {MIN_CALIBRATION_CLIPS}:"
            " other people may exceed the ranges"
        )
    if not clips.source:
        found.append("no --eval data: parity is on random inputs, accuracy was not measured")
    elif spec.evaluation is None:
        found.append("no --eval data: accuracy is on the calibration clips, not on other people")
    return tuple(found)
