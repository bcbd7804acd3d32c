"""``bhar-train qat``: fine-tune a trained run for its export in INT8."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bhar_training.cli.options import FINISHED_ARE_KEPT, Clips, Data, DataOptions, load_data
from bharsdk.cli.command import Command
from bharsdk.cli.numbers import THREADS
from bharsdk.values.declared import Cli, Help, Range, Use

if TYPE_CHECKING:
    from bhar_training.checkpoint import CheckpointMeta
    from bhar_training.training.config import TrainConfig

__all__ = ["COMMAND", "Qat", "run"]


@dataclass(frozen=True)
class Qat:
    """The options of ``bhar-train qat``."""

    checkpoint: Annotated[
        Path,
        Help("run, or checkpoint folder"),
        Cli(names=("checkpoint",), metavar="RUN", file=Use.READ),
    ]
    data: Data
    out: Annotated[Path, Help("folder of the new run"), Cli(metavar="DIR", file=Use.WRITE)]
    resume: Annotated[bool, Help("go on with the run in --out")] = False
    epochs: Annotated[int, Range(1), Help("times that all clips are seen")] = 2
    lr: Annotated[float, Range(0, 1e30, above=True), Help("peak learning rate")] = 1e-4
    batch_size: Annotated[int | None, Range(2, unit="clips"), Cli(default="that of RUN, or 32")] = (
        None
    )
    seed: Annotated[int, Range(0), Help("of everything drawn at random")] = 0
    threads: Annotated[int | None, THREADS, Cli(default="all cores")] = None
    clips: Clips = field(default_factory=DataOptions)


def run(arguments: Qat) -> None:
    """Fine-tune the run, and say where the new one is."""
    import torch

    from bhar_training.checkpoint import load_checkpoint
    from bhar_training.training.trainer import fit

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    before = load_checkpoint(arguments.checkpoint).meta
    clips = load_data(arguments.data, arguments.clips, to_train=True)
    config = replace(
        _config(arguments.checkpoint, before),
        quantized_from=str(arguments.checkpoint.resolve()),
        epochs=arguments.epochs,
        lr=arguments.lr,
        seed=arguments.seed,
    )
    if arguments.batch_size is not None:
        config = replace(config, batch_size=arguments.batch_size)
    name = arguments.data.resolve().name
    meta = fit(clips, config, arguments.out, trained_on=name, resume=arguments.resume)
    print(f"{arguments.out / 'checkpoint'}: {meta.epoch} epochs for INT8, {meta.metrics}")
    print(f"calibration: {meta.calibration or 'none, see  bhar-train calibrate'}")


def _config(checkpoint: Path, meta: CheckpointMeta) -> TrainConfig:
    """What the run was trained with, if it says; all of the model learns, from labels alone."""
    from bhar_training.data.augment import AugmentConfig
    from bhar_training.data.skeleton_features import SkeletonAugmentConfig
    from bhar_training.training.config import TrainConfig
    from bhar_training.training.distill import DistillConfig
    from bharsdk.bundle.feature_config import FeatureConfig
    from bharsdk.files.codec import from_json_dict
    from bharsdk.files.untrusted import read_json

    stored = checkpoint / "config.json"
    if stored.is_file():
        found = from_json_dict(TrainConfig, read_json(stored), str(stored))
        return replace(found, pretrain_epochs=0, distill=DistillConfig(), bfloat16=False)
    landmarks = isinstance(meta.features, FeatureConfig)
    augment = AugmentConfig() if landmarks else SkeletonAugmentConfig()
    return TrainConfig(meta.model, meta.features, augment)


COMMAND = Command(
    Qat,
    run,
    "Goes on training with the roundings of the INT8 export in every step (Jacob et al. 2018). The"
    " result is a run as any other: export it with --int8. Whatever RUN was trained with"
    " (augmentation, batch size) holds unless given.",
    FINISHED_ARE_KEPT,
    preload=("torch",),
)
