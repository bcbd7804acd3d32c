"""``bhar-train calibrate``: how far the probabilities of a run can be believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bhar_training.cli.options import Clips, DataOptions, load_data
from bharsdk.cli.command import Command
from bharsdk.errors import InputError, UsageError
from bharsdk.values.declared import Cli, Help, Range, Use

if TYPE_CHECKING:
    from bhar_training.data.batches import AnyClips

__all__ = ["COMMAND", "Calibrate", "run"]

KEEP = 0.995
"""``bharsdk.bundle.calibration.KEEP``; here, so that ``--help`` need not import numpy."""


@dataclass(frozen=True)
class Calibrate:
    """The options of ``bhar-train calibrate``."""

    checkpoint: Annotated[
        Path,
        Help("run, or checkpoint folder"),
        Cli(names=("checkpoint",), metavar="RUN", file=Use.UPDATE),
    ]
    data: Annotated[Path | None, Help("recordings: .npz or a folder"), Cli(file=Use.READ)] = None
    held_out: Annotated[bool, Help("of DATA, only what fit held out of the same DATA")] = False
    like: Annotated[
        Path | None,
        Help("take those of this run, in place of DATA"),
        Cli(metavar="OTHER", file=Use.READ),
    ] = None
    keep: Annotated[
        float,
        Range(0, 1, above=True),
        Help("part of the recognized signs that stay accepted"),
        Cli(metavar="PART"),
    ] = KEEP
    clips: Clips = field(default_factory=DataOptions)


def run(arguments: Calibrate) -> None:
    """Fit temperature and threshold, or take them over, and store them in the checkpoint."""
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


def _measure(arguments: Calibrate) -> None:
    from dataclasses import replace

    from bhar_training.checkpoint import checkpoint_folder, load_checkpoint, save_meta
    from bhar_training.evaluation.calibration import calibrate
    from bhar_training.evaluation.evaluate import answers, class_indices
    from bhar_training.evaluation.metrics import expected_calibration_error
    from bharsdk.bundle.calibration import probabilities

    checkpoint = load_checkpoint(arguments.checkpoint)
    meta = checkpoint.meta
    assert arguments.data is not None
    protocol = arguments.clips.protocol
    clips = load_data(arguments.data, arguments.clips, to_train=bool(protocol))
    clips = clips.where(lambda i: clips.labels[i] in meta.labels)
    if protocol or arguments.held_out:
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


COMMAND = Command(
    Calibrate,
    run,
    "Fits one temperature and the threshold below which an answer is none, and stores both in the"
    " checkpoint. DATA must not have been trained on: --held-out takes the blocks of it that fit"
    " held out (--validation). With --protocol these are the held-out subjects of the training"
    " side, always, so that the test side stays untouched. Labels that the run does not have are"
    " left out. A run that has learnt everything there is takes both from another one, trained"
    " alike but for what it held out: --like.",
    "interrupted; the checkpoint is as it was",
)
