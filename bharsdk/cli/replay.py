"""``bhar replay``: a recorded session again, its events compared with the recorded ones."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bharsdk.cli.arguments import SESSION_SUFFIX, ModelOptions, open_recognizer
from bharsdk.cli.command import Command
from bharsdk.cli.printing import Printer, show_results
from bharsdk.errors import ParityError
from bharsdk.values.declared import Cli, Help, Part, Use

if TYPE_CHECKING:
    from bharsdk.events import Event

__all__ = ["REPLAY", "Replay"]


@dataclass(frozen=True)
class Replay:
    """The options of ``bhar replay``."""

    session: Annotated[
        Path,
        Help(f"NAME{SESSION_SUFFIX} that  bhar run --record  wrote"),
        Cli(names=("session",), file=Use.FREE),
    ]
    model: Annotated[ModelOptions, Part("model")] = field(default_factory=ModelOptions)
    json: Annotated[bool, Help("one JSON object a line")] = False


def _replay(arguments: Replay) -> int:
    from bharsdk.files.codec import from_json_dict
    from bharsdk.recognition.options import RecognizerOptions
    from bharsdk.recordings.session_file import load_session

    session, model = load_session(arguments.session), arguments.model
    options = from_json_dict(
        RecognizerOptions, session.options or {}, f"{arguments.session}: options"
    )
    recognizer = open_recognizer(model.model, model.backend, require=model.require, options=options)
    begin_s = time.perf_counter()
    printer = Printer(len(session), as_json=arguments.json)
    with recognizer.run(session) as run:
        show_results(run, printer, None)
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


REPLAY = Command(Replay, _replay)
