"""On a Jetson: a CSI camera, and TensorRT to run the model.

    bhar-export runs/mine --target jetson --int8 --calib clips --output mine.bhar    (anywhere)
    python examples/jetson.py mine.bhar                                              (on the Jetson)

At the first start TensorRT builds its engine, which takes about a minute, and keeps it beside the
bundle. Later starts load it. (``bhar build mine.bhar`` builds it ahead, and shows the progress.) If
TensorRT is missing, or the bundle has no graph for it, the native backend runs the model, and one
line says why. The bundles that ship have no such graph.

Nothing here has run on a Jetson yet: not the build, not TensorRT, not the CSI camera. On x86-64 the
tests run the native backend, and TensorRT-RTX accepts the graphs of ``bhar-export --target
jetson``. ``csi://`` needs an OpenCV with GStreamer, as JetPack has; the OpenCV of pip has none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bharsdk import (
    BharError,
    Recognizer,
    RunState,
    SourceConfig,
    StageSummary,
    Status,
    exit_code_of,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C or the end of the source; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", nargs="?", default="asl-coffee", help="default %(default)s")
    parser.add_argument("source", nargs="?", default="csi://0", help="default %(default)s")
    parser.add_argument("--max-frames", type=int, metavar="N", help="stop after N frames")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: watch(arguments), "jetson", extra="camera")


def watch(arguments: argparse.Namespace) -> None:
    """Print the events, and at the end the time of each stage."""
    recognizer = load(arguments.bundle)
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


def load(bundle: str) -> Recognizer:
    """Load the bundle in TensorRT if that is possible, else in the native backend."""
    print("jetson: loads TensorRT; the first start takes about a minute", flush=True)
    try:
        return Recognizer(bundle, backend="tensorrt")
    except BharError as error:
        print(f"jetson: no TensorRT, the native backend runs: {error}", flush=True)
    return Recognizer(bundle, backend="native")


def _say_trouble(status: Status) -> None:
    if status.state in (RunState.RECONNECTING, RunState.DEGRADED):
        print(f"jetson: {status}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
