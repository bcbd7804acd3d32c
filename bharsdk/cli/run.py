"""``bhar run``, ``record`` and ``replay``: sources through a model."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bharsdk.cli.arguments import (
    FOLDER_FPS,
    MAX_PERSONS,
    POLICIES,
    RECONNECT_FOR_S,
    SESSION_SUFFIX,
    AddCommand,
    add_model_arguments,
)
from bharsdk.cli.exit_codes import INTERRUPTED
from bharsdk.cli.names import chosen, some_text
from bharsdk.cli.numbers import fps, positive, seconds, share, whole
from bharsdk.cli.progress import ProgressLine
from bharsdk.errors import InputError, ParityError, UsageError
from bharsdk.files.outputs import declare_files

if TYPE_CHECKING:
    from bharsdk.events import Event
    from bharsdk.pipeline.run import Run
    from bharsdk.pipeline.status import Status
    from bharsdk.recognition.results import Result, StageTimes

__all__ = ["add_parsers"]

CAMERA_VIDEO_FPS = 15.0
"""What a camera with MediaPipe delivers on a small machine; cameras do not say it beforehand."""
PROGRESS_AFTER_S = 2.0
SOURCES = (
    "camera number, v4l2:///dev/video0, csi://0, rtsp://..., video file, folder of pictures, or"
    " NAME.bhar-session"
)


def add_parsers(command: AddCommand) -> None:
    """Add the commands."""
    run = command("run", "print the events in a source as they happen", _run)
    run.add_argument("source", help=SOURCES)
    _add_run_arguments(run)
    run.add_argument("--save", metavar="OUT.mp4", type=Path, help="write an annotated video")
    run.add_argument(
        "--record",
        metavar=f"OUT{SESSION_SUFFIX}",
        type=Path,
        help="keep landmarks and events: what  bhar replay  reads, and what a bug report needs",
    )
    declare_files(run, reads=("source", "model"), writes=("save", "record"))

    does = "record the landmarks and events of a source: bhar run with a file"
    record = command("record", does, _run)
    record.add_argument("source", help=SOURCES)
    record.add_argument("record", metavar=f"OUT{SESSION_SUFFIX}", type=Path, help="the recording")
    _add_run_arguments(record)
    record.set_defaults(save=None)
    declare_files(record, reads=("source", "model"), writes=("record",))

    does = "run a recorded session again, and compare its events with those of the recording"
    replay = command("replay", does, _replay)
    replay.add_argument(
        "session", help=f"NAME{SESSION_SUFFIX} that  bhar run --record  wrote", type=Path
    )
    add_model_arguments(replay)
    replay.add_argument("--json", action="store_true", help="one JSON object a line")


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--max-frames", metavar="N", type=positive, help="stop after N frames")
    parser.add_argument(
        "--score-threshold", metavar="P", type=share, help="no event starts below, 0 to 1"
    )
    parser.add_argument(
        "--fps",
        type=fps,
        help=f"pictures a second of a folder of pictures, default {FOLDER_FPS:g}",
    )
    parser.add_argument(
        "--labels",
        metavar="A,B",
        type=some_text,
        action="append",
        help="the only labels that may make events; again for more",
    )
    parser.add_argument(
        "--max-persons",
        metavar="N",
        type=whole(1, MAX_PERSONS),
        default=1,
        help=f"people to follow, up to {MAX_PERSONS}; default 1",
    )
    parser.add_argument(
        "--backpressure",
        choices=POLICIES,
        help="what gives way when frames come too fast; default: older frames of a camera, nothing"
        " of a file",
    )
    parser.add_argument(
        "--wait",
        metavar="S",
        type=seconds,
        default=0.0,
        help="seconds to wait for a camera or file that is not there yet, inf for ever; default"
        " %(default)g",
    )
    parser.add_argument(
        "--reconnect-for",
        metavar="S",
        type=seconds,
        default=RECONNECT_FOR_S,
        help="seconds to try to get a lost camera back, inf for ever; default %(default)g",
    )


def _run(arguments: argparse.Namespace) -> int:
    from bharsdk.bundle.bundle import load_bundle
    from bharsdk.cameras.source_config import Backpressure, SourceConfig
    from bharsdk.recognizer import Recognizer, bundle_path

    bundle, labels = load_bundle(bundle_path(arguments.model)), None
    if arguments.labels is not None:
        labels = chosen("--labels", arguments.labels, bundle.manifest.all_labels)
    recognizer = Recognizer(
        bundle,
        device=arguments.device,
        require=arguments.require,
        score_threshold=arguments.score_threshold,
        label_allowlist=labels,
        max_persons=arguments.max_persons,
    )
    policy = arguments.backpressure
    config = SourceConfig(
        backpressure=None if policy is None else Backpressure(policy),
        reconnect_for_s=arguments.reconnect_for,
        wait_for_source_s=arguments.wait,
        max_frames=arguments.max_frames,
        folder_fps=_folder_fps(arguments),
    )
    run = recognizer.run(
        arguments.source, config=config, on_status=_say_waiting, record=arguments.record
    )
    with run:
        printer = _Printer(run.frame_count, as_json=arguments.json)
        interrupted = _show(run, printer, arguments.save)
    printer.summarize(recognizer.backend, run)
    if run.recording_error is not None:
        raise InputError(run.recording_error)
    if not interrupted or run.is_live:
        return 0
    print("bhar: interrupted before the end of the source", file=sys.stderr)
    return INTERRUPTED


def _folder_fps(arguments: argparse.Namespace) -> float:
    from bharsdk.cameras.picture_folder import is_folder
    from bharsdk.cameras.source_config import SourceConfig

    if arguments.fps is None:
        return SourceConfig.folder_fps
    if not is_folder(arguments.source):
        raise UsageError("--fps: got it without a folder of pictures; other sources have times")
    return float(arguments.fps)


def _show(run: Run, printer: _Printer, save: Path | None) -> bool:
    """Print every result, and draw it into a video if asked. Returns whether Ctrl-C ended it."""
    from bharsdk.recognition.drawing import AnnotatedVideo

    video = None if save is None else AnnotatedVideo(save, lambda: run.fps or CAMERA_VIDEO_FPS)
    try:
        # Entered inside the try, so that Ctrl-C passes through it and it keeps its file.
        with video or contextlib.nullcontext():
            for result in run:
                printer.show(result)
                if video is not None:
                    video.write(result)
    except KeyboardInterrupt:
        return True
    finally:
        printer.clear()
    return False


def _say_waiting(status: Status) -> None:
    """Why nothing comes yet. What goes wrong later is logged as a warning."""
    from bharsdk.pipeline.status import RunState

    if status.state is RunState.STARTING and status.message:
        print(f"bhar: {status}", file=sys.stderr, flush=True)


def _replay(arguments: argparse.Namespace) -> int:
    from bharsdk.files.codec import from_json_dict
    from bharsdk.recognition.options import RecognizerOptions
    from bharsdk.recognizer import Recognizer
    from bharsdk.recordings.session_file import load_session

    session = load_session(arguments.session)
    options = from_json_dict(
        RecognizerOptions, session.options or {}, f"{arguments.session}: options"
    )
    recognizer = Recognizer(
        arguments.model, device=arguments.device, require=arguments.require, options=options
    )
    begin_s = time.perf_counter()
    printer = _Printer(len(session), as_json=arguments.json)
    with recognizer.run(session) as run:
        _show(run, printer, None)
    took_s = time.perf_counter() - begin_s
    times = session.sequence.timestamps_ms
    span_s = float(times[-1] - times[0]) / 1000.0
    speed = span_s / took_s if took_s > 0 else math.inf
    print(
        f"{len(session)} frames, {span_s:.1f} s, in {took_s:.2f} s ({speed:.0f} times as fast)",
        file=sys.stderr,
    )
    if session.events is None:
        print("the session holds no events of its own to compare with", file=sys.stderr)
        return 0
    if session.model not in (None, "", recognizer.bundle.sha256):
        print("bhar: recorded with another model: its events may differ", file=sys.stderr)
    _compare(session.events, tuple(printer.events), arguments.session)
    print(f"the same {len(session.events)} events as recorded", file=sys.stderr)
    return 0


def _compare(recorded: tuple[Event, ...], replayed: tuple[Event, ...], path: Path) -> None:
    """Raise ParityError naming the first event that differs."""
    pairs = list(_padded(recorded, replayed))
    for number, (was, is_now) in enumerate(pairs):
        if was != is_now:
            raise ParityError(
                f"{path}: event {number} was recorded as [{was or 'none'}], got"
                f" [{is_now or 'none'}]: expected the model that it was recorded with"
            )


def _padded(
    a: tuple[Event, ...], b: tuple[Event, ...]
) -> Iterator[tuple[Event | None, Event | None]]:
    for i in range(max(len(a), len(b))):
        yield (a[i] if i < len(a) else None), (b[i] if i < len(b) else None)


class _Printer:
    """Events to stdout, and for longer files a progress line to a stderr that is a terminal."""

    def __init__(self, total: int | None, *, as_json: bool) -> None:
        self._total = total
        self._as_json = as_json
        self._stages: list[StageTimes] = []
        self.events: list[Event] = []
        self._begin_s = time.monotonic()
        self._progress = ProgressLine()

    def show(self, result: Result) -> None:
        """The events of one frame."""
        self.events += result.events
        if not result.is_final:
            self._stages.append(result.stages)
        if result.events:
            self.clear()
        for event in result.events:
            line = json.dumps(event.to_dict()) if self._as_json else str(event)
            print(line, flush=True)
        if self._total is not None and time.monotonic() - self._begin_s > PROGRESS_AFTER_S:
            self._progress.show(f"frame {result.frame + 1} of {self._total}")

    def clear(self) -> None:
        """Take the progress line away."""
        self._progress.clear()

    def summarize(self, backend: str, run: Run) -> None:
        """What the stages took, and what became of the frames."""
        from bharsdk.recognition.results import StageSummary

        summary, counts = StageSummary.of(self._stages), run.counts
        if self._as_json:
            values = {
                **asdict(summary),
                "backend": backend,
                "captured": counts.captured,
                "delivered": counts.delivered,
                "dropped": {cause.name.lower(): n for cause, n in counts.dropped.items()},
            }
            print(json.dumps({"summary": values}), flush=True)
            return
        print(f"{summary.frames} frames")
        for cause, count in counts.dropped.items():
            print(f"  {count} dropped: {cause.value}")
        print(f"  {backend}")
        for line in summary.lines():
            print(line)
