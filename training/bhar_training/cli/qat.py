"""``bhar-train qat``: fine-tune a trained run for its export in INT8."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bhar_training.cli.options import EXIT_CODES, add_data_options, load_data
from bharsdk.cli.numbers import natural, positive, rate, threads, whole
from bharsdk.files.outputs import declare_files

if TYPE_CHECKING:
    from bhar_training.checkpoint import CheckpointMeta
    from bhar_training.cli.options import Commands
    from bhar_training.training.config import TrainConfig

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """Declare its options."""
    parser = commands.add_parser(
        "qat",
        help="fine-tune a run for INT8, where calibration alone loses too much",
        description="Goes on training with the roundings of the INT8 export in every step"
        " (Jacob et al. 2018). The result is a run as any other: export it with --int8. Whatever"
        " RUN was trained with (augmentation, batch size) holds unless given.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(
        run=run, when_interrupted="interrupted; finished epochs are kept, --resume goes on"
    )
    parser.add_argument("checkpoint", type=Path, metavar="RUN", help="run, or checkpoint folder")
    add_data_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the new run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--epochs", type=positive, default=2, help="default 2")
    parser.add_argument("--lr", type=rate, default=1e-4, help="peak learning rate, 0.0001")
    parser.add_argument("--batch-size", type=whole(2), help="default: that of RUN, or 32")
    parser.add_argument("--seed", type=natural, default=0, help="default 0")
    parser.add_argument("--threads", type=threads, help="default: all cores")
    declare_files(parser, reads=("checkpoint", "data"), writes=("out",))


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    import torch

    from bhar_training.checkpoint import load_checkpoint
    from bhar_training.training.trainer import fit

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    before = load_checkpoint(arguments.checkpoint).meta
    clips = load_data(arguments, to_train=True)
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
