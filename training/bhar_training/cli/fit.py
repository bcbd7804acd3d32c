"""``bhar-train fit``: train a model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from bhar_training.cli.options import FINISHED_ARE_KEPT, Clips, Data, DataOptions, load_data
from bhar_training.data.augment import AugmentConfig
from bhar_training.data.skeleton_features import SkeletonAugmentConfig, SkeletonFeatureConfig
from bhar_training.models import ModelConfig
from bhar_training.training.config import DistillConfig, TrainConfig
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.cli.command import Command
from bharsdk.cli.names import chosen, label
from bharsdk.cli.numbers import THREADS
from bharsdk.errors import InputError, UsageError
from bharsdk.values.declared import Cli, Help, Part, Range, Use, declared

if TYPE_CHECKING:
    from bhar_training.data.batches import AnyClips
    from bhar_training.training.config import AnyAugment, AnyFeatures

__all__ = ["COMMAND", "Fit", "run"]

C = TypeVar("C")

MODEL = Part(
    "model",
    ModelConfig,
    overrides=True,
    skip=("window",),
    said={
        "name": (Cli(names=("--model",)),),
        "dropout": (Help("part of the pooled features that is dropped"), Range(0, 1, below=True)),
        "backbone": (Help("what the branches of BHaRNet and the single experts are made of"),),
        "fusion": (Help("how the scores of the branches become one"),),
        "prm": (Help("use PR-GCN's pose refinement"),),
        "tam": (Help("use PR-GCN's temporal aggregation"),),
    },
)
FEATURES = Part(
    "features",
    FeatureConfig,
    "features.",
    overrides=True,
    said={"modalities": (Cli(names=("--modalities",), metavar="NAME[,NAME]"),)},
)
AUGMENT = Part(
    "augmentation of landmarks; 0 switches one off",
    AugmentConfig,
    "augment.",
    overrides=True,
    said={
        "mirror": (Help("how often left and right change places"),),
        "lose_hand": (Help("how often a hand is lost for a while"),),
        "negative": (Help("how often a clip of no sign is made of a sign"),),
        "negatives": (
            Help("what is made for the label that means no sign"),
            Cli(names=("--negatives",), metavar="NAME[,NAME]"),
        ),
    },
)
SKELETON_AUGMENT = Part(
    "augmentation of skeleton data sets alone",
    SkeletonAugmentConfig,
    "augment.",
    overrides=True,
    skip=tuple(each.name for each in fields(AugmentConfig)),
    said={"tilt_rad": (Help("turns about the two other axes"),)},
)
TRAINING = Part(
    "training",
    TrainConfig,
    overrides=True,
    skip=("model", "features", "augment", "distill", "quantized_from"),
    said={"background": (Cli(metavar="LABEL", read=label),)},
)


@dataclass(frozen=True)
class Fit:
    """The options of ``bhar-train fit``."""

    model: Annotated[dict[str, Any], MODEL]
    data: Data
    out: Annotated[Path, Help("folder of the run"), Cli(metavar="DIR", file=Use.WRITE)]
    resume: Annotated[bool, Help("go on with the run in --out")] = False
    clips: Clips = field(default_factory=DataOptions)
    without: Annotated[
        tuple[str, ...],
        Help("leave these out of training, for  eval --unknown"),
        Cli(metavar="LABEL[,LABEL]", whole=True),
    ] = ()
    training: Annotated[dict[str, Any], TRAINING] = field(default_factory=dict)
    branch_loss: Annotated[
        float | None,
        Range(0, 1e6),
        Help("weight of each branch's own loss beside that of the fused logits"),
        Cli(metavar="WEIGHT", old=("--stream-loss",), default="1"),
    ] = None
    causal: Annotated[
        bool, Help("a model that never looks ahead: --target native runs it frame by frame")
    ] = False
    window: Annotated[
        float | None,
        Range(0, 20, "seconds", above=True),
        Help("of landmarks that one decision sees; less where signs follow fast"),
        Cli(default="1.28"),
    ] = None
    features: Annotated[dict[str, Any], FEATURES] = field(default_factory=dict)
    as_seen: Annotated[
        bool,
        Help(
            "of --protocol: people are not turned by their shoulders to face the camera; for"
            " cameras that see them from the side"
        ),
    ] = False
    centered: Annotated[
        bool,
        Help(
            "of --protocol: people are kept in one place; for cameras that see them walk another"
            " way"
        ),
        Cli(old=("--centred",)),
    ] = False
    strengths: Annotated[
        tuple[str, ...],
        Help("the same as --augment.NAME VALUE; again for another"),
        Cli(names=("--augment",), metavar="NAME=VALUE", whole=True),
    ] = ()
    augment: Annotated[dict[str, Any], AUGMENT] = field(default_factory=dict)
    skeleton_augment: Annotated[dict[str, Any], SKELETON_AUGMENT] = field(default_factory=dict)
    distill: Annotated[DistillConfig, Part("distillation", prefix="distill.")] = field(
        default_factory=DistillConfig
    )
    threads: Annotated[int | None, THREADS, Help("of each process"), Cli(default="all cores")] = (
        None
    )
    devices: Annotated[int, THREADS, Help("GPUs, or processes on the CPU")] = 1
    accelerator: Annotated[
        str, Help("auto takes GPUs if there are any"), Cli(choices=("auto", "cpu", "cuda"))
    ] = "auto"


def run(arguments: Fit) -> None:
    """Train, and say where the checkpoint is."""
    import torch

    from bhar_training.training.processes import Devices
    from bhar_training.training.trainer import fit

    for option, given in (("--as-seen", arguments.as_seen), ("--centered", arguments.centered)):
        if given and not arguments.clips.protocol:
            raise UsageError(f"{option}: got it without --protocol, which names skeleton data")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # of processes that start from here
    _config(arguments)  # refuses what needs no data before any are read
    clips = load_data(arguments.data, arguments.clips, to_train=True)
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


def _config(arguments: Fit, clips: AnyClips | None = None) -> TrainConfig:
    """The defaults of TrainConfig, but for what was given.

    clips: what features are for; None: nobody knows yet, and they are for any.
    """
    given = dict(arguments.training)
    if arguments.branch_loss is not None:
        given["loss_weights"] = (1.0, arguments.branch_loss, arguments.branch_loss)
    features = _features(arguments, clips)
    try:
        window = features.frames if arguments.causal else None
        return TrainConfig(
            ModelConfig(**{**arguments.model, "window": window}),
            features,
            _augment(arguments),
            arguments.distill,
            **given,
        )
    except InputError as error:  # options that contradict each other
        raise UsageError(str(error)) from error


def _features(arguments: Fit, clips: AnyClips | None) -> AnyFeatures:
    """What suits the data, but for what was given."""
    from bhar_training.data.skeletons import SkeletonClips
    from bharsdk.landmarks.skeleton import NTU25

    features: AnyFeatures
    if arguments.clips.protocol:
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
    return _replaced(features, arguments.features, "features")


def _landmark_features(window_s: float | None) -> FeatureConfig:
    if window_s is None:
        return FeatureConfig()
    return FeatureConfig(frames=max(2, round(window_s * FeatureConfig.fps) + 1))


def _augment(arguments: Fit) -> AnyAugment:
    """The defaults for its kind of data, with what was changed or switched off."""
    is_skeleton = bool(arguments.clips.protocol)
    augment: AnyAugment = SkeletonAugmentConfig() if is_skeleton else AugmentConfig()
    if is_skeleton and "negatives" in arguments.augment:
        raise UsageError("--negatives: got it for a skeleton data set, expected landmarks")
    given = {**arguments.augment, **arguments.skeleton_augment}
    augment = _replaced(augment, given, "augment")
    return replace(augment, **_strengths(arguments.strengths, type(augment)))


def _replaced(config: C, given: dict[str, Any], prefix: str) -> C:
    """``config``, but for what was given. Raises UsageError on what this kind of it lacks."""
    known = [field.name for field in fields(config)]  # type: ignore[arg-type]
    unknown = [name for name in given if name not in known]
    if unknown:
        option = f"--{prefix}.{unknown[0].removesuffix('_s').replace('_', '-')}"
        raise UsageError(
            f"{option}: got it for the other kind of data, expected one of {', '.join(known)}"
        )
    try:
        return replace(config, **given)  # type: ignore[type-var]
    except InputError as error:
        raise UsageError(str(error)) from error


def _strengths(settings: Sequence[str], kind: type[AnyAugment]) -> dict[str, Any]:
    """NAME=NUMBER of ``--augment``, by the name of a field of ``kind``."""
    hints: dict[str, Any] = declared(kind)  # type: ignore[arg-type] # mypy: a union is not hashable
    known = [name for name, (hint, _) in hints.items() if hint is float]
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


COMMAND = Command(Fit, run, when_interrupted=FINISHED_ARE_KEPT, preload=("torch",))
