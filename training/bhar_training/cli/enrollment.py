"""``bhar-train enrollment``: how well new labels are enrolled from a few clips of a stranger."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bhar_training.cli.options import EXIT_CODES
from bharsdk.cli.names import some_text
from bharsdk.cli.numbers import threads, whole
from bharsdk.errors import InputError, UsageError
from bharsdk.files.outputs import declare_files

if TYPE_CHECKING:
    from bhar_training.cli.options import Commands
    from bhar_training.paper.enrollment import EnrollmentScore

__all__ = ["ROWS", "add", "run"]

ROWS = ("letters", "letters-s1", "letters-s2", "words")
"""Of ``ENROLLMENTS``; here, so that ``--help`` need not import torch. (held by a test)"""


def add(commands: Commands) -> None:
    """Declare its options."""
    parser = commands.add_parser(
        "enrollment",
        help="enroll labels that a model was not trained on, and score them",
        description="Enrolls labels that a model was trained without (fit --without), from a few"
        " clips of a person whom it never saw, and scores that person's other clips. --row trains"
        " the model of a measured one first; a finished training in --out is not repeated.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(run=run, when_interrupted="interrupted")
    parser.add_argument(
        "checkpoint", type=Path, nargs="?", help="checkpoint folder, or the run that has it"
    )
    parser.add_argument("--data", type=Path, help="with a checkpoint: recordings of everybody")
    parser.add_argument(
        "--person", type=some_text, metavar="SIGNER", help="with a checkpoint: who enrolls"
    )
    parser.add_argument("--row", choices=ROWS, help="in place of a checkpoint")
    parser.add_argument(
        "--data-root", type=Path, default=Path("data"), metavar="DIR", help="with --row (data)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs"), metavar="DIR", help="with --row (runs)"
    )
    parser.add_argument("--shots", type=whole(1, 1000), default=5, help="clips of each label (5)")
    parser.add_argument("--draws", type=whole(1, 1_000_000), default=20, help="of these clips (20)")
    parser.add_argument("--threads", type=threads, metavar="N", help="default: all cores")
    # With a checkpoint nothing is written: only with --row.
    declare_files(parser, reads=("data_root",), writes=("out",))


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    import torch

    from bhar_training.checkpoint import load_checkpoint
    from bhar_training.data.clips import load_clips
    from bhar_training.paper.enrollment import score_enrollment, train_without
    from bhar_training.paper.recipes import ENROLLMENTS

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.row:
        recipe = ENROLLMENTS[arguments.row]
        checkpoint, clips = train_without(recipe, arguments.data_root, arguments.out)
        (person,) = recipe.fold.test
    else:
        if None in (arguments.checkpoint, arguments.data, arguments.person):
            raise UsageError("enrollment: expected a checkpoint, --data and --person, or --row")
        checkpoint, clips = load_checkpoint(arguments.checkpoint), load_clips(arguments.data)
        person = arguments.person
    meta = checkpoint.meta
    if person in meta.signers:
        raise InputError(
            f"--person: got {person}, who trained the model, expected a stranger to it"
        )
    trained_on = clips.of_signers(meta.signers)
    found = score_enrollment(
        checkpoint,
        trained_on,
        clips.of_signers([person]),
        shots=arguments.shots,
        draws=arguments.draws,
    )
    alone, asked = found
    gestures = " ".join(alone.gestures)
    print(f"enrolled {gestures}, {arguments.shots} clips each; means of {arguments.draws} draws")
    _print(alone)
    print("once the known labels that they are much like are shown too, where there are clips:")
    _print(asked)


def _print(found: EnrollmentScore) -> None:
    print(f"new labels, top-1   {found.new_top1:6.2f} % ± {found.new_spread:.2f}")
    print(f"known labels, top-1 {found.known_after:6.2f} %  ({found.known_before:.2f} before)")
    print(f"mean recall, all    {found.all_top1:6.2f} %")
    for label, points in found.lost.items():
        print(f"  {label:12s} loses {points:6.2f} points")
    for gesture, near in found.alike.items():
        print(f"  {gesture:12s} is much like {', '.join(near)}")
