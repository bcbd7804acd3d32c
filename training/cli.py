"""``bhar-train``: fit, evaluate and describe models, extract landmarks from videos."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bharsdk.errors import BackendMissingError, BharError, InputError, UsageError

if TYPE_CHECKING:
    from bhar_training.data.batches import AnyAugment, AnyClips, AnyFeatures
    from bharsdk.features import Modality

__all__ = ["main"]

INTERRUPTED = 130
MODELS = ("bharnet-e", "bharnet-e-full", "bharnet-p", "pr-gcn", "body-expert", "hand-expert")
"""``ModelName``'s values; here, so that ``--help`` need not import torch. (held by a test)"""
EXIT_CODES = (
    "exit codes: 0 ok, 1 internal error, 2 usage, 3 bad input data, 4 corrupt checkpoint, 5 other"
    " version, 8 package missing, 130 interrupted"
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
        package = (error.name or "").split(".")[0]
        if package in ("", "bharsdk", "bhar_training"):
            raise
        missing = BackendMissingError.for_extra(package, "train")
        print(f"bhar-train: error: {missing}", file=sys.stderr)
        return missing.exit_code
    except KeyboardInterrupt:
        print(f"bhar-train: {arguments.when_interrupted}", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "bhar-train", description=__doc__.split(": ", 1)[1], epilog=EXIT_CODES
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_fit(commands)
    _add_eval(commands)
    _add_describe(commands)
    _add_bench(commands)
    _add_extract(commands)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="recordings: .npz or a folder")
    parser.add_argument("--signers", help="only these, separated by commas")
    parser.add_argument("--fps", type=float, default=15.0, help="of layouts without time (15)")
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        help="of a skeleton data set: ntu60-xsub, nw-ucla-v3 ... (README); fit takes its training"
        " side, eval its test side",
    )


