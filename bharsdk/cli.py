"""The command ``bhar``: run a model on a camera, a video or a session; look into bundles."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from bharsdk import __version__
from bharsdk.bundle import load_bundle
from bharsdk.codec import to_json_dict
from bharsdk.command import INTERRUPTED, exit_code_of
from bharsdk.draw import AnnotatedVideo
from bharsdk.engines import Backend, backends_of
from bharsdk.engines.golden import check_engine, verify_bundle
from bharsdk.errors import BackendMissingError
from bharsdk.recognizer import Recognizer, bundle_path, shipped_bundles
from bharsdk.results import Result, StageSummary, StageTimes
from bharsdk.sources import Source, open_source

__all__ = ["main"]

DEFAULT_MODEL = "asl-coffee"
CAMERA_VIDEO_FPS = 15.0
"""What a camera with MediaPipe delivers on a small machine; cameras do not say it beforehand."""
PROGRESS_AFTER_S = 2.0
DEVICES = [backend.value for backend in Backend]

EXIT_CODES = """\
exit codes:
  0  ok (a camera run ends with Ctrl-C)    5  incompatible version or device
  1  internal error                        6  accuracy gate failed
  2  usage                                 7  parity failed
  3  bad input data                        8  back end missing
  4  corrupt or untrusted model            9  camera cannot be opened, or source lost
  130  Ctrl-C before the end of a file; what was written stays readable
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: the process's). Returns the exit code."""
    arguments = _parser().parse_args(argv)
    return exit_code_of(lambda: arguments.command(arguments), "bhar")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bhar",
        description="Recognise body-and-hand actions from a camera, a video or a session.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bhar {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str, does: str, work: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        found = commands.add_parser(
            name,
            help=does,
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        found.set_defaults(command=work)
        return found

    run = command("run", "print the events in a source as they happen", _run)
    run.add_argument("source", help="camera number, video file, or NAME.bhar-session")
    run.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="path of a bundle, or name of a shipped one (see  bhar models); default %(default)s",
    )
    run.add_argument(
        "--device",
        choices=DEVICES,
        default=Backend.AUTO.value,
        help="what runs the model; auto, the default, measures at the first start which of them is"
        " the fastest here (kept in ~/.cache/bharsdk; BHAR_CACHE=0 measures at each start)",
    )
    run.add_argument(
        "--require",
        action="store_true",
        help="end with exit code 7 or 8 where a back end computes something else than the exporter"
        " did, or cannot run; without it, a warning says what runs in its place",
    )
    run.add_argument("--save", metavar="OUT.mp4", type=Path, help="write an annotated video")
    run.add_argument("--json", action="store_true", help="one JSON object a line")
    run.add_argument("--max-frames", metavar="N", type=_positive, help="stop after N frames")

    inspect = command("inspect", "print the manifest of a bundle", _inspect)
    inspect.add_argument("bundle", help="path of a bundle, or the name of a shipped one")
    inspect.add_argument(
        "--card", action="store_true", help="print the model card: data, accuracy, size, limits"
    )
    inspect.add_argument(
        "--report", action="store_true", help="print what the exporter measured, as JSON"
    )

    does = "replay a bundle's golden inputs on this machine, on every back end"
    verify = command("verify", does, _verify)
    verify.add_argument("bundle", help="path of a bundle, or the name of a shipped one")
    verify.add_argument(
        "--device",
        choices=DEVICES,
        help="this one alone; default: each that the bundle has a model for",
    )

    does = "build the TensorRT engine of a bundle on this device, and keep it beside the bundle"
    build = command("build", does, _build)
    build.add_argument("bundle", help="path of a bundle that was exported with --target jetson")

    command("models", "list the shipped models", _models)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected a whole number of at least 1")
    return number


