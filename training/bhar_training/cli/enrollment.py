"""``bhar-train enrollment``: how well new labels are enrolled from a few clips of a stranger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bharsdk.cli.command import Command
from bharsdk.cli.numbers import THREADS
from bharsdk.errors import InputError, UsageError
from bharsdk.values.declared import Cli, Help, Range, Use

if TYPE_CHECKING:
    from bhar_training.paper.enrollment import EnrollmentScore

__all__ = ["COMMAND", "ROWS", "Enrollment", "run"]

ROWS = ("letters", "letters-s1", "letters-s2", "words")
"""Of ``ENROLLMENTS``; here, so that ``--help`` need not import torch. (held by a test)"""


@dataclass(frozen=True)
class Enrollment:
    """The options of ``bhar-train enrollment``."""

    # With a checkpoint nothing is written: only with --row.
    checkpoint: Annotated[
        Path | None,
        Help("checkpoint folder, or the run that has it"),
        Cli(names=("checkpoint",), file=Use.FREE),
    ] = None
    data: Annotated[
        Path | None, Help("with a checkpoint: recordings of everybody"), Cli(file=Use.FREE)
    ] = None
    person: Annotated[str | None, Help("with a checkpoint: who enrolls"), Cli(metavar="SIGNER")] = (
        None
    )
    row: Annotated[str | None, Help("in place of a checkpoint"), Cli(choices=ROWS)] = None
    data_root: Annotated[
        Path, Help("of all data, with --row"), Cli(metavar="DIR", file=Use.READ)
    ] = Path("data")
    out: Annotated[
        Path, Help("of all trainings, with --row"), Cli(metavar="DIR", file=Use.WRITE)
    ] = Path("runs")
    shots: Annotated[int, Range(1, 1000, "clips"), Help("of each label")] = 5
    draws: Annotated[int, Range(1, 1_000_000, "draws"), Help("of these clips")] = 20
    threads: Annotated[int | None, THREADS, Cli(default="all cores")] = None


def run(arguments: Enrollment) -> None:
    """Enroll from a few clips, score the rest, and print it."""
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
        if not (arguments.checkpoint and arguments.data and arguments.person):
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


COMMAND = Command(
    Enrollment,
    run,
    "Enrolls labels that a model was trained without (fit --without), from a few clips of a person"
    " whom it never saw, and scores that person's other clips. --row trains the model of a measured"
    " one first; a finished training in --out is not repeated.",
    preload=("torch",),
)
