"""One export, as a story: load -> graph -> quantize -> verify -> gate -> bundle.

Every stage is a function of its own module and can be used alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from bhar_export.build_targets import build_targets
from bhar_export.enrollment import known_files
from bhar_export.graph.exported_model import ExportedModel, form_name
from bhar_export.graph.graph import deploy, inputs_of, to_onnx
from bhar_export.graph.spec import ExportSpec
from bhar_export.quantization.calibration_clips import LabeledFeatures, load_features
from bhar_export.quantization.job import Deployed, ExportJob, QuantizationData
from bhar_export.quantization.selection import JUDGED_CLIPS, Judge
from bhar_export.quantization.verify import Replay, run_exported, run_torch, tool_versions
from bhar_export.report.card import write_card
from bhar_export.report.proof import Evaluated, Proof, check_gates, prove
from bhar_export.step.form import is_causal
from bhar_export.step.target import build as build_step
from bhar_export.targets import Target
from bhar_training.checkpoint import Checkpoint, CheckpointMeta, load_checkpoint
from bhar_training.data.batches import input_specs
from bharsdk.bundle.bundle import (
    MODEL_CARD,
    REPORT,
    Bundle,
    Manifest,
    Precision,
    make_bundle,
    save_bundle,
)
from bharsdk.bundle.feature_config import FeatureConfig, ModelInput
from bharsdk.engines.golden_check import Golden, encode_golden, verify_bundle
from bharsdk.errors import InputError, UsageError
from bharsdk.files.codec import to_json_dict
from bharsdk.files.npy import encode_array

__all__ = ["STAGES", "export_bundle"]

FloatArray = npt.NDArray[np.float32]

STAGES = ("load", "graph", "quantize", "verify", "bundle")

GOLDEN_CLIPS = 3
NOISE_CLIPS = 8
GOLDEN_TOLERANCE = {
    Precision.FP32: 1e-3,
    Precision.FP16: 0.01,
    Precision.INT8: 0.05,
    Precision.MIXED: 0.05,
}
"""Largest difference of a logit between machines, as a part of the largest golden logit: kernels of
other machines sum in another order, and in INT8 a sum near a half rounds to the neighbor."""


def export_bundle(
    spec: ExportSpec,
    progress: Callable[[str], None] = lambda stage: None,
    tell: Callable[[Proof], None] = lambda proof: None,
) -> Bundle:
    """Export and prove one model, and write its bundle; nothing is written if a gate fails.

    ``progress`` is told the name of each stage as it starts, and ``stage: what it is at``; ``tell``
    what was measured, before any gate refuses it. A target that cannot be made ends an export that
    asks for it alone; of several it is left out, and the proof says why. Raises InputError,
    BundleError and IncompatibleError as the checkpoint and data readers do, ParityError when a
    graph computes something else, AccuracyGateError when one loses more than
    ``spec.max_drop_points``.
    """
    progress("load")
    checkpoint = load_checkpoint(spec.checkpoint)
    features = _live_features(checkpoint.meta)
    calibration, evaluation = _load_data(spec, checkpoint.meta)
    progress("graph")
    module = deploy(checkpoint.model)
    graph = to_onnx(module, features)
    exact = run_torch(checkpoint.model, evaluation)
    shapes = replace(_manifest(spec, checkpoint.meta, 1.0), inputs=inputs_of(graph)).input_shapes
    step = partial(build_step, model=module, shapes=shapes, precision=spec.precision)
    model = Deployed(
        module, graph, shapes, len(checkpoint.meta.labels), step if is_causal(module) else None
    )
    progress("quantize")
    data = _quantization_data(spec, checkpoint, calibration, evaluation, exact, progress)
    job = ExportJob(spec, model, data)
    with Replay(evaluation) as replay:
        exported_models = build_targets(job, replay.start)
        progress("verify")
        logits = replay.logits()
    evaluated = Evaluated(evaluation, exact, logits)
    proof = prove(spec, checkpoint, exported_models, job.impossible, calibration, evaluated)
    tell(proof)
    check_gates(spec, proof)
    progress("bundle")
    return _write(
        spec, checkpoint, exported_models, inputs_of(graph), proof, (calibration, evaluation)
    )


def _live_features(meta: CheckpointMeta) -> FeatureConfig:
    """Of landmarks, which a recognizer sees; a bundle of a skeleton data set could not run."""
    if not isinstance(meta.features, FeatureConfig):
        raise InputError(
            f"export: got a model of {meta.features.skeleton} skeletons, expected one trained on"
            " MediaPipe landmarks"
        )
    return meta.features


def _load_data(
    spec: ExportSpec, meta: CheckpointMeta
) -> tuple[LabeledFeatures | None, LabeledFeatures]:
    """(calibration, evaluation): without evaluation data the calibration clips, else noise."""
    calibration = load_features(spec.calibration, meta) if spec.calibration else None
    if spec.evaluation is not None:
        return calibration, load_features(spec.evaluation, meta)
    return calibration, calibration or _noise(meta)


def _noise(meta: CheckpointMeta) -> LabeledFeatures:
    """Random inputs: enough for the parity of a float32 graph, worthless as accuracy."""
    random = np.random.default_rng(0)
    inputs = {
        name: random.standard_normal((NOISE_CLIPS, *spec.shape), dtype=np.float32)
        for name, spec in input_specs(meta.features).items()
    }
    return LabeledFeatures("", inputs, np.zeros(NOISE_CLIPS, np.int64), ())


def _quantization_data(
    spec: ExportSpec,
    checkpoint: Checkpoint,
    calibration: LabeledFeatures | None,
    evaluation: LabeledFeatures,
    exact: FloatArray,
    progress: Callable[[str], None],
) -> QuantizationData | None:
    """What integers need; ``exact``: logits of the evaluation clips, for the gate."""
    if calibration is None or not spec.precision.in_integers:
        return None

    def passes(form: ExportedModel) -> bool:
        top1 = [
            (logits.argmax(1) == evaluation.truth).mean()
            for logits in (exact, run_exported(form, evaluation))
        ]
        return bool(100 * (top1[0] - top1[1]) <= spec.max_drop_points)

    clips = calibration.evenly(JUDGED_CLIPS)
    judge = Judge(clips, run_torch(checkpoint.model, clips), passes, progress)
    return QuantizationData(calibration, judge)


def _write(
    spec: ExportSpec,
    checkpoint: Checkpoint,
    exported_models: Sequence[ExportedModel],
    inputs: tuple[ModelInput, ...],
    proof: Proof,
    data: tuple[LabeledFeatures | None, LabeledFeatures],
) -> Bundle:
    """data: calibration and evaluation clips."""
    kept, (calibration, evaluation) = _kept(spec, exported_models), data
    clips = evaluation.evenly(GOLDEN_CLIPS)
    (seen,) = clips.batches([name.value for name in inputs])
    (shipped,) = (a for a in kept if a.name == form_name(Target.ONNX, spec.precision))
    golden = Golden(seen, run_exported(shipped, clips))
    scale = max(1.0, float(np.abs(golden.logits).max()))
    tolerance = GOLDEN_TOLERANCE[spec.precision] * scale
    manifest = replace(_manifest(spec, checkpoint.meta, tolerance), inputs=inputs)
    enrollment, known = known_files(kept, spec.precision, calibration, len(manifest.labels))
    manifest = replace(manifest, enrollment=enrollment)
    report = json.dumps(to_json_dict(proof), indent=1, allow_nan=False) + "\n"
    own = {a.golden: encode_array(run_exported(a, clips)) for a in kept}
    files = {
        **{name: data for exported in kept for name, data in exported.files.items()},
        **own,
        **known,
        **encode_golden(golden),
        REPORT: report.encode(),
        MODEL_CARD: write_card(manifest, checkpoint.meta, proof).encode(),
    }
    # Replayed as users will load it, before anything is on disk.
    made = make_bundle(str(spec.output), manifest, files)
    for exported in kept:
        if exported.backend is not None and (exported.step or exported.precision is spec.precision):
            verify_bundle(made, exported.backend)
    verify_bundle(made)
    return save_bundle(spec.output, manifest, files)


def _kept(spec: ExportSpec, exported_models: Sequence[ExportedModel]) -> list[ExportedModel]:
    """Into the bundle: forms of its precision, steps, and the float graph if asked for."""
    float_graph = form_name(Target.ONNX, Precision.FP32) if spec.keep_fp32 else ""
    return [
        a
        for a in exported_models
        if a.precision is spec.precision or a.step or a.name == float_graph
    ]


def _manifest(spec: ExportSpec, meta: CheckpointMeta, golden_tolerance: float) -> Manifest:
    if len(meta.skeletons) != 2:
        raise UsageError(f"export: got skeletons {meta.skeletons}, expected body and hand")
    signers = f", signers {', '.join(meta.signers)}" if meta.signers else ""
    return Manifest(
        name=spec.bundle_name,
        labels=meta.labels,
        background=meta.background,
        features=_live_features(meta),
        decoder=spec.decoder,
        precision=spec.precision,
        model=meta.model.name.value,
        trained_on=f"{meta.trained_on}{signers}, {meta.clips} clips",
        license=spec.license,
        golden_tolerance=golden_tolerance,
        skeletons=(meta.skeletons[0], meta.skeletons[1]),
        tools=tool_versions(),
        calibration=meta.calibration,
    )
