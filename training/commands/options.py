"""What several commands share: exit codes, and the options that name data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bharsdk.errors import UsageError

if TYPE_CHECKING:
    from bhar_training.data.batches import AnyClips

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = [
    "EXIT_CODES",
    "Commands",
    "add_data_options",
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
    parser.add_argument("--signers", help="only these, separated by commas")
    parser.add_argument("--fps", type=float, default=15.0, help="of layouts without time (15)")
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
    return clips.of_signers(arguments.signers.split(",")) if arguments.signers else clips


def load_all(path: Path, arguments: argparse.Namespace) -> AnyClips:
    """Every clip of ``path``: skeletons when the options name a protocol, landmarks otherwise."""
    if arguments.protocol:
        from bhar_training.data.public import read_skeletons

        return read_skeletons(path)
    from bhar_training.data.clips import load_clips

    return load_clips(path, fps=arguments.fps)
