"""``bhar-train extract``: landmarks of videos and of folders of pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bhar_training.cli.options import EXIT_CODES
from bharsdk.cameras.picture_folder import DEFAULT_FPS
from bharsdk.cli.names import label
from bharsdk.cli.numbers import fps, threads
from bharsdk.errors import InputError
from bharsdk.files.outputs import declare_files
from bharsdk.recordings.session_file import SUFFIX

if TYPE_CHECKING:
    from bhar_training.cli.options import Commands

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """Declare its options."""
    parser = commands.add_parser(
        "extract",
        help="landmarks of videos, as recordings to train on",
        description="Write DIR/<label>/<name>.bhar-session for every video; what is there stays. A"
        " file ranges.csv in the folder (clip,start_s,end_s) says which parts of videos count.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(
        run=run, when_interrupted="interrupted; the same command goes on where it stopped"
    )
    parser.add_argument(
        "videos",
        nargs="+",
        type=Path,
        metavar="VIDEOS",
        help="folder <label>/<video> or <label>/<clip>/<pictures>; with --label, the videos and"
        " folders of pictures themselves. What OpenCV opens is a video, whatever it is called",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to fill")
    parser.add_argument("--label", type=label, help="what the given files show")
    parser.add_argument(
        "--fps",
        type=fps,
        default=DEFAULT_FPS,
        help="pictures a second of folders of pictures, default %(default)g; videos say their own",
    )
    parser.add_argument("--jobs", type=threads, metavar="N", help="processes, default: all cores")
    declare_files(parser, reads=("videos",), writes=("out",))


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from bhar_training.data.extract import extract, find_videos
    from bhar_training.data.looks import table

    found = find_videos(arguments.videos, arguments.label)
    out, jobs = arguments.out, found.jobs
    summary = extract(jobs, out, processes=arguments.jobs, fps=arguments.fps)
    bad, left_out = len(summary.failures), (*found.left_out, *summary.left_out)
    for one in left_out:
        if (out / one.path.parent.name / one.path.name).exists():
            continue  # a session that was copied there, as it should be
        print(f"bhar-train: left out: {one}", file=sys.stderr)
    print(
        f"{out}: {summary.written} clips written, {summary.skipped} there before,"
        f" {bad} videos could not be used, {len(left_out)} files left out"
    )
    for video, _ in summary.failures:
        print(f"  {str(video).encode(errors='backslashreplace').decode()}")
    for of_label in found.labels:
        if not any((out / of_label).glob(f"*{SUFFIX}")):
            print(
                f"bhar-train: warning: label {of_label!r}: no clip could be made of what its folder"
                f" holds, so {out} is without it",
                file=sys.stderr,
            )
    if summary.looks:
        print(table(summary.looks))
    if not summary.written + summary.skipped:
        raise InputError(
            f"got {len(jobs)} videos and no clip out of them, expected at least one: see above"
        )
