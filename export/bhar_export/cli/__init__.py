"""``bhar-export``: from a checkpoint to a bundle that carries its own proof."""

from __future__ import annotations

import sys

from bharsdk.cli.entry import enter, preload

TYPE_CHECKING = False  # as of typing, which would have to be imported for it
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bhar_export.graph.spec import ExportSpec, Target
    from bhar_export.report.proof import Form, Proof
    from bharsdk.bundle.bundle import Bundle
    from bharsdk.bundle.decoder_config import DecoderConfig

__all__ = ["main"]

EXIT_CODES = (
    "exit codes: 0 ok, 1 internal error, 2 usage, 3 bad input data, 4 corrupt checkpoint, 5 other"
    " version, 6 accuracy gate failed, 7 parity failed, 8 package missing, 130 interrupted"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (see ``bharsdk.errors``)."""
    return enter("bhar-export", lambda: _begin(argv))


def _begin(argv: Sequence[str] | None) -> Callable[[], int]:
    import os

    from bharsdk.cli.exit_codes import exit_code_of

    arguments = _parser().parse_args(argv)
    # Threads that spin while they wait cost more than they gain on small, shared machines.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    preload("bhar_export.pipeline")
    return lambda: exit_code_of(
        lambda: _run(arguments),
        "bhar-export",
        arguments=arguments,
        extra="export",
        when_interrupted="interrupted; nothing was written",
    )


def _run(arguments: argparse.Namespace) -> None:
    bundle = _export(_spec(arguments), arguments.plot)
    size = arguments.output.stat().st_size / 1e6
    print(f"{arguments.output}: {bundle.manifest.name}, {size:.2f} MB")


def _parser() -> argparse.ArgumentParser:
    from pathlib import Path

    from bhar_export.devices import DEVICES
    from bhar_export.graph.spec import Target
    from bharsdk.bundle.bundle import Precision
    from bharsdk.cli.names import names, some_text
    from bharsdk.cli.numbers import fps, real
    from bharsdk.cli.parser import Parser
    from bharsdk.files.outputs import declare_files

    parser = Parser("bhar-export", description=(__doc__ or "").split(": ", 1)[1], epilog=EXIT_CODES)
    add = parser.add_argument
    add("checkpoint", type=Path, help="checkpoint folder, or the run that has it")
    add("--output", type=Path, required=True, help="the bundle to write, NAME.bhar")
    targets = (
        "where it runs: onnx (default, always there), native (bharsdk's own kernels), tflite"
        " (LiteRT), jetson (TensorRT), or all; may be repeated"
    )
    choices = (*(target.value for target in Target), "all")
    add("--target", choices=choices, action="append", dest="targets", help=targets)
    device = "for this one: its targets, unless --target names others, and its GPU"
    add("--device", choices=DEVICES, metavar="NAME", help=f"{device}: {', '.join(DEVICES)}")
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument(
        "--precision",
        choices=[precision.value for precision in Precision],
        default="fp32",
        help="default fp32; mixed: int8 but for layers that lose too much",
    )
    precision.add_argument(
        "--int8", dest="precision", action="store_const", const="int8", help="--precision int8"
    )
    add("--calib", type=Path, metavar="DATA", help="recordings that set the ranges of integers")
    add("--calib-signers", type=names, default=(), metavar="S,S", help="only these")
    add("--eval", type=Path, metavar="DATA", help="recordings for the accuracy gate")
    add("--eval-signers", type=names, default=(), metavar="S,S", help="only these")
    add("--fps", type=fps, default=15.0, help="of recordings without time (15)")
    points = real(0, 100, "points, 0 to 100")
    add("--max-drop", type=points, default=1.0, help="points of top-1 that may be lost (1.0)")
    add("--force", action="store_true", help="write even if a gate fails, and mark it")
    add("--keep-fp32", action="store_true", help="keep the float32 graph beside int8")
    add("--plot", type=Path, metavar="OUT.png", help="draw what became of each form")
    add("--name", type=some_text, help="name in the manifest, default that of the output")
    add("--license", default="not stated", help="license of the training data, for the card")
    add(
        "--decoder",
        type=some_text,
        default="words",
        metavar="NAME",
        help="decoder configuration: words (default), spelling, or a JSON file of DecoderConfig",
    )
    reads = ("checkpoint", "calib", "eval", "decoder")
    declare_files(parser, reads=reads, writes=("output", "plot"))
    return parser


def _spec(arguments: argparse.Namespace) -> ExportSpec:
    """The specification that the command line asks for. Raises UsageError if it contradicts."""
    from bhar_export.devices import DEVICES, Device
    from bhar_export.graph.spec import GPUS, DataSpec, ExportSpec, Target
    from bharsdk.bundle.bundle import Precision
    from bharsdk.errors import UsageError

    device = DEVICES.get(arguments.device, Device((Target.ONNX,)))

    def data(path: Path | None, signers: tuple[str, ...], option: str) -> DataSpec | None:
        if path is None and signers:
            raise UsageError(f"{option}-signers: got it without {option}, expected  {option} DATA")
        return None if path is None else DataSpec(path, signers, arguments.fps)

    return ExportSpec(
        checkpoint=arguments.checkpoint,
        output=arguments.output,
        targets=_targets(arguments.targets or [target.value for target in device.targets]),
        gpus=(device.checked_as,) if device.checked_as else GPUS,
        precision=Precision(arguments.precision),
        calibration=data(arguments.calib, arguments.calib_signers, "--calib"),
        evaluation=data(arguments.eval, arguments.eval_signers, "--eval"),
        max_drop_points=arguments.max_drop,
        force=arguments.force,
        keep_fp32=arguments.keep_fp32,
        name=arguments.name or "",
        license=arguments.license,
        decoder=_decoder(arguments.decoder),
    )


def _targets(names: Sequence[str]) -> tuple[Target, ...]:
    from bhar_export.graph.spec import Target

    return tuple(t for t in Target if t.value in names or "all" in names)


def _decoder(name: str) -> DecoderConfig:
    from pathlib import Path

    from bhar_export.graph.spec import DECODERS
    from bharsdk.bundle.decoder_config import DecoderConfig
    from bharsdk.errors import InputError
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
