"""``bhar-train fit``: train a model."""

from __future__ import annotations

import argparse
import os
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bhar_training.cli.options import EXIT_CODES, add_data_options, load_data
from bharsdk.cli.names import chosen, label, names, some_text
from bharsdk.cli.numbers import natural, positive, rate, real, threads, whole
from bharsdk.errors import InputError, UsageError
from bharsdk.files.outputs import declare_files

if TYPE_CHECKING:
    from bhar_training.cli.options import Commands
    from bhar_training.data.batches import AnyAugment, AnyClips, AnyFeatures
    from bhar_training.training.config import TrainConfig
    from bharsdk.bundle.feature_config import FeatureConfig

__all__ = ["MODELS", "add", "run"]

E = TypeVar("E", bound=Enum)

MODELS = ("bharnet-e", "bharnet-e-full", "bharnet-p", "pr-gcn", "body-expert", "hand-expert")
"""``ModelName``'s values; here, so that ``--help`` need not import torch. (held by a test)"""
PLAIN_SETTINGS = (
    *("epochs", "pretrain_epochs", "draws", "batch_size", "lr"),
    *("validation", "background", "seed"),
)
"""Options that are fields of TrainConfig; not given, its default holds."""
MAX_WINDOW_S = 20.0
WINDOW = real(0, MAX_WINDOW_S, f"seconds, above 0, up to {MAX_WINDOW_S:g}", above=True)
VALIDATION = real(0, 1, "a part from 0 to below 1", below=True)
STREAM_LOSS = real(0, 1e9, "a weight, 0 or more")


