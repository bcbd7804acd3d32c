"""The proof that a bundle carries: what was measured, and the gates it had to pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bhar_export.artefacts import INTEGER_FORMS, NATIVE, NATIVE_INT8, Artefact
from bhar_export.calibrate import LabelledFeatures
from bhar_export.quantize import IntegerNodes, integer_nodes
from bhar_export.spec import MIN_CALIBRATION_CLIPS, ExportSpec
from bhar_export.verify import (
    PARITY_LIMIT,
    Accuracy,
    accuracy,
    latency_ms,
    machine,
    max_difference,
    run_artefact,
    run_torch,
    tool_versions,
)
from bhar_training.checkpoint import Checkpoint
from bharsdk.bundle import Precision
from bharsdk.errors import AccuracyGateError, ParityError

__all__ = ["Proof", "check_gates", "prove"]


@dataclass(frozen=True)
class Proof:
    """``report.json``. Dictionaries are keyed by artefact: fp32, int8, native and native-int8.

    evaluated_on: the clips behind ``accuracy``; empty when there were none. held_out: whether they
    are other clips than the calibration's. parity_max_abs: largest difference of a logit, torch
    against the float32 graph, on ``parity_clips`` clips; parity_native: against the native network
    in float32. drop_points: top-1 that INT8 loses, in points, in the form that loses most.
    logit_error_int8: largest difference of a logit, the float32 graph against the INT8 one;
    logit_error_native_int8: against the native network in INT8. forced: written though a gate
    failed.
    """

    model: str
    parameters: int
    evaluated_on: str
    signers: tuple[str, ...]
    held_out: bool
    parity_clips: int
    parity_max_abs: float
    parity_limit: float
    accuracy: dict[str, Accuracy]
    drop_points: float | None
    max_drop_points: float
    logit_error_int8: float | None
    forced: bool
    latency_ms: dict[str, float]
    machine: str
    size_bytes: dict[str, int]
    nodes: IntegerNodes | None
    warnings: tuple[str, ...]
    tools: dict[str, str]
    parity_native: float | None = None
    logit_error_native_int8: float | None = None


def prove(
    spec: ExportSpec,
    checkpoint: Checkpoint,
    artefacts: Sequence[Artefact],
    calibration: LabelledFeatures | None,
    clips: LabelledFeatures,
) -> Proof:
    """Measure each of ``artefacts`` on ``clips``, the evaluation clips."""
    logits = {artefact.name: run_artefact(artefact, clips) for artefact in artefacts}
    # Against the checkpoint's own model, so that folding is under test too.
    exact = run_torch(checkpoint.model, clips)
    parity = max_difference(exact, logits["fp32"])
    native = max_difference(exact, logits[NATIVE]) if NATIVE in logits else None
    labelled = bool(clips.source)
    meta = checkpoint.meta
    scores = {n: accuracy(x, clips, meta) for n, x in logits.items()} if labelled else {}
    drops = [100 * (scores["fp32"].top1 - scores[n].top1) for n in INTEGER_FORMS if n in scores]
    drop = max(drops, default=None)
    errors = {n: max_difference(logits["fp32"], logits[n]) for n in INTEGER_FORMS if n in logits}
    failed = not max(parity, native or 0.0) <= PARITY_LIMIT or (
        drop is not None and drop > spec.max_drop_points
    )
    return Proof(
        model=meta.model.name.value,
        parameters=sum(p.numel() for p in checkpoint.model.parameters()),
        evaluated_on=clips.source,
        signers=clips.signers,
        held_out=spec.evaluation is not None and spec.evaluation != spec.calibration,
        parity_clips=len(clips),
        parity_max_abs=parity,
        parity_limit=PARITY_LIMIT,
        accuracy=scores,
        drop_points=drop,
        max_drop_points=spec.max_drop_points,
        logit_error_int8=errors.get(Precision.INT8.value),
        logit_error_native_int8=errors.get(NATIVE_INT8),
        forced=failed and spec.force,
        latency_ms={n: round(ms, 3) for n, ms in latency_ms(artefacts, clips).items()},
        machine=machine(),
        size_bytes={artefact.name: artefact.size for artefact in artefacts},
        nodes=_nodes(artefacts),
        warnings=_warnings(spec, calibration, clips),
        tools=tool_versions(),
        parity_native=native,
    )


def check_gates(spec: ExportSpec, proof: Proof) -> None:
    """Raise ParityError or AccuracyGateError if ``proof`` fails a gate and nothing forces it.

    Values that are not finite are refused even when forced: such a model says nothing.
    """
    found = (
        *(proof.parity_max_abs, proof.parity_native),
        *(proof.logit_error_int8, proof.logit_error_native_int8),
    )
    if not all(math.isfinite(value or 0.0) for value in found):
        raise ParityError("export: a graph gives logits that are not finite; nothing was written")
    if spec.force:
        return
    for name, parity in ("graph", proof.parity_max_abs), ("native network", proof.parity_native):
        if parity is not None and parity > proof.parity_limit:
            raise ParityError(
                f"export: the float32 {name} is off torch by {parity:.2g}, expected at most"
                f" {proof.parity_limit:g}; nothing was written (--force writes it, marked)"
            )
    if proof.drop_points is not None and proof.drop_points > spec.max_drop_points:
        scores = {name: 100 * score.top1 for name, score in proof.accuracy.items()}
        worst = min((n for n in INTEGER_FORMS if n in scores), key=lambda name: scores[name])
        before, after = scores["fp32"], scores[worst]
        raise AccuracyGateError(
            f"export: {worst} loses {proof.drop_points:.2f} points of top-1 ({before:.2f} ->"
            f" {after:.2f} %), expected at most {spec.max_drop_points:g}; nothing was written:"
            " calibrate on more real clips, or --force writes it, marked"
        )


def _nodes(artefacts: Sequence[Artefact]) -> IntegerNodes | None:
    for artefact in artefacts:
        if artefact.name == Precision.INT8.value:
            return integer_nodes(artefact.files[Precision.INT8.model_file])
    return None


def _warnings(
    spec: ExportSpec, calibration: LabelledFeatures | None, clips: LabelledFeatures
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
