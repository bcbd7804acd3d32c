"""Training configuration: one frozen dataclass, stored in every run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from bhar_training.data.augment import AugmentConfig
from bhar_training.data.skeleton_features import SkeletonAugmentConfig, SkeletonFeatureConfig
from bhar_training.models import ModelConfig, ModelName
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import InputError, UsageError
from bharsdk.files.codec import KEY
from bharsdk.values.declared import Cli, Help, Range, Use, check_ranges

__all__ = ["AnyAugment", "AnyFeatures", "DistillConfig", "TrainConfig"]

AnyFeatures = FeatureConfig | SkeletonFeatureConfig
AnyAugment = AugmentConfig | SkeletonAugmentConfig

# Of counts: what numpy and torch take. Of the others: times a rate, it stays within float32.
SHARE = Range(0, 1, below=True)
FACTOR = Range(0, 1e6)
TWO_EXPERTS = (ModelName.BHARNET_E, ModelName.BHARNET_E_FULL, ModelName.BHARNET_P)


@dataclass(frozen=True)
class DistillConfig:
    """Say what a student learns from trained models beside the labels.

    teachers: runs or checkpoint folders; the mean of their logits counts. weight: share of the
    distillation in the loss. temperature: flattens the probabilities of both sides.
    """

    teachers: Annotated[
        tuple[str, ...],
        Help("also learn what this trained run thinks of each clip; again for an ensemble"),
        Cli(names=("--teacher",), metavar="RUN", whole=True, file=Use.READ),
    ] = ()
    weight: Annotated[float, Range(0, 1), Help("share of the distillation in the loss")] = 0.5
    temperature: Annotated[
        float, Range(0, above=True, below=True), Help("flattens the probabilities of both sides")
    ] = 2.0

    def __post_init__(self) -> None:
        check_ranges(self, "distillation")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what a training run computes.

    model: which network. features: what it reads. augment: how clips are changed. distill: what it
    learns from other models. epochs: times that all clips are seen. pretrain_epochs: the first of
    them, which train the body and the hand expert alone, as BHaRNet's paper does. draws: an epoch
    draws at least so many clips, with replacement, so that a few recordings of one's own are seen
    often enough. batch_size: clips in one step. lr: peak learning rate of AdamW; it rises over the
    first ``warmup`` part of all steps, then falls to zero as a cosine. weight_decay: of AdamW.
    label_smoothing, loss_weights (of the fused logits, then of each branch): as in BHaRNet.
    clip_norm: gradients of a larger norm are scaled down to it. validation: part of the recording
    blocks that is held out. It draws the curves and calibrates; nothing else is chosen by it.
    background: the label that means "no sign". Negatives are made for it when it occurs, and
    add_background makes it occur. seed: of everything drawn at random. quantized_from: a run or
    checkpoint that this one goes on from, with the roundings of the INT8 export
    (:mod:`bhar_training.training.qat`). bfloat16: mixed precision where the device has it.

    Raises InputError on a value out of range, UsageError on values that contradict each other.
    """

    model: ModelConfig
    features: AnyFeatures = field(default_factory=FeatureConfig)
    augment: AnyAugment = field(default_factory=AugmentConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    epochs: Annotated[int, Range(1), Help("times that all clips are seen")] = 20
    pretrain_epochs: Annotated[
        int, Range(0), Help("of them, the first N train the body and the hand expert alone")
    ] = 0
    draws: Annotated[
        int, Range(0, 10**8, "clips"), Help("drawn an epoch: all of them, and at least so many")
    ] = 512
    batch_size: Annotated[int, Range(2, unit="clips"), Help("in one step")] = 32
    lr: Annotated[float, Range(0, 1e30, above=True), Help("peak learning rate of AdamW")] = 2e-3
    weight_decay: Annotated[float, FACTOR, Help("of AdamW")] = 0.02
    warmup: Annotated[
        float, SHARE, Help("part of all steps in which the rate rises"), Cli(metavar="PART")
    ] = 0.1
    label_smoothing: Annotated[
        float, SHARE, Help("share of the target that goes to all labels alike"), Cli(metavar="PART")
    ] = 0.1
    loss_weights: Annotated[
        tuple[float, ...],
        FACTOR,
        Help("of the fused logits, then of each branch"),
        Cli(metavar="X,X,X"),
    ] = (1.0, 1.0, 1.0)
    clip_norm: Annotated[
        float, FACTOR, Help("gradients of a larger norm are scaled down to it")
    ] = 2.0
    validation: Annotated[
        float,
        SHARE,
        Help("part of the recording blocks that is held out for the curves and the calibration"),
        Cli(metavar="PART"),
    ] = 0.1
    background: Annotated[str, Help('label that means "no sign"'), Cli(metavar="LABEL")] = "-"
    add_background: Annotated[
        bool, Help("that label is learnt from made negatives if no recording has it")
    ] = False
    seed: Annotated[int, Range(0, 2**62), Help("of everything drawn at random")] = 0
    quantized_from: str = field(default="", metadata={KEY: "quantised_from"})
    bfloat16: Annotated[bool, Help("mixed precision, where the device has it")] = False

    def __post_init__(self) -> None:
        check_ranges(self, "training")
        if not 0 <= self.pretrain_epochs < self.epochs:
            raise InputError(
                f"training: got {self.pretrain_epochs} epochs of {self.epochs} for the experts"
                " alone, expected 0 or more, and one left for the whole model"
            )
        if self.pretrain_epochs and self.model.name not in TWO_EXPERTS:
            names = ", ".join(name.value for name in TWO_EXPERTS)
            raise UsageError(
                f"{self.model.name.value}: got {self.pretrain_epochs} epochs for the experts alone,"
                f" expected none, or a model that has two: {names}"
            )
        if not any(self.loss_weights):
            raise InputError(
                f"training: got loss weights {self.loss_weights}, expected one above 0"
            )
