"""What several commands share: exit codes, and the options that name data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bharsdk.files.limits import MAX_FPS
from bharsdk.values.declared import Cli, Help, Part, Range, Use

if TYPE_CHECKING:
    from bhar_training.data.batches import AnyClips

LEAST_ASPECT, MOST_ASPECT = 0.1, 10
WIDE = 16 / 9
"""``DEFAULT_ASPECT``; here, so that ``--help`` need not import numpy. (held by a test)"""

__all__ = [
    "EXIT_CODES",
    "FINISHED_ARE_KEPT",
    "GOES_ON",
    "Clips",
    "Data",
    "DataOptions",
    "aspect",
    "load_all",
    "load_data",
]

EXIT_CODES = (
    "exit codes: 0 ok, 1 internal error, 2 usage, 3 bad input data, 4 corrupt checkpoint, 5 other"
    " version, 8 package missing, 130 interrupted"
)
FINISHED_ARE_KEPT = "interrupted; finished epochs are kept, --resume goes on"
GOES_ON = "interrupted; the same command goes on where it stopped"


def aspect(text: str) -> float:
    """Return the aspect of a picture, given as 4:3 or 1.333. Raises ValueError on another text."""
    width, colon, height = text.partition(":")
    try:
        value = float(width) / float(height) if colon else float(text)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not LEAST_ASPECT <= value <= MOST_ASPECT:
        raise ValueError(f"got {text!r}, expected width:height, as 16:9 or 4:3")
    return value


@dataclass(frozen=True)
class DataOptions:
    """Which clips of the data, and how to read them."""

    signers: Annotated[tuple[str, ...], Help("only these"), Cli(metavar="S,S", default="all")] = ()
    fps: Annotated[
        float, Range(0, MAX_FPS, "frames a second", above=True), Help("of layouts without time")
    ] = 15.0
    aspect: Annotated[
        float,
        Help("of the picture, of layouts without it"),
        Cli(metavar="W:H", read=aspect, default="16:9"),
    ] = WIDE
    protocol: Annotated[
        str | None,
        Help(
            "of a skeleton data set: ntu60-xsub, nw-ucla-v3 ... (README); fit takes its training"
            " side, eval its test side"
        ),
        Cli(metavar="NAME"),
    ] = None


Data = Annotated[Path, Help("recordings: .npz or a folder"), Cli(file=Use.READ)]
Clips = Annotated[DataOptions, Part("data")]


def load_data(path: Path, options: DataOptions, *, to_train: bool) -> AnyClips:
    """Return the clips of ``path`` that ``options`` choose; of a protocol, one side."""
    from bhar_training.data.skeletons import SkeletonClips, split_by_protocol
    from bharsdk.errors import UsageError

    if options.protocol and options.signers:
        raise UsageError("--signers: got it with --protocol, which says who trains")
    clips = load_all(path, options)
    if isinstance(clips, SkeletonClips):
        train, test = split_by_protocol(clips, options.protocol or "")
        return train if to_train else test
    return clips.of_signers(options.signers) if options.signers else clips


def load_all(path: Path, options: DataOptions) -> AnyClips:
    """Return every clip of ``path``: skeletons if ``options`` name a protocol, else landmarks."""
    if options.protocol:
        from bhar_training.data.skeleton_datasets import read_skeletons

        return read_skeletons(path)
    from bhar_training.data.clips import load_clips

    return load_clips(path, fps=options.fps, aspect=options.aspect)
