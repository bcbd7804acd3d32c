"""What several commands share: exit codes, and the options that name data."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from bharsdk.cli.names import names
from bharsdk.cli.numbers import fps
from bharsdk.errors import UsageError
from bharsdk.landmarks.landmarks import DEFAULT_ASPECT

if TYPE_CHECKING:
    from bhar_training.data.batches import AnyClips

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

LEAST_ASPECT, MOST_ASPECT = 0.1, 10

__all__ = [
    "EXIT_CODES",
    "Commands",
    "add_data_options",
    "aspect",
    "load_all",
    "load_data",
]

EXIT_CODES = (
    "exit codes: 0 ok, 1 internal error, 2 usage, 3 bad input data, 4 corrupt checkpoint, 5 other"
    " version, 8 package missing, 130 interrupted"
)


def add_data_options(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """What :func:`load_data` reads."""
    parser.add_argument("--data", type=Path, required=required, help="recordings: .npz or a folder")
    parser.add_argument("--signers", type=names, help="only these, separated by commas")
    parser.add_argument("--fps", type=fps, default=15.0, help="of layouts without time (15)")
    parser.add_argument(
        "--aspect",
        type=aspect,
        default=DEFAULT_ASPECT,
        metavar="W:H",
        help="of the picture, of layouts without it (16:9)",
    )
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        help="of a skeleton data set: ntu60-xsub, nw-ucla-v3 ... (README); fit takes its training"
        " side, eval its test side",
    )


def load_data(arguments: argparse.Namespace, *, to_train: bool) -> AnyClips:
    """The clips that ``add_data_options`` describe; of a protocol, one side."""
    from bhar_training.data.skeletons import SkeletonClips, split_by_protocol

    if arguments.protocol and arguments.signers:
        raise UsageError("--signers: got it with --protocol, which says who trains")
    clips = load_all(arguments.data, arguments)
    if isinstance(clips, SkeletonClips):
        train, test = split_by_protocol(clips, arguments.protocol)
        return train if to_train else test
    return clips.of_signers(arguments.signers) if arguments.signers else clips


def load_all(path: Path, arguments: argparse.Namespace) -> AnyClips:
    """Every clip of ``path``: skeletons when the options name a protocol, landmarks otherwise."""
    if arguments.protocol:
        from bhar_training.data.skeleton_datasets import read_skeletons

        return read_skeletons(path)
    from bhar_training.data.clips import load_clips

    return load_clips(path, fps=arguments.fps, aspect=arguments.aspect)


def aspect(text: str) -> float:
    """The aspect of a picture, as 4:3 or 1.333."""
    width, colon, height = text.partition(":")
    try:
        value = float(width) / float(height) if colon else float(text)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not LEAST_ASPECT <= value <= MOST_ASPECT:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected width:height, as 16:9 or 4:3")
    return value