def add(commands: Commands) -> None:
    """Declare its options."""
    parser = commands.add_parser("fit", help="train a model", epilog=EXIT_CODES)
    parser.set_defaults(
        run=run, when_interrupted="interrupted; finished epochs are kept, --resume goes on"
    )
    parser.add_argument("--model", required=True, choices=MODELS)
    add_data_options(parser)
    parser.add_argument(
        "--without",
        metavar="LABEL[,LABEL]",
        type=some_text,
        action="append",
        help="leave these out of training, for  eval --unknown",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--epochs", type=positive, help="default 20")
    parser.add_argument(
        "--pretrain-epochs",
        type=natural,
        metavar="N",
        help="of them, the first N train the body and the hand expert alone, default 0",
    )
    parser.add_argument(
        "--draws",
        type=natural,
        metavar="N",
        help="clips drawn an epoch, all of them and at least 512",
    )
    parser.add_argument("--batch-size", type=whole(2), help="default 32")
    parser.add_argument("--lr", type=rate, help="peak learning rate, default 0.002")
    parser.add_argument("--validation", type=VALIDATION, help="part of the blocks, default 0.1")
    parser.add_argument("--background", type=label, help='label that means "no sign", default "-"')
    parser.add_argument(
        "--add-background",
        action="store_true",
        help="that label is learnt from made negatives if no recording has it",
    )
    parser.add_argument("--seed", type=natural, help="default 0")
    parser.add_argument(
        "--modalities",
        type=names,
        metavar="NAME[,NAME]",
        help="of joint, bone, joint-motion, bone-motion; default joint,bone, fused early",
    )
    parser.add_argument(
        "--window",
        type=WINDOW,
        metavar="SECONDS",
        help="of landmarks that one decision sees, default 1.28; less where signs follow fast",
    )
    parser.add_argument(
        "--as-seen",
        action="store_true",
        help="of --protocol: people are not turned by their shoulders to face the camera; for"
        " cameras that see them from the side",
    )
    parser.add_argument(
        "--centered",
        action="store_true",
        help="of --protocol: people are kept in one place; for cameras that see them walk"
        " another way",
    )
    parser.add_argument(
        "--stream-loss",
        type=STREAM_LOSS,
        metavar="WEIGHT",
        help="of each stream's own loss beside that of the fused logits, default 1",
    )
    parser.add_argument(
        "--augment",
        action="append",
        metavar="NAME=VALUE",
        help="how far an augmentation goes, 0 switches it off (crop of a skeleton data set: 1);"
        " again for another (see README)",
    )
    parser.add_argument(
        "--negatives",
        type=names,
        metavar="NAME[,NAME]",
        help="what is made for the label that means no sign: frozen, begun, reversed, seam,"
        " transition, blended, other-hands, contorted, wander, no-hands; default frozen,"
        " begun, seam",
    )
    parser.add_argument(
        "--causal",
        action="store_true",
        help="a model that never looks ahead: --target native runs it frame by frame",
    )
    parser.add_argument("--bfloat16", action="store_true", help="mixed precision")
    parser.add_argument("--threads", type=threads, help="of each process, default: all cores")
    parser.add_argument(
        "--devices", type=threads, default=1, metavar="N", help="GPUs, or processes on the CPU (1)"
    )
    parser.add_argument(
        "--accelerator", choices=("auto", "cpu", "cuda"), default="auto", help="auto: GPUs if any"
    )
    parser.add_argument(
        "--teacher",
        type=some_text,
        action="append",
        metavar="RUN",
        help="also learn what this trained run thinks of each clip; again for an ensemble",
    )
    declare_files(parser, reads=("data", "teacher"), writes=("out",))


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    import torch

    from bhar_training.training.processes import Devices
    from bhar_training.training.trainer import fit

    for option, given in (("--as-seen", arguments.as_seen), ("--centered", arguments.centered)):
        if given and not arguments.protocol:
            raise UsageError(f"{option}: got it without --protocol, which names skeleton data")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # of processes that start from here
    _config(arguments)  # refuses what needs no data before any are read
    clips = load_data(arguments, to_train=True)
    name = arguments.data.resolve().name
    if arguments.without:
        left_out = chosen("--without", arguments.without, clips.classes)
        clips = clips.where(lambda i: clips.labels[i] not in left_out)
        name += f" without {','.join(left_out)}"
    config = _config(arguments, clips)
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun has started
    if first:
        print(f"{len(clips)} clips, {len(clips.classes)} labels: {' '.join(clips.classes)}")
    devices = Devices(arguments.accelerator, arguments.devices)
    meta = fit(
        clips, config, arguments.out, trained_on=name, resume=arguments.resume, devices=devices
    )
    if first:
        print(f"{arguments.out / 'checkpoint'}: {meta.epoch} epochs, {meta.metrics}")
        print(f"calibration: {meta.calibration or 'none, see  bhar-train calibrate'}")


def _config(arguments: argparse.Namespace, clips: AnyClips | None = None) -> TrainConfig:
    """The defaults of TrainConfig, but for what was given.

    clips: what features are for; None: nobody knows yet, and they are for any.
    """
    from bhar_training.models import ModelConfig, ModelName
    from bhar_training.training.config import TrainConfig
    from bhar_training.training.distill import DistillConfig

    given = {name: getattr(arguments, name) for name in PLAIN_SETTINGS}
    if arguments.stream_loss is not None:
        given["loss_weights"] = (1.0, arguments.stream_loss, arguments.stream_loss)
    features, causal = _features(arguments, clips), arguments.causal
    try:
        return TrainConfig(
            ModelConfig(ModelName(arguments.model), window=features.frames if causal else None),
            features,
            _augment(arguments),
            distill=DistillConfig(tuple(arguments.teacher or ())),
            bfloat16=arguments.bfloat16,
            add_background=arguments.add_background,
            **{name: value for name, value in given.items() if value is not None},
        )
    except InputError as error:  # options that contradict each other
        raise UsageError(str(error)) from error


def _features(arguments: argparse.Namespace, clips: AnyClips | None) -> AnyFeatures:
    """What suits the data, with the window and the modalities that were asked for."""
    from bhar_training.data.skeleton_features import SkeletonFeatureConfig
    from bhar_training.data.skeletons import SkeletonClips
    from bharsdk.bundle.feature_config import Modality
    from bharsdk.landmarks.skeleton import NTU25

    features: AnyFeatures
    if arguments.protocol:
        if arguments.window is not None:
            raise UsageError("--window: got it with --protocol, whose clips are seen whole")
        skeleton, persons = NTU25, 1
        if isinstance(clips, SkeletonClips):
            skeleton, persons = clips.skeleton, max(clip.shape[3] for clip in clips.clips)
        features = SkeletonFeatureConfig.for_skeleton(skeleton, persons)
        if arguments.as_seen:
            features = replace(features, face_forward=False)
        features = replace(features, centered=arguments.centered)
    else:
        features = _landmark_features(arguments.window)
    if arguments.modalities is None:
        return features
    return replace(features, modalities=_members("--modalities", arguments.modalities, Modality))


def _augment(arguments: argparse.Namespace) -> AnyAugment:
    """The defaults for its kind of data, with what was changed or switched off."""
    from bhar_training.data.augment import AugmentConfig
    from bhar_training.data.negatives import NegativeKind
    from bhar_training.data.skeleton_features import SkeletonAugmentConfig

    settings = arguments.augment or []
    if arguments.protocol:
        if arguments.negatives:
            raise UsageError("--negatives: got it for a skeleton data set, expected landmarks")
        return replace(SkeletonAugmentConfig(), **_strengths(settings, SkeletonAugmentConfig))
    augment = replace(AugmentConfig(), **_strengths(settings, AugmentConfig))
    if arguments.negatives:
        made = _members("--negatives", arguments.negatives, NegativeKind)
        augment = replace(augment, negatives=made)
    return augment


def _strengths(settings: list[str], kind: type[AnyAugment]) -> dict[str, Any]:
    """NAME=NUMBER of ``--augment``, by the name of a field of ``kind``."""
    known = [field.name for field in fields(kind) if field.type == "float"]
    values = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            raise UsageError(f"--augment: got {setting!r}, expected NAME=NUMBER") from None
        if name not in known:
            raise UsageError(f"--augment: got {name!r}, expected one of {', '.join(known)}")
    return values


def _landmark_features(window_s: float | None) -> FeatureConfig:
    from bharsdk.bundle.feature_config import FeatureConfig

    if window_s is None:
        return FeatureConfig()
    return FeatureConfig(frames=max(2, round(window_s * FeatureConfig.fps) + 1))


def _members(option: str, given: tuple[str, ...], kind: type[E]) -> tuple[E, ...]:
    """The members of an enum that an option names."""
    return tuple(kind(name) for name in chosen(option, given, [m.value for m in kind], UsageError))
