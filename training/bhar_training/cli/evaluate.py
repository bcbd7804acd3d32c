"""``bhar-train eval``: score a checkpoint, or an ensemble."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bhar_training.cli.options import Clips, Data, DataOptions, load_all, load_data
from bharsdk.cli.command import Command
from bharsdk.cli.names import split
from bharsdk.errors import InputError, UsageError
from bharsdk.values.declared import Cli, Help, Range, Use

if TYPE_CHECKING:
    from bhar_training.data.batches import AnyClips
    from bhar_training.evaluation.metrics import FalseAccepts, Report

__all__ = ["COMMAND", "Evaluate", "run"]


@dataclass(frozen=True)
class Evaluate:
    """The options of ``bhar-train eval``."""

    checkpoints: Annotated[
        tuple[Path, ...],
        Help("checkpoint folder, or the run that has it"),
        Cli(names=("checkpoints",), metavar="CHECKPOINT", file=Use.READ),
    ]
    data: Data
    fusion: Annotated[str, Help("of an ensemble"), Cli(choices=("mean", "noisy-or"))] = "mean"
    drop_hands: Annotated[
        float | None,
        Range(0, 1),
        Help("each hand is missing in this part of the frames"),
        Cli(metavar="PART"),
    ] = None
    lose_hand: Annotated[
        str | None, Help("it is never seen"), Cli(choices=("left", "right"), metavar="SIDE")
    ] = None
    unknown: Annotated[
        tuple[str, ...],
        Help(
            "labels that the model does not have, or all of those: how many of their clips it"
            " takes for a sign"
        ),
        Cli(metavar="LABEL[,LABEL]", whole=True),
    ] = ()
    background_from: Annotated[
        Path | None,
        Help(
            "other recordings, none of a sign that it has, whatever their labels: how many clips"
            " it takes for no sign, or rejects"
        ),
        Cli(metavar="DATA", file=Use.READ),
    ] = None
    confusion: Annotated[
        Path | None,
        Help("draw the confusion matrix; .csv: as numbers"),
        Cli(file=Use.WRITE),
    ] = None
    recalls: Annotated[
        Path | None,
        Help("draw every label's recall; .csv: as numbers, with clips and precision"),
        Cli(file=Use.WRITE),
    ] = None
    clips: Clips = field(default_factory=DataOptions)


def run(arguments: Evaluate) -> None:
    """Score the checkpoints, print the figures, and write the reports that were asked for."""
    from bhar_training.checkpoint import load_checkpoint
    from bhar_training.evaluation.evaluate import evaluate, evaluate_unknown, split_unknown
    from bhar_training.evaluation.report_files import write_confusion, write_recalls
    from bhar_training.models import Fusion

    for file in (arguments.confusion, arguments.recalls):
        if file is not None and not file.parent.is_dir():
            raise InputError(f"{file.parent}: no such folder, expected one for {file.name}")
    checkpoints = [load_checkpoint(folder) for folder in arguments.checkpoints]
    fusion, meta = Fusion(arguments.fusion), checkpoints[0].meta
    clips, strange = (
        _degraded(load_data(arguments.data, arguments.clips, to_train=False), arguments),
        None,
    )
    if arguments.unknown:
        unknown = split("--unknown", arguments.unknown, clips.classes)
        clips, strange = split_unknown(clips, meta.labels, unknown)
    if len(clips) or strange is None:
        found = evaluate(checkpoints, clips, fusion)
        _print_report(found)
        for what, file, write in (
            ("confusion matrix", arguments.confusion, write_confusion),
            ("recalls", arguments.recalls, write_recalls),
        ):
            if file is not None:
                write(found, file)
                print(f"{what:19} {file}")
    if strange is not None:
        _print_strange(evaluate_unknown(checkpoints, strange, fusion), "unknown labels")
    if arguments.background_from is not None:
        rest = _degraded(load_all(arguments.background_from, arguments.clips), arguments)
        name = arguments.background_from.name
        _print_strange(evaluate_unknown(checkpoints, rest, fusion), name, rejects=True)


def _print_report(found: Report) -> None:
    total = int(found.confusion.sum())
    print(f"top-1               {100 * found.top1:6.2f} %  of {total} clips")
    print(f"macro recall, signs {100 * found.macro_recall_signs:6.2f} %")
    before = found.uncalibrated_error
    note = "" if before is None else f"  ({100 * before:.2f} % without the stored temperature)"
    print(f"calibration error   {100 * found.calibration_error:6.2f} %{note}")
    if (kept := found.acceptance) is not None:
        print(f"accepted            {100 * kept.part:6.2f} %  at {kept.reject_below:.3f} or more")
        print(f"top-1 of these      {100 * kept.top1:6.2f} %")
        if found.of_background is not None:
            _print_strange(found.of_background, f"{found.background}", rejects=True)
    for label, recall in found.recalls.items():
        row = found.confusion[found.labels.index(label)]
        if row.sum():
            print(f"  {label:12s} {100 * recall:6.2f} %  of {row.sum()}")


def _print_strange(found: FalseAccepts, of: str, *, rejects: bool = False) -> None:
    """What of clips without a known sign came through, or with ``rejects``, what did not."""
    name = "true rejects" if rejects else "false accepts"
    part, without = (1 - x if rejects else x for x in (found.part, found.as_sign))
    note = "nothing is rejected"
    if found.accepted is not None:
        note = f"{100 * without:.2f} % if nothing were rejected"
    print(f"{name:19} {100 * part:6.2f} %  of {found.clips} clips of {of} ({note})")


def _degraded(clips: AnyClips, arguments: Evaluate) -> AnyClips:
    from bhar_training.data.clip_set import ClipSet
    from bhar_training.data.degrade import drop_hands, lose_hand

    if arguments.drop_hands is None and arguments.lose_hand is None:
        return clips
    if not isinstance(clips, ClipSet):
        raise UsageError("--drop-hands, --lose-hand: got a skeleton data set, which has no hands")
    if arguments.drop_hands is not None:
        clips = drop_hands(clips, arguments.drop_hands)
    return clips if arguments.lose_hand is None else lose_hand(clips, arguments.lose_hand)


COMMAND = Command(
    Evaluate,
    run,
    "Several checkpoints (of other modalities, say) are scored as an ensemble.",
    preload=("torch",),
)
