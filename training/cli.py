"""``bhar-train``: fit and evaluate models, extract landmarks from videos."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bharsdk.errors import BackendMissingError, BharError, InputError

__all__ = ["main"]

EXIT_CODES = (
    "exit codes: 0 ok, 1 internal error, 2 usage, 3 bad input data, 4 corrupt checkpoint, 5 other"
    " version, 8 package missing"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (see ``bharsdk.errors``)."""
    arguments = _parser().parse_args(argv)
    # Threads that spin while they wait cost more than they gain on small, shared machines.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        arguments.run(arguments)
    except BharError as error:
        print(f"bhar-train: error: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("bharsdk", "bhar_training"):
            raise
        missing = BackendMissingError.for_extra(error.name, "train")
        print(f"bhar-train: error: {missing}", file=sys.stderr)
        return missing.exit_code
    except KeyboardInterrupt:
        print("bhar-train: interrupted; finished epochs are kept, --resume goes on", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "bhar-train", description=__doc__.split(": ", 1)[1], epilog=EXIT_CODES
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_fit(commands)
    _add_eval(commands)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="recordings: .npz or a folder")
    parser.add_argument("--signers", help="only these, separated by commas")
    parser.add_argument("--fps", type=float, default=15.0, help="of layouts without time (15)")


def _add_fit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("fit", help="train a model", epilog=EXIT_CODES)
    parser.set_defaults(run=_fit)
    parser.add_argument("--model", required=True, choices=("bharnet-e", "pr-gcn"))
    _add_data(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--epochs", type=int, help="default 20")
    parser.add_argument("--batch-size", type=int, help="default 32")
    parser.add_argument("--lr", type=float, help="peak learning rate, default 0.002")
    parser.add_argument("--validation", type=float, help="part of the blocks, default 0.1")
    parser.add_argument("--background", help='label that means "no sign", default "-"')
    parser.add_argument("--seed", type=int, help="default 0")
    parser.add_argument("--bfloat16", action="store_true", help="mixed precision")
    parser.add_argument("--threads", type=int, help="default: all cores")


def _add_eval(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("eval", help="score a checkpoint", epilog=EXIT_CODES)
    parser.set_defaults(run=_eval)
    parser.add_argument("checkpoint", type=Path, help="checkpoint folder, or the run that has it")
    _add_data(parser)
    parser.add_argument("--confusion", type=Path, help="write the confusion matrix to this PNG")


def _load(arguments: argparse.Namespace):  # type: ignore[no-untyped-def]
    from bhar_training.data.clips import load_clips

    clips = load_clips(arguments.data, fps=arguments.fps)
    return clips.of_signers(arguments.signers.split(",")) if arguments.signers else clips


def _fit(arguments: argparse.Namespace) -> None:
    import torch

    from bhar_training.config import TrainConfig
    from bhar_training.models import ModelConfig, ModelName
    from bhar_training.trainer import fit

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    names = ("epochs", "batch_size", "lr", "validation", "background", "seed")
    given = {name: getattr(arguments, name) for name in names}
    config = TrainConfig(
        ModelConfig(ModelName(arguments.model)),
        bfloat16=arguments.bfloat16,
        **{name: value for name, value in given.items() if value is not None},
    )
    clips = _load(arguments)
    print(f"{len(clips)} clips, {len(clips.classes)} labels: {' '.join(clips.classes)}")
    meta = fit(clips, config, arguments.out, trained_on=arguments.data.name, resume=arguments.resume)
    print(f"{arguments.out / 'checkpoint'}: {meta.epoch} epochs, {meta.metrics}")


def _eval(arguments: argparse.Namespace) -> None:
    from bhar_training.checkpoint import load_checkpoint
    from bhar_training.evaluate import evaluate
    from bhar_training.plots import plot_confusion

    folder = arguments.checkpoint
    nested = folder / "checkpoint"
    checkpoint = load_checkpoint(nested if nested.is_dir() else folder)
    found = evaluate(checkpoint, _load(arguments))
    total = int(found.confusion.sum())
    print(f"top-1               {100 * found.top1:6.2f} %  of {total} clips")
    print(f"macro recall, signs {100 * found.macro_recall_signs:6.2f} %")
    for label, recall in found.recalls.items():
        row = found.confusion[found.labels.index(label)]
        if row.sum():
            print(f"  {label:12s} {100 * recall:6.2f} %  of {row.sum()}")
    if arguments.confusion is not None:
        if not arguments.confusion.parent.is_dir():
            raise InputError(f"{arguments.confusion.parent}: no such folder for the picture")
        plot_confusion(found, arguments.confusion, f"top-1 {100 * found.top1:.1f} %")
        print(f"confusion matrix    {arguments.confusion}")


if __name__ == "__main__":
    sys.exit(main())
