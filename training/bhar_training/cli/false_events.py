"""``bhar-train false-events``: what a bundle makes of hours of no sign."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from bhar_training.cli.options import Clips, Data, DataOptions, load_data
from bharsdk.cli.command import Command
from bharsdk.cli.names import chosen
from bharsdk.errors import InputError, UsageError
from bharsdk.values.declared import Cli, Help, Range

__all__ = ["COMMAND", "FalseEvents", "run"]


@dataclass(frozen=True)
class FalseEvents:
    """The options of ``bhar-train false-events``."""

    bundle: Annotated[
        str, Help("path of a bundle, or the name of a shipped one"), Cli(names=("bundle",))
    ]
    data: Data
    labels: Annotated[
        tuple[str, ...],
        Help("of these clips"),
        Cli(metavar="LABEL[,LABEL]", whole=True, default="the model's background label"),
    ] = ()
    unknown: Annotated[bool, Help("of all clips whose label the model does not have")] = False
    hours: Annotated[float, Range(0, 1000, "hours", above=True), Help("of recording")] = 1.0
    seed: Annotated[int, Range(0), Help("of order and changes")] = 0
    at_most: Annotated[
        float | None, Range(0, 1e9, "events an hour"), Help("more are exit code 6")
    ] = None
    clips: Clips = field(default_factory=DataOptions)


def run(arguments: FalseEvents) -> None:
    """Count the events. Raises AccuracyGateError above --at-most."""
    from bhar_training.data.clip_set import ClipSet
    from bhar_training.evaluation.false_events import count_false_events
    from bharsdk.errors import AccuracyGateError
    from bharsdk.recognizer import Recognizer

    recognizer = Recognizer(arguments.bundle)
    clips = load_data(arguments.data, arguments.clips, to_train=False)
    if not isinstance(clips, ClipSet):
        raise UsageError("--protocol: skeleton data sets have no hands, expected recordings")
    known = set(recognizer.labels)
    background = recognizer.bundle.manifest.background
    wanted: set[str] = set(chosen("--labels", arguments.labels, clips.classes))
    if not wanted and background is not None:
        wanted = {background}
    if arguments.unknown:
        wanted = set(clips.labels) - known
    mistaken = sorted((wanted & known) - {background or ""})
    if mistaken:
        raise UsageError(f"--labels: got {mistaken[0]!r}, a sign that the model is to recognize")
    wanted_clips = [
        clip for clip, label in zip(clips.sequences, clips.labels, strict=True) if label in wanted
    ]
    if not wanted_clips:
        raise InputError(
            f"{arguments.data}: got no clip of {', '.join(sorted(wanted))}, expected some"
        )
    found = count_false_events(recognizer, wanted_clips, hours=arguments.hours, seed=arguments.seed)
    print(f"{recognizer.bundle.manifest.name}: {found}")
    if arguments.at_most is not None and found.per_hour > arguments.at_most:
        raise AccuracyGateError(
            f"got {found.per_hour:.2f} false events an hour, expected at most {arguments.at_most:g}"
        )


COMMAND = Command(
    FalseEvents,
    run,
    "Strings clips that show no sign of the model to hours of one recording, each slightly changed,"
    " and recognizes them as a robot would. Exit code 6 above --at-most.",
    exits="6 more than --at-most",
)
