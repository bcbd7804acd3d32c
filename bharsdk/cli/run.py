"""``bhar run`` and ``bhar record``: a source through a model."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.cameras.source_config import SourceConfig
from bharsdk.cli.arguments import SESSION_SUFFIX, ModelOptions, open_recognizer
from bharsdk.cli.command import Command
from bharsdk.cli.exit_codes import INTERRUPTED
from bharsdk.cli.landmarker_option import LandmarkerName
from bharsdk.cli.names import chosen
from bharsdk.cli.printing import Printer, show_results
from bharsdk.errors import InputError, UsageError
from bharsdk.recognition.options import RecognizerOptions
from bharsdk.values.declared import Cli, Help, Part, Use

if TYPE_CHECKING:
    from bharsdk.pipeline.status import Status

__all__ = ["RECORD", "RUN", "Record", "Run"]

C = TypeVar("C", DecoderConfig, SourceConfig)

Source = Annotated[
    str,
    Help(
        "camera number, v4l2:///dev/video0, csi://0, rtsp://..., video file, folder of pictures, or"
        f" NAME{SESSION_SUFFIX}"
    ),
    Cli(names=("source",), file=Use.READ),
]
Json = Annotated[bool, Help("one JSON object a line")]
Model = Annotated[ModelOptions, Part("model")]
Options = Annotated[RecognizerOptions, Part("what is reported")]
Decoder = Annotated[
    dict[str, Any],
    Part("when an event starts and ends", DecoderConfig, overrides=True, default="the bundle's"),
]
Config = Annotated[dict[str, Any], Part("source", SourceConfig, overrides=True)]


@dataclass(frozen=True)
class Run:
    """The options of ``bhar run``."""

    source: Source
    json: Json = False
    save: Annotated[
        Path | None, Help("write an annotated video"), Cli(metavar="OUT.mp4", file=Use.WRITE)
    ] = None
    record: Annotated[
        Path | None,
        Help("keep landmarks and events: what  bhar replay  reads, and what a bug report needs"),
        Cli(metavar=f"OUT{SESSION_SUFFIX}", file=Use.WRITE),
    ] = None
    landmarker: LandmarkerName = None
    model: Model = field(default_factory=ModelOptions)
    options: Options = field(default_factory=RecognizerOptions)
    decoder: Decoder = field(default_factory=dict)
    config: Config = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """The options of ``bhar record``."""

    source: Source
    record: Annotated[
        Path,
        Help("the recording"),
        Cli(names=("record",), metavar=f"OUT{SESSION_SUFFIX}", file=Use.WRITE),
    ]
    json: Json = False
    save: Annotated[Path | None, Cli(skip=True)] = None
    landmarker: LandmarkerName = None
    model: Model = field(default_factory=ModelOptions)
    options: Options = field(default_factory=RecognizerOptions)
    decoder: Decoder = field(default_factory=dict)
    config: Config = field(default_factory=dict)


def _run(arguments: Run | Record) -> int:
    from bharsdk.bundle.bundle import load_bundle
    from bharsdk.cameras.picture_folder import is_folder
    from bharsdk.recognizer import bundle_path

    model, decoder = arguments.model, arguments.decoder
    bundle, options = load_bundle(bundle_path(model.model)), arguments.options
    allowed, denied = options.label_allowlist, options.label_denylist
    known = bundle.manifest.all_labels
    if allowed is not None:
        options = replace(options, label_allowlist=chosen("--labels", allowed, known))
    if denied is not None:
        options = replace(options, label_denylist=chosen("--label-denylist", denied, known))
    if decoder:
        options = replace(options, decoder=_overridden(bundle.manifest.decoder, decoder))
    recognizer = open_recognizer(bundle, model.backend, require=model.require, options=options)
    config = _overridden(SourceConfig(), arguments.config)
    if "folder_fps" in arguments.config and not is_folder(arguments.source):
        raise UsageError("--fps: got it without a folder of pictures; other sources have times")
    with recognizer.run(
        arguments.source,
        landmarker=arguments.landmarker,
        config=config,
        on_status=_say_waiting,
        record=arguments.record,
    ) as run:
        printer = Printer(run.frame_count, as_json=arguments.json)
        interrupted = show_results(run, printer, arguments.save)
    printer.summarize(recognizer.backend, run)
    if run.recording_error is not None:
        raise InputError(run.recording_error)
    if not interrupted or run.is_live:
        return 0
    print("bhar: interrupted before the end of the source", file=sys.stderr)
    return INTERRUPTED


def _overridden(config: C, given: dict[str, Any]) -> C:
    """``config``, but for what was given."""
    try:
        return replace(config, **given)
    except InputError as error:  # options that contradict each other, or the bundle's rules
        raise UsageError(str(error)) from error


def _say_waiting(status: Status) -> None:
    """Why nothing comes yet. What goes wrong later is logged as a warning."""
    from bharsdk.pipeline.status import RunState

    if status.state is RunState.STARTING and status.message:
        print(f"bhar: {status}", file=sys.stderr, flush=True)


RUN = Command(Run, _run)
RECORD = Command(Record, _run)
