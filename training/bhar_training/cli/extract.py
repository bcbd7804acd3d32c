"""``bhar-train extract``: landmarks of videos and of folders of pictures."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bhar_training.cli.options import GOES_ON
from bharsdk.cameras.source_config import DEFAULT_FPS
from bharsdk.cli.arguments import SESSION_SUFFIX as SUFFIX
from bharsdk.cli.command import Command
from bharsdk.cli.landmarker_option import LandmarkerName
from bharsdk.cli.names import label
from bharsdk.cli.numbers import THREADS
from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_FPS
from bharsdk.values.declared import Cli, Help, Range, Use

__all__ = ["COMMAND", "Extract", "run"]


@dataclass(frozen=True)
class Extract:
    """The options of ``bhar-train extract``."""

    videos: Annotated[
        tuple[Path, ...],
        Help(
            "folder <label>/<video> or <label>/<clip>/<pictures>; with --label, the videos and"
            " folders of pictures themselves. What OpenCV opens is a video, whatever its name"
        ),
        Cli(names=("videos",), metavar="VIDEOS", file=Use.READ),
    ]
    out: Annotated[Path, Help("folder to fill"), Cli(metavar="DIR", file=Use.WRITE)]
    label: Annotated[str | None, Help("what the given files show"), Cli(read=label)] = None
    fps: Annotated[
        float,
        Range(0, MAX_FPS, "frames a second", above=True),
        Help("of folders of pictures; videos say their own"),
    ] = DEFAULT_FPS
    landmarker: LandmarkerName = None
    jobs: Annotated[int | None, THREADS, Help("processes"), Cli(default="all cores")] = None


def run(arguments: Extract) -> None:
    """Write the landmarks of every video, and say what could not be used."""
    from bhar_training.data.extract import extract, find_videos
    from bhar_training.data.looks import table
    from bharsdk.landmarkers.registry import DEFAULT_LANDMARKER

    found = find_videos(arguments.videos, arguments.label)
    out, jobs = arguments.out, found.jobs
    chosen = arguments.landmarker or DEFAULT_LANDMARKER  # a name: every process opens its own
    summary = extract(jobs, out, processes=arguments.jobs, fps=arguments.fps, landmarker=chosen)
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


COMMAND = Command(
    Extract,
    run,
    "Write DIR/<label>/<name>.bhar-session for every video; what is there stays. A file ranges.csv"
    " in the folder (clip,start_s,end_s) says which parts of videos count.",
    GOES_ON,
)
