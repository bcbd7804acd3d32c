"""From camera to label on real input: two videos, then two recorded sessions with known signs.

    make demo          or, with the extra "camera" installed:   python examples/demo.py

Needs no other files. Writes annotated videos to out/. bharsdk computes on one thread; MediaPipe
chooses its own number of threads.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bharsdk import (
    AnnotatedVideo,
    Event,
    EventPhase,
    InputError,
    Recognizer,
    StageSummary,
    StageTimes,
    TrueEvent,
    UsageError,
    exit_code_of,
    load_session,
    open_source,
    shipped_bundles,
)

DATA = Path(__file__).parent / "data"
MODEL = "asl-coffee-prgcn"
TOLERANCE_MS = 250.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run both parts; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the videos")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of videos/ and sessions/")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: show(arguments), "demo", extra="camera")


def show(arguments: argparse.Namespace) -> None:
    """Run both parts. Raises UsageError if ``--out`` is the folder of the videos."""
    videos = arguments.data / "videos"
    if arguments.out.resolve() in (arguments.data.resolve(), videos.resolve()):
        raise UsageError(f"--out: got {arguments.out}, which --data names too, expected another")
    show_videos(_files(videos, "*.mp4"), arguments.out)
    show_sessions(_files(arguments.data / "sessions", "*.bhar-session"))


def _files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise InputError(f"{folder}: got no {pattern}, expected the files of the project")
    return found


def show_videos(paths: Sequence[Path], out: Path) -> None:
    """Recognize each video with the shipped model, print its events, and draw them."""
    recognizer = Recognizer(MODEL)
    manifest = recognizer.bundle.manifest
    print(f"1. Videos through MediaPipe and {manifest.name} ({manifest.precision.value})")
    print(f"   backend: {recognizer.backend}, on {platform.machine()}")
    print(f"   model: {len(recognizer.labels)} labels")
    print("   The clips show words of Mexican Sign Language, which this model of American signs")
    print("   does not know: the right answer is no event, and every event below is a false one.")
    stages: list[StageTimes] = []
    found = 0
    for path in paths:
        events = _annotate(recognizer, path, out / f"{path.stem}.annotated.mp4", stages)
        found += sum(event.phase is EventPhase.END for event in events)
    print(f"\n   {found} false events in {len(paths)} clips of unknown signs, {len(stages)} frames")
    for line in StageSummary.of(stages).lines():
        print(f" {line}")


def _annotate(
    recognizer: Recognizer, path: Path, target: Path, stages: list[StageTimes]
) -> list[Event]:
    print(f"\n   {path.name} -> {target}")
    events: list[Event] = []
    with open_source(path) as source, AnnotatedVideo(target, source.fps or 30.0) as video:
        for result in recognizer.run(source):
            video.write(result)
            events += result.events
            for event in result.events:
                print(f"     {event}")
            if not result.is_final:
                stages.append(result.stages)
    if not events:
        print("     no known sign")
    return events


@dataclass(frozen=True)
class Comparison:
    """Recognized events beside the true ones.

    pairs: (true event, recognized event) in time order; None if one of them is missing.
    """

    pairs: tuple[tuple[TrueEvent | None, Event | None], ...]

    @property
    def right(self) -> int:
        """Number of signs that were found at their time, with their label."""
        return sum(t is not None and e is not None and t.label == e.label for t, e in self.pairs)

    @property
    def mistaken(self) -> int:
        """Number of signs at whose time another label was found."""
        return sum(t is not None and e is not None and t.label != e.label for t, e in self.pairs)

    @property
    def missed(self) -> int:
        """Number of signs at whose time nothing was found."""
        return sum(e is None for _, e in self.pairs)

    @property
    def false(self) -> int:
        """Number of events without a sign, or second events of one sign."""
        return sum(t is None for t, _ in self.pairs)


def compare(truth: Sequence[TrueEvent], events: Sequence[Event]) -> Comparison:
    """Match END events with true events, one to one.

    An event belongs to a sign if its middle lies in the interval of the sign, give or take
    TOLERANCE_MS. If several do, an event with the right label goes first, then the nearest one.
    """
    left: list[Event] = list(events)
    matched: dict[TrueEvent, Event] = {}
    for label_matters in (True, False):
        for true in truth:
            near = [
                event
                for event in left
                if _is_at(event, true) and (event.label == true.label or not label_matters)
            ]
            if near and true not in matched:
                middle_ms = (true.start_ms + true.end_ms) / 2
                distances_ms = [abs(_middle_ms(event) - middle_ms) for event in near]
                matched[true] = near[distances_ms.index(min(distances_ms))]
                left.remove(matched[true])
    signs = [(true.start_ms, (true, matched.get(true))) for true in truth]
    extras = [(event.start_ms, (None, event)) for event in left]
    return Comparison(tuple(pair for _, pair in sorted([*signs, *extras], key=lambda x: x[0])))


def _middle_ms(event: Event) -> float:
    end_ms = event.start_ms if event.end_ms is None else event.end_ms
    return (event.start_ms + end_ms) / 2


def _is_at(event: Event, true: TrueEvent) -> bool:
    return true.start_ms - TOLERANCE_MS <= _middle_ms(event) <= true.end_ms + TOLERANCE_MS


def show_sessions(paths: Sequence[Path]) -> None:
    """Replay each session with every shipped model that knows its signs, and count."""
    print("\n2. Recorded landmarks of signer s2, whom these models have never seen, with the truth")
    print("   Clips of single signs and of no sign one after another, with a jump where they meet.")
    print(
        "   right: an event of the sign's label whose middle lies in the sign's interval, give or"
    )
    print(f"   take {TOLERANCE_MS:.0f} ms.")
    for name in shipped_bundles():
        recognizer = Recognizer(name)
        total = []
        for number, path in enumerate(paths):
            session = load_session(path)
            if not {true.label for true in session.truth} <= set(recognizer.labels):
                continue
            comparison = compare(session.truth, recognizer.recognize_clip(session))
            total.append(comparison)
            print(f"\n   {name} on {path.name}")
            if number == 0 or name == MODEL:
                _print_pairs(comparison)
            _print_counts(f"   {path.name}:", [comparison])
        if total:
            _print_counts(f"\n   {name}, all sessions:", total)


def _print_pairs(comparison: Comparison) -> None:
    print("     truth                          event")
    for true, event in comparison.pairs:
        want = f"{_span(true.start_ms, true.end_ms)} {true.label}" if true else ""
        got, mark = "", "missed"
        if event is not None and event.end_ms is not None:
            got = f"{_span(event.start_ms, event.end_ms)} {event.label:<10} {event.score:.2f}"
            mark = "false" if true is None else "ok" if true.label == event.label else "WRONG"
        print(f"     {want:<30} {got:<36} {mark}")


def _span(start_ms: float, end_ms: float) -> str:
    return f"{start_ms / 1000:6.2f} to {end_ms / 1000:6.2f} s"


def _print_counts(title: str, comparisons: Sequence[Comparison]) -> None:
    right, mistaken, missed, false = (
        sum(getattr(c, name) for c in comparisons)
        for name in ("right", "mistaken", "missed", "false")
    )
    print(
        f"{title} {right} of {right + mistaken + missed} signs right, {mistaken} with another"
        f" label, {missed} missed; {false} false events"
    )


if __name__ == "__main__":
    sys.exit(main())