def _inspect(arguments: argparse.Namespace) -> int:
    bundle = load_bundle(bundle_path(arguments.bundle))
    if arguments.card:
        print(bundle.model_card)
        return 0
    if arguments.report:
        print(json.dumps(bundle.report, indent=2, ensure_ascii=False))
        return 0
    manifest = bundle.manifest
    print(json.dumps(to_json_dict(manifest), indent=2, ensure_ascii=False))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    """One line for each back end; the first that computes something else ends the command."""
    bundle = load_bundle(bundle_path(arguments.bundle))
    wanted = [Backend(arguments.device)] if arguments.device else backends_of(bundle)
    for backend in wanted:
        try:
            found = verify_bundle(bundle, backend)
        except BackendMissingError as error:
            if arguments.device:
                raise
            print(f"{backend.value:<9} not checked: {error}")
            continue
        print(
            f"{backend.value:<9} ok: {found.engine}, {found.clips} golden clips, largest difference"
            f" of a logit {found.max_abs_difference:.3g} (at most {found.tolerance:.3g})"
        )
    return 0


def _build(arguments: argparse.Namespace) -> int:
    from bharsdk.engines.tensorrt import TensorrtEngine

    def say(line: str) -> None:
        print(f"\r{line:<78}", end="", file=sys.stderr, flush=True)

    bundle = load_bundle(bundle_path(arguments.bundle))
    engine = TensorrtEngine(bundle, say)
    found = check_engine(bundle, engine)
    print(
        f"\n{found.engine}: {found.clips} golden clips, largest difference of a logit"
        f" {found.max_abs_difference:.3g} (at most {found.tolerance:.3g})"
    )
    return 0


def _models(arguments: argparse.Namespace) -> int:
    for name, path in shipped_bundles().items():
        manifest = load_bundle(path).manifest
        kibibytes = path.stat().st_size / 1024
        print(
            f"{name:<20} {manifest.model}, {manifest.precision.value}, {kibibytes:.0f} KiB,"
            f" {len(manifest.labels)} labels: {' '.join(manifest.labels)}"
        )
    return 0


def _run(arguments: argparse.Namespace) -> int:
    recognizer = Recognizer(arguments.model, device=arguments.device, require=arguments.require)
    stages: list[StageTimes] = []
    interrupted = False
    with _limited(open_source(arguments.source), arguments.max_frames) as source:
        printer = _Printer(source, as_json=arguments.json)
        video: AnnotatedVideo | None = None
        if arguments.save is not None:
            video = AnnotatedVideo(arguments.save, source.fps or CAMERA_VIDEO_FPS)
        try:
            # Entered inside the try, so that Ctrl-C passes through it and it keeps its file.
            with video or contextlib.nullcontext():
                for result in recognizer.run(source):
                    if not result.is_final:
                        stages.append(result.stages)
                    printer.show(result)
                    if video is not None:
                        video.write(result)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            printer.clear()
    printer.summarise(StageSummary.of(stages), recognizer.backend)
    if not interrupted or arguments.source.isdecimal():
        return 0
    print("bhar: interrupted before the end of the source", file=sys.stderr)
    return INTERRUPTED


def _limited(source: Source, max_frames: int | None) -> Source:
    """The first ``max_frames`` of ``source``; it ends there as at its own end."""
    if max_frames is None:
        return source
    count = max_frames if source.frame_count is None else min(max_frames, source.frame_count)
    frames = itertools.islice(source, max_frames)
    return Source(frames, source.close, fps=source.fps, frame_count=count)


class _Printer:
    """Events to stdout, and for longer files a progress line to a stderr that is a terminal."""

    def __init__(self, source: Source, *, as_json: bool) -> None:
        self._total = source.frame_count
        self._as_json = as_json
        self._begin_s = time.monotonic()
        self._wants_progress = self._total is not None and sys.stderr.isatty()
        self._width = 0

    def show(self, result: Result) -> None:
        if result.events:
            self.clear()
        for event in result.events:
            line = json.dumps(event.to_dict()) if self._as_json else str(event)
            print(line, flush=True)
        if self._wants_progress and time.monotonic() - self._begin_s > PROGRESS_AFTER_S:
            text = f"frame {result.frame + 1} of {self._total}"
            self._width = len(text)
            print(f"\r{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._width:
            print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)
        self._width = 0

    def summarise(self, summary: StageSummary, backend: str) -> None:
        if self._as_json:
            print(json.dumps({"summary": {**asdict(summary), "backend": backend}}), flush=True)
            return
        print(f"{summary.frames} frames")
        print(f"  {backend}")
        for line in summary.lines():
            print(line)


if __name__ == "__main__":
    sys.exit(main())
