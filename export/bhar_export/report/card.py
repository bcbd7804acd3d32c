"""``MODEL_CARD.md``, written from the measurements and nothing else."""

from __future__ import annotations

from bhar_export.report.proof import Proof
from bhar_export.targets import Target
from bhar_training.checkpoint import CheckpointMeta
from bharsdk.bundle.bundle import Manifest
from bharsdk.bundle.feature_config import ModelInput
from bharsdk.kernels.ops import active_isa

__all__ = ["write_card"]

PARTS = {ModelInput.BODY: "upper body", ModelInput.HANDS: "hands"}


def write_card(manifest: Manifest, meta: CheckpointMeta, proof: Proof) -> str:
    """The card, Markdown."""
    sections = [
        _head(manifest, proof),
        _data(manifest, meta, proof),
        _accuracy(manifest, proof),
        _cost(proof),
        _limits(manifest, meta, proof),
    ]
    return "\n\n".join(sections) + "\n"


def _head(manifest: Manifest, proof: Proof) -> str:
    signs = [label for label in manifest.labels if label != manifest.background]
    features = manifest.features
    background = f", and {manifest.background!r} for none of them" if manifest.background else ""
    alone = "" if len(manifest.inputs) > 1 else f" of the {PARTS[manifest.inputs[0]]} alone"
    forced = "\n\n**Written by force: it failed its gate.**" if proof.forced else ""
    return (
        f"# {manifest.name}\n\n"
        f"{manifest.model}, {proof.parameters:,} parameters, {manifest.precision.value}."
        f" Recognizes {len(signs)} actions from MediaPipe Holistic landmarks{alone}"
        f" (window {features.window_ms / 1000:.2f} s at {features.fps:g} frames a second):"
        f" {', '.join(signs)}{background}.{forced}"
    )


def _data(manifest: Manifest, meta: CheckpointMeta, proof: Proof) -> str:
    strangers = sorted(set(proof.signers) - set(meta.signers)) if meta.signers else []
    tested = proof.evaluated_on or "nothing: accuracy was not measured"
    lines = [
        "## Data",
        f"- Trained on: {manifest.trained_on}",
        f"- Tested on: {tested}",
        f"- License of the data: {manifest.license}",
    ]
    if strangers:
        lines.append(f"- Strangers to the model, never seen in training: {', '.join(strangers)}")
    if proof.evaluated_on and not proof.held_out:
        lines.append("- The test clips are the calibration clips: expect less on other people")
    return "\n".join(lines)


def _accuracy(manifest: Manifest, proof: Proof) -> str:
    if proof.accuracy is None:
        return "## Accuracy\n\nNot measured."
    of_forms = {name: form.accuracy for name, form in proof.forms.items() if form.accuracy}
    names, scores = ["torch", *of_forms], [proof.accuracy, *of_forms.values()]
    rows = [
        ("top-1", [100 * score.top1 for score in scores]),
        ("macro recall of the signs", [100 * score.macro_recall_signs for score in scores]),
    ]
    rows += [
        (f"top-1 of what the {name} decides", [100 * score.top1_of[name] for score in scores])
        for name in scores[0].top1_of
    ]
    rows += [
        (f"recall of `{label}`", [100 * score.recalls[label] for score in scores])
        for label in manifest.labels
        if label in scores[0].recalls
    ]
    table = [f"| % | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    table += [f"| {name} | {' | '.join(f'{v:.2f}' for v in values)} |" for name, values in rows]
    return f"## Accuracy on {scores[0].clips} clips\n\n" + "\n".join(table)


def _cost(proof: Proof) -> str:
    lines = [
        "## Size and speed",
        "",
        "| | ms a window, one thread | KB | largest difference of a logit from torch | |",
        "|---|---|---|---|---|",
    ]
    for name, form in proof.forms.items():
        if form.difference is None:
            lines.append(f"| {name} | | | | {form.state} |")
            continue
        lines.append(
            f"| {name} | {form.latency_ms:.2f} | {form.size_bytes / 1000:.0f}"
            f" | {form.difference.largest:.1g} | {form.state} |"
        )
    lines += ["", f"Median on {proof.machine}, ONNX Runtime {proof.tools.get('onnxruntime', '')}."]
    if any(name.startswith(Target.NATIVE.value) for name in proof.forms):
        lines.append(f"native: bharsdk's own kernels, on {active_isa()}.")
    if any("-step-" in name for name in proof.forms):
        lines.append("step: frame by frame, and milliseconds of one frame.")
    for name, form in proof.forms.items():
        if form.nodes is not None:
            lines.append(
                f"{name}: {form.nodes.integer} nodes multiply in integers,"
                f" {len(form.nodes.float_compute)} in float."
            )
    return "\n".join(lines)


def _limits(manifest: Manifest, meta: CheckpointMeta, proof: Proof) -> str:
    people = f"{len(meta.signers)} people" if meta.signers else "few people"
    view = " and ".join(PARTS[name] for name in manifest.inputs)
    lines = [
        "## Limits",
        f"- Trained on {people}; other people, clothes, cameras and rooms may do worse.",
        f"- Isolated actions of one person, {view} in view; not continuous signing.",
        "- A score is no probability that a person did something: do not decide over people by it.",
    ]
    if manifest.calibration is not None:
        lines.append(f"- Scores are calibrated: {manifest.calibration}.")
    if manifest.background is None:
        lines.append("- It has no class for 'none of them': every movement is taken for an action.")
    lines += [f"- {warning}" for warning in proof.warnings]
    return "\n".join(lines)
