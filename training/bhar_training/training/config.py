"""Training configuration: one frozen dataclass, stored in every run."""

from __future__ import annotations

from dataclasses import dataclass, field

from bhar_training.data.augment import AugmentConfig
from bhar_training.data.batches import AnyAugment, AnyFeatures
from bhar_training.models import ModelConfig, ModelName
from bhar_training.training.distill import DistillConfig
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import InputError, UsageError
from bharsdk.files.codec import KEY

__all__ = ["TrainConfig"]

MOST = {"draws": 10**8, "seed": 2**62, "weight_decay": 1e6, "clip_norm": 1e6, "loss weight": 1e6}
"""Of counts: what numpy and torch take. Of the others: times a rate, it stays within float32."""
MOST_LR = 1e30
TWO_EXPERTS = tuple(name for name in ModelName if name.two_experts)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what a training run computes.

    lr: peak learning rate of AdamW; warm-up over the first ``warmup`` part of all steps, then
    cosine to zero. label_smoothing and loss_weights (fused, then each branch) as in BHaRNet.
    validation: part of the recording blocks held out to draw the curves and to calibrate; nothing
    else is chosen by them.
    draws: clips that an epoch draws at least, with replacement, so that a few recordings of one's
    own are seen often enough to be learnt. background: the label that means "no sign"; negatives
    are made for it when it occurs, and add_background makes it occur. pretrain_epochs: how many of
    ``epochs`` train the body and the hand expert alone, before the rest trains all of the model, as
    BHaRNet's paper does. quantized_from: a run or checkpoint that this one goes on from, computing
    with the roundings of the INT8 export (:mod:`bhar_training.training.qat`). bfloat16: mixed
    precision where the device has it.
    """

    model: ModelConfig
    features: AnyFeatures = field(default_factory=FeatureConfig)
    augment: AnyAugment = field(default_factory=AugmentConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    epochs: int = 20
    pretrain_epochs: int = 0
    draws: int = 512
    batch_size: int = 32
    lr: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.1
    label_smoothing: float = 0.1
    loss_weights: tuple[float, ...] = (1.0, 1.0, 1.0)
    clip_norm: float = 2.0
    validation: float = 0.1
    background: str = "-"
    add_background: bool = False
    seed: int = 0
    quantized_from: str = field(default="", metadata={KEY: "quantised_from"})
    bfloat16: bool = False

    def __post_init__(self) -> None:
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
        if self.epochs < 1 or self.batch_size < 2 or not 0 < self.lr <= MOST_LR:
            raise InputError(
                f"training: got {self.epochs} epochs, batch {self.batch_size}, lr {self.lr},"
                f" expected at least 1 epoch, a batch of 2 and a rate above 0, up to {MOST_LR:g}"
            )
        if not all(0 <= weight <= MOST["loss weight"] for weight in self.loss_weights) or not any(
            self.loss_weights
        ):
            raise InputError(
                f"training: got loss weights {self.loss_weights}, expected none below 0 or"
                f" above {MOST['loss weight']:g}, and one above 0"
            )
        for name in ("validation", "warmup", "label_smoothing"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise InputError(f"training: got {name} {value}, expected 0 to below 1")
        for name in ("draws", "seed", "weight_decay", "clip_norm"):
            if not 0 <= (value := getattr(self, name)) <= MOST[name]:
                raise InputError(f"training: got {name} {value}, expected 0 to {MOST[name]:g}")
