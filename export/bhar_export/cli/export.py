"""What ``bhar-export`` does: a specification of its options, the export, and what it prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bhar_export.cli.options import Export
from bhar_export.graph.spec import DECODERS, GPUS, DataSpec, ExportSpec
from bhar_export.targets import DEVICES, Device, Target
from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.cli.command import Command
from bharsdk.errors import InputError, UsageError

if TYPE_CHECKING:
    from bhar_export.report.proof import Form, Proof
    from bharsdk.bundle.bundle import Bundle

__all__ = ["COMMAND", "run"]


def run(arguments: Export) -> None:
    """Export, and say what was written."""
    bundle = _export(_spec(arguments), arguments.plot)
    size = arguments.output.stat().st_size / 1e6
    print(f"{arguments.output}: {bundle.manifest.name}, {size:.2f} MB")


def _spec(arguments: Export) -> ExportSpec:
    """The specification that the command line asks for. Raises UsageError if it contradicts."""
    device = DEVICES.get(arguments.device or "", Device((Target.ONNX,)))

    def data(path: Path | None, signers: tuple[str, ...], option: str) -> DataSpec | None:
        if path is None and signers:
            raise UsageError(f"{option}-signers: got it without {option}, expected  {option} DATA")
        return None if path is None else DataSpec(path, signers, arguments.fps)

    return ExportSpec(
        checkpoint=arguments.checkpoint,
        output=arguments.output,
        targets=_targets(arguments.targets or [target.value for target in device.targets]),
        gpus=(device.checked_as,) if device.checked_as else GPUS,
        precision=arguments.chosen_precision,
        calibration=data(arguments.calib, arguments.calib_signers, "--calib"),
        evaluation=data(arguments.eval, arguments.eval_signers, "--eval"),
        max_drop_points=arguments.max_drop_points,
        force=arguments.force,
        keep_fp32=arguments.keep_fp32,
        name=arguments.name,
        license=arguments.license,
        decoder=_decoder(arguments.decoder),
    )


def _targets(names: Sequence[str]) -> tuple[Target, ...]:
    return tuple(t for t in Target if t.value in names or "all" in names)


def _decoder(name: str) -> DecoderConfig:
    from bharsdk.files.codec import from_json_dict
    from bharsdk.files.untrusted import read_json

    if name in DECODERS:
        return DECODERS[name]
    path = Path(name)
    try:
        fields = read_json(path)
    except InputError as error:
        raise InputError(
            f"{path}: got no decoder of this name and no readable JSON file ({error}), expected"
            f" {', '.join(DECODERS)} or a file"
        ) from error
    return from_json_dict(DecoderConfig, fields, str(path))


def _export(spec: ExportSpec, picture: Path | None) -> Bundle:
    """Export with a bar of the stages, and tell what was measured, even if a gate refuses it."""
    from bhar_export.pipeline import STAGES, export_bundle
    from bhar_export.report.plots import plot_forms
    from bhar_training.console.progress import progress_bar

    # The first stage reads what the arguments name: only after it is there anything to wait for.
    with progress_bar(total=len(STAGES), unit="stage", leave=False, delay=1.0) as bar:

        def progress(told: str) -> None:
            bar.set_description(told, refresh=bar.n > 0)
            bar.update(STAGES.index(told.partition(":")[0]) - bar.n)

        def tell(proof: Proof) -> None:
            bar.write("\n".join(_summary(proof)), file=sys.stdout)
            if picture is not None:
                plot_forms(proof, picture)

        return export_bundle(spec, progress, tell)


def _summary(proof: Proof) -> list[str]:
    """What was measured, for people; the same figures as in report.json."""
    lines = [f"warning: {warning}" for warning in proof.warnings]
    if proof.accuracy is not None:
        lines.append(
            f"{proof.model} in torch: top-1 {100 * proof.accuracy.top1:.2f} % of"
            f" {proof.accuracy.clips} clips of {proof.evaluated_on}"
        )
    lines.append(
        f"{'form':<16}{'top-1 %':>8}{'loses':>7}{'signs %':>9}{'largest':>10}{'relative':>10}"
        f"{'cosine':>9}{'ms':>8}{'MB':>7}  state"
    )
    lines += [_row(name, form) for name, form in proof.forms.items()]
    for name, form in proof.forms.items():
        if form.nodes is not None:
            named = form.nodes.float_compute
            lines.append(
                f"{name}: {form.nodes.integer} nodes multiply in integers, {len(named)} in float"
                + (f": {', '.join(named[:5])}" if named else "")
            )
    lines += [line for name, form in proof.forms.items() for line in _chosen(name, form)]
    if proof.forced:
        lines.append("FORCED: it failed its gate")
    return lines


def _chosen(name: str, form: Form) -> list[str]:
    """Which ranges and layers, and why."""
    if form.selection is None:
        return []
    errors = form.selection.range_errors.items()
    tried = ", ".join(f"{method} {error:.4f}" for method, error in errors)
    lines = [f"{name}: {form.selection.ranges} ranges; relative error of the logits: {tried}"]
    for layer, error in form.selection.in_float.items():
        lines.append(f"{name}: {layer} stays in float: alone in integers its error is {error:.4f}")
    return lines


def _row(name: str, form: Form) -> str:
    if form.difference is None:
        return f"{name:<16}{'':68}  {form.state}"
    score, off = form.accuracy, form.difference
    found = (
        f"{'':24}"
        if score is None
        else f"{100 * score.top1:8.2f}{form.drop_points:7.2f}{100 * score.macro_recall_signs:9.2f}"
    )
    return (
        f"{name:<16}{found}{off.largest:10.1e}{off.relative:10.1e}{off.cosine:9.5f}"
        f"{form.latency_ms:8.2f}{form.size_bytes / 1e6:7.2f}  {form.state}"
    )


COMMAND = Command(Export, run, when_interrupted="interrupted; nothing was written")
