"""On a Jetson: the camera on the ribbon cable, the model in TensorRT.

    bhar-export runs/mine --target jetson --int8 --calib clips --output mine.bhar    (anywhere)
    python examples/jetson.py mine.bhar                                              (on the Jetson)

The first start builds the engine, which takes a minute or so, and keeps it beside the bundle; later
ones load it. Where TensorRT is missing, or the bundle has no graph for it (those that ship have
none), bharsdk's own kernels run the model, and a line says why.

What has run, and what has not: on x86-64 the fall-back runs in the tests, and TensorRT-RTX accepts
the graphs that ``bhar-export --target jetson`` writes. No step of this has run on a Jetson yet, not
the build, not the engine, not the csi camera. ``csi://`` needs OpenCV with GStreamer: JetPack's own
has it, that of pip has not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from bharsdk import Bundle, Recognizer, load_bundle
from bharsdk.cameras.source_config import SourceConfig
from bharsdk.cli.exit_codes import exit_code_of
from bharsdk.engines.engine import Backend
from bharsdk.engines.golden_check import check_engine
from bharsdk.engines.tensorrt import TensorrtEngine
from bharsdk.errors import BharError
from bharsdk.pipeline.status import RunState, Status
from bharsdk.recognition.results import StageSummary
from bharsdk.recognizer import bundle_path


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C or the end of the source; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", nargs="?", default="asl-coffee", help="default %(default)s")
    parser.add_argument("source", nargs="?", default="csi://0", help="default %(default)s")
    parser.add_argument("--max-frames", type=int, metavar="N", help="stop after N frames")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: watch(arguments), "jetson", extra="camera")


def watch(arguments: argparse.Namespace) -> None:
    """Choose what runs the model, then print events and what the stages took."""
    bundle = load_bundle(bundle_path(arguments.bundle))
    recognizer = Recognizer(bundle, backend=prepared_backend(bundle).value)
    print(f"jetson: {recognizer.backend}", flush=True)
    config = SourceConfig(max_frames=arguments.max_frames)
    stages = []
    with recognizer.run(arguments.source, config=config, on_status=_say_trouble) as run:
        try:
            for result in run:
                stages.append(result.stages)
                for event in result.events:
                    print(event, flush=True)
        except KeyboardInterrupt:
            pass
    print(f"{run.counts.delivered} frames, {run.counts.total_dropped} dropped")
    for line in StageSummary.of(stages).lines():
        print(line)


def prepared_backend(bundle: Bundle) -> Backend:
    """TensorRT with its engine built and proven, or else bharsdk's own kernels."""
    begin_s = time.monotonic()
    try:
        # A Recognizer would build it too, but in silence.
        check_engine(bundle, TensorrtEngine(bundle, _progress))
    except BharError as error:
        print(f"jetson: no TensorRT, {Backend.NATIVE.value} kernels run: {error}", flush=True)
        return Backend.NATIVE
    print(f"\njetson: engine ready after {time.monotonic() - begin_s:.0f} s", flush=True)
    return Backend.TENSORRT


def _progress(line: str) -> None:
    print(f"\rjetson: {line:<70}", end="", flush=True)


def _say_trouble(status: Status) -> None:
    if status.state in (RunState.RECONNECTING, RunState.DEGRADED):
        print(f"jetson: {status}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
