"""``bhar-train false-events``: what a bundle makes of hours of no sign."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bhar_training.cli.options import EXIT_CODES, add_data_options, load_data
from bharsdk.cli.names import chosen, some_text
from bharsdk.cli.numbers import natural, real
from bharsdk.errors import InputError, UsageError

if TYPE_CHECKING:
    from bhar_training.cli.options import Commands

__all__ = ["add", "run"]

HOURS = real(0, 1000, "hours, above 0, up to 1000", above=True)
AT_MOST = real(0, 1e9, "events an hour, 0 or more")


def add(commands: Commands) -> None:
    """Declare its options."""
    parser = commands.add_parser(
        "false-events",
        help="count the events of a bundle in hours of no sign, or of unknown signs",
        description="Strings clips that show no sign of the model to hours of one recording, each"
        " slightly changed, and recognizes them as a robot would. Exit code 6 above --at-most.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(run=run, when_interrupted="interrupted")
    parser.add_argument("bundle", help="path of a bundle, or the name of a shipped one")
    add_data_options(parser)
    parser.add_argument(
        "--labels",
        metavar="LABEL[,LABEL]",
        type=some_text,
        action="append",
        help="of these clips; default: the model's background label",
    )
    parser.add_argument(
        "--unknown", action="store_true", help="of all clips whose label the model does not have"
    )
    parser.add_argument("--hours", type=HOURS, default=1.0, help="of recording (1)")
    parser.add_argument("--seed", type=natural, default=0, help="of order and changes (0)")
    parser.add_argument(
        "--at-most", type=AT_MOST, metavar="N", help="events an hour; more are exit code 6"
    )


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from bhar_training.data.clip_set import ClipSet
    from bhar_training.evaluation.false_events import count_false_events
    from bharsdk.errors import AccuracyGateError
    from bharsdk.recognizer import Recognizer

    recognizer = Recognizer(arguments.bundle)
    clips = load_data(arguments, to_train=False)
    if not isinstance(clips, ClipSet):
        raise UsageError("--protocol: skeleton data sets have no hands, expected recordings")
    known = set(recognizer.labels)
    background = recognizer.bundle.manifest.background
    wanted: set[str] = set(chosen("--labels", arguments.labels or (), clips.classes))
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
