"""``bhar-train calibrate``: how far the probabilities of a run can be believed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bhar_training.cli.options import EXIT_CODES, add_data_options, load_data
from bharsdk.bundle.calibration import KEEP
from bharsdk.cli.numbers import part
from bharsdk.errors import InputError, UsageError
from bharsdk.files.outputs import declare_files

if TYPE_CHECKING:
    from bhar_training.cli.options import Commands
    from bhar_training.data.batches import AnyClips

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """Declare its options."""
    parser = commands.add_parser(
        "calibrate",
        help="measure how sure a run may be, and when it should not answer",
        description="Fits one temperature and the threshold below which an answer is none, and"
        " stores both in the checkpoint. DATA must not have been trained on: --held-out takes the"
        " blocks of it that fit held out (--validation). With --protocol these are the held-out"
        " subjects of the training side, always, so that the test side stays untouched. Labels"
        " that the run does not have are left out. A run that has learnt everything there is takes"
        " both from another one, trained alike but for what it held out: --like.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(run=run, when_interrupted="interrupted; the checkpoint is as it was")
    parser.add_argument("checkpoint", type=Path, metavar="RUN", help="run, or checkpoint folder")
    add_data_options(parser, required=False)
    parser.add_argument(
        "--held-out", action="store_true", help="of DATA, only what fit held out of the same DATA"
    )
    parser.add_argument(
        "--like", type=Path, metavar="OTHER", help="take those of this run, in place of DATA"
    )
    parser.add_argument(
        "--keep",
        type=part,
        default=KEEP,
        metavar="PART",
        help="of the signs that are recognized, how many stay accepted (%(default)s)",
    )
    declare_files(parser, reads=("data", "like"), updates=("checkpoint",))


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    if (arguments.data is None) == (arguments.like is None):
        given = "neither" if arguments.data is None else "both"
        raise UsageError(f"calibrate: got {given} of --data and --like, expected one of them")
    if arguments.like is not None:
        _take_over(arguments.checkpoint, arguments.like)
    else:
        _measure(arguments)


def _take_over(run: Path, other: Path) -> None:
    from dataclasses import replace

    from bhar_training.checkpoint import checkpoint_folder, load_checkpoint, save_meta

    ours, theirs = load_checkpoint(run).meta, load_checkpoint(other).meta
    for name in ("model", "features", "labels"):
        if getattr(ours, name) != getattr(theirs, name):
            raise InputError(
                f"{other}: got a run of other {name}, expected one trained as {run} was, but for"
                " what it held out"
            )
    if theirs.calibration is None:
        raise InputError(
            f"{other}: got a run without calibration, expected one that held something out:"
            " fit --validation 0.1, or calibrate it"
        )
    folder = checkpoint_folder(run)
    save_meta(folder, replace(ours, calibration=theirs.calibration))
    print(f"{folder}: {theirs.calibration}")


def _measure(arguments: argparse.Namespace) -> None:
    from dataclasses import replace

    from bhar_training.checkpoint import checkpoint_folder, load_checkpoint, save_meta
    from bhar_training.evaluation.calibration import calibrate
    from bhar_training.evaluation.evaluate import answers, class_indices
    from bhar_training.evaluation.metrics import expected_calibration_error
    from bharsdk.bundle.calibration import probabilities

    checkpoint = load_checkpoint(arguments.checkpoint)
    meta = checkpoint.meta
    clips = load_data(arguments, to_train=bool(arguments.protocol))
    clips = clips.where(lambda i: clips.labels[i] in meta.labels)
    if arguments.protocol or arguments.held_out:
        clips = _held_out(clips, arguments.checkpoint)
    truth, logits = class_indices(clips, meta.labels), answers([checkpoint], clips).raw
    found = calibrate(logits, truth, meta.background_index, arguments.keep)
    folder = checkpoint_folder(arguments.checkpoint)
    save_meta(folder, replace(meta, calibration=found))
    print(f"{folder}: {found}")
    for name, temperature in (("before", 1.0), ("after", found.temperature)):
        error = expected_calibration_error(truth, probabilities(logits, temperature))
        print(f"calibration error {name:6} {100 * error:6.2f} %")


def _held_out(clips: AnyClips, run: Path) -> AnyClips:
    """Of the training side, what ``run`` did not train on."""
    from bhar_training.data.batches import split_held_out
    from bhar_training.training.config import TrainConfig
    from bharsdk.files.codec import from_json_dict
    from bharsdk.files.untrusted import read_json

    stored = run / "config.json"
    if not stored.is_file():
        raise InputError(f"{stored}: got no configuration, expected a run")
    config = from_json_dict(TrainConfig, read_json(stored), str(stored))
    return split_held_out(clips, config.validation, config.seed)[1]
