"""``bhar-train extract``: landmarks of videos."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bhar_training.commands.options import EXIT_CODES
from bharsdk.commands.numbers import positive
from bharsdk.errors import InputError

if TYPE_CHECKING:
    from bhar_training.commands.options import Commands

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """Declare its options."""
    parser = commands.add_parser(
        "extract",
        help="landmarks of videos, as recordings to train on",
        description="Write DIR/<label>/<name>.bhar-session for every video; what is there stays.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(
        run=run, when_interrupted="interrupted; the same command goes on where it stopped"
    )
    parser.add_argument(
        "videos", nargs="+", type=Path, metavar="VIDEOS", help="folder <label>/<video>, or files"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to fill")
    parser.add_argument("--label", help="what the given files show")
    parser.add_argument("--jobs", type=positive, metavar="N", help="processes, default: all cores")


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from bhar_training.extract import extract, find_videos

    jobs = find_videos(arguments.videos, arguments.label)
    summary = extract(jobs, arguments.out, processes=arguments.jobs)
    bad = len(summary.failures)
    print(
        f"{arguments.out}: {summary.written} clips written, {summary.skipped} there before,"
        f" {bad} videos could not be used"
    )
    for video, _ in summary.failures:
        print(f"  {video}")
    if bad == len(jobs):
        raise InputError(
            f"got {bad} videos and no clip out of them, expected at least one: see above"
        )