def _add_fit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("fit", help="train a model", epilog=EXIT_CODES)
    parser.set_defaults(
        run=_fit, when_interrupted="interrupted; finished epochs are kept, --resume goes on"
    )
    parser.add_argument("--model", required=True, choices=MODELS)
    _add_data(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--epochs", type=int, help="default 20")
    parser.add_argument(
        "--draws", type=int, metavar="N", help="clips drawn an epoch, all of them and at least 512"
    )
    parser.add_argument("--batch-size", type=int, help="default 32")
    parser.add_argument("--lr", type=float, help="peak learning rate, default 0.002")
    parser.add_argument("--validation", type=float, help="part of the blocks, default 0.1")
    parser.add_argument("--background", help='label that means "no sign", default "-"')
    parser.add_argument("--seed", type=int, help="default 0")
    parser.add_argument(
        "--modalities",
        metavar="NAME[,NAME]",
        help="of joint, bone, joint-motion, bone-motion; default joint,bone, fused early",
    )
    parser.add_argument(
        "--stream-loss",
        type=float,
        metavar="WEIGHT",
        help="of each stream's own loss beside that of the fused logits, default 1",
    )
    parser.add_argument(
        "--augment",
        action="append",
        metavar="NAME=VALUE",
        help="how far an augmentation goes, 0 switches it off; again for another (see README)",
    )
    parser.add_argument("--bfloat16", action="store_true", help="mixed precision")
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument(
        "--teacher",
        action="append",
        metavar="RUN",
        help="also learn what this trained run thinks of each clip; again for an ensemble",
    )


def _add_eval(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "eval",
        help="score a checkpoint, or an ensemble",
        description="Several checkpoints (of other modalities, say) are scored as an ensemble.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(run=_eval, when_interrupted="interrupted")
    parser.add_argument(
        "checkpoints",
        type=Path,
        nargs="+",
        metavar="CHECKPOINT",
        help="checkpoint folder, or the run that has it",
    )
    parser.add_argument(
        "--fusion", choices=("mean", "noisy-or"), default="mean", help="of an ensemble (mean)"
    )
    _add_data(parser)
    parser.add_argument(
        "--drop-hands",
        type=float,
        metavar="PART",
        help="each hand is missing in this part of the frames",
    )
    parser.add_argument("--lose-hand", choices=("left", "right"), help="it is never seen")
    parser.add_argument("--confusion", type=Path, help="write the confusion matrix to this PNG")


def _add_describe(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "describe",
        help="parameters and multiply-adds of the models",
        description="Count as thop, ptflops and fvcore do, and the true multiply-adds.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(run=_describe, when_interrupted="interrupted")
    parser.add_argument("model", metavar="MODEL", help="a model's name, or all")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of a table")


def _add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "bench",
        help="training speed of DeGCN against its public form",
        description="Clips a second on this machine, both forms in turn, float32, medians.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(run=_bench, when_interrupted="interrupted")
    parser.add_argument("--batch", type=_positive, default=4, metavar="N", help="clips (4)")
    parser.add_argument("--threads", type=_positive, default=1, metavar="N", help="cores (1)")


def _add_extract(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "extract",
        help="landmarks of videos, as recordings to train on",
        description="Write DIR/<label>/<name>.bhar-session for every video; what is there stays.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(
        run=_extract, when_interrupted="interrupted; the same command goes on where it stopped"
    )
    parser.add_argument(
        "videos", nargs="+", type=Path, metavar="VIDEOS", help="folder <label>/<video>, or files"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to fill")
    parser.add_argument("--label", help="what the given files show")
    parser.add_argument("--jobs", type=_positive, metavar="N", help="processes, default: all cores")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number from 1 up")
    return int(text)


def _load(arguments: argparse.Namespace, *, to_train: bool) -> AnyClips:
    from bhar_training.data.clips import load_clips

    if arguments.protocol:
        from bhar_training.data.public import read_skeletons
        from bhar_training.data.skeletons import split_by_protocol

        if arguments.signers:
            raise UsageError("--signers: got it with --protocol, which says who trains")
        train, test = split_by_protocol(read_skeletons(arguments.data), arguments.protocol)
        return train if to_train else test
    clips = load_clips(arguments.data, fps=arguments.fps)
    return clips.of_signers(arguments.signers.split(",")) if arguments.signers else clips


def _fit(arguments: argparse.Namespace) -> None:
    import torch

    from bhar_training.config import TrainConfig
    from bhar_training.data.augment import AugmentConfig
    from bhar_training.data.skeleton_features import SkeletonAugmentConfig, SkeletonFeatureConfig
    from bhar_training.data.skeletons import SkeletonClips
    from bhar_training.distill import DistillConfig
    from bhar_training.models import ModelConfig, ModelName
    from bhar_training.trainer import fit
    from bharsdk.features import FeatureConfig

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    names = ("epochs", "draws", "batch_size", "lr", "validation", "background", "seed")
    given = {name: getattr(arguments, name) for name in names}
    if arguments.stream_loss is not None:
        given["loss_weights"] = (1.0, arguments.stream_loss, arguments.stream_loss)
    clips = _load(arguments, to_train=True)
    features: AnyFeatures = FeatureConfig()
    kind: type[AnyAugment] = AugmentConfig
    if isinstance(clips, SkeletonClips):
        persons = max(clip.shape[3] for clip in clips.clips)
        features = SkeletonFeatureConfig.for_skeleton(clips.skeleton, persons)
        kind = SkeletonAugmentConfig
    if arguments.modalities:
        features = replace(features, modalities=_modalities(arguments.modalities))
    config = TrainConfig(
        ModelConfig(ModelName(arguments.model)),
        features,
        _augment(arguments.augment or [], kind),
        distill=DistillConfig(tuple(arguments.teacher or ())),
        bfloat16=arguments.bfloat16,
        **{name: value for name, value in given.items() if value is not None},
    )
    print(f"{len(clips)} clips, {len(clips.classes)} labels: {' '.join(clips.classes)}")
    name = arguments.data.resolve().name
    meta = fit(clips, config, arguments.out, trained_on=name, resume=arguments.resume)
    print(f"{arguments.out / 'checkpoint'}: {meta.epoch} epochs, {meta.metrics}")


def _modalities(text: str) -> tuple[Modality, ...]:
    from bharsdk.features import Modality

    known = [modality.value for modality in Modality]
    unknown = [name for name in text.split(",") if name not in known]
    if unknown:
        raise UsageError(f"--modalities: got {unknown[0]!r}, expected some of {', '.join(known)}")
    return tuple(Modality(name) for name in text.split(","))


def _augment(settings: list[str], kind: type[AnyAugment]) -> AnyAugment:
    known = [field.name for field in fields(kind)]
    values = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            raise UsageError(f"--augment: got {setting!r}, expected NAME=NUMBER") from None
        if name not in known:
            raise UsageError(f"--augment: got {name!r}, expected one of {', '.join(known)}")
    return kind(**values)


def _degraded(arguments: argparse.Namespace) -> AnyClips:
    from bhar_training.data.clips import ClipSet
    from bhar_training.data.degrade import drop_hands, lose_hand

    clips = _load(arguments, to_train=False)
    if arguments.drop_hands is None and arguments.lose_hand is None:
        return clips
    if not isinstance(clips, ClipSet):
        raise UsageError("--drop-hands, --lose-hand: got a skeleton data set, which has no hands")
    if arguments.drop_hands is not None:
        clips = drop_hands(clips, arguments.drop_hands)
    return clips if arguments.lose_hand is None else lose_hand(clips, arguments.lose_hand)


def _eval(arguments: argparse.Namespace) -> None:
    from bhar_training.checkpoint import load_checkpoint
    from bhar_training.evaluate import evaluate
    from bhar_training.models import Fusion
    from bhar_training.plots import plot_confusion

    picture = arguments.confusion
    if picture is not None and not picture.parent.is_dir():
        raise InputError(f"{picture.parent}: no such folder, expected one for {picture.name}")
    checkpoints = [load_checkpoint(folder) for folder in arguments.checkpoints]
    found = evaluate(checkpoints, _degraded(arguments), Fusion(arguments.fusion))
    total = int(found.confusion.sum())
    print(f"top-1               {100 * found.top1:6.2f} %  of {total} clips")
    print(f"macro recall, signs {100 * found.macro_recall_signs:6.2f} %")
    print(f"calibration error   {100 * found.calibration_error:6.2f} %")
    for label, recall in found.recalls.items():
        row = found.confusion[found.labels.index(label)]
        if row.sum():
            print(f"  {label:12s} {100 * recall:6.2f} %  of {row.sum()}")
    if picture is not None:
        plot_confusion(found, picture, f"top-1 {100 * found.top1:.1f} %")
        print(f"confusion matrix    {picture}")


def _describe(arguments: argparse.Namespace) -> None:
    from tqdm import tqdm

    from bhar_training.describe import as_json, describe, rows_of, table

    found = [describe(row) for row in tqdm(rows_of(arguments.model), unit="model", leave=False)]
    print(as_json(found) if arguments.json else table(found))


def _bench(arguments: argparse.Namespace) -> None:
    import torch

    from bhar_training.bench import bench

    torch.set_num_threads(arguments.threads)
    print(f"{'DeGCN single stream (3, 64, 25, 2)':36}{'ours':>8}{'public':>8}{'ratio':>7}")
    for row in bench(arguments.batch):
        print(f"{row.what + ', clips/s':36}{row.fast:8.2f}{row.public:8.2f}{row.ratio:7.2f}")


def _extract(arguments: argparse.Namespace) -> None:
    from bhar_training.extract import extract, find_videos

    jobs = find_videos(arguments.videos, arguments.label)
    summary = extract(jobs, arguments.out, processes=arguments.jobs)
    bad = len(summary.failures)
    print(
        f"{arguments.out}: {summary.written} clips written, {summary.skipped} there before,"
        f" {bad} videos could not be used"
    )
    for video, _ in summary.failures:
        print(f"  {video}")
    if bad == len(jobs):
        raise InputError(
            f"got {bad} videos and no clip out of them, expected at least one: see above"
        )


if __name__ == "__main__":
    sys.exit(main())
