"""The training loop: one run from clips to a folder with checkpoint and curves; it can resume.

Order and augmentation depend on (seed, epoch) alone. A resumed run therefore sees the same batches
as an uninterrupted one (:mod:`bhar_training.training.run_folder`). The loop gives the same result
in one process and in many (:mod:`bhar_training.training.processes`).
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from bhar_training.checkpoint import (
    Checkpoint,
    CheckpointMeta,
    git_revision,
    load_checkpoint,
    not_finite,
    save_meta,
)
from bhar_training.console.progress import progress_bar
from bhar_training.data.batches import (
    AnyClips,
    features_of,
    input_specs,
    split_held_out,
    training_batches,
)
from bhar_training.data.labels import training_doubts
from bhar_training.data.notes import doubt
from bhar_training.evaluation.evaluate import logits_of
from bhar_training.models import build_model
from bhar_training.models.action_model import ActionModel, Inputs
from bhar_training.models.distributed import synchronized
from bhar_training.models.losses import complementary_loss
from bhar_training.training.config import TrainConfig
from bhar_training.training.distill import Teachers, distillation_loss
from bhar_training.training.processes import Devices, Fabric, from_first, launch
from bhar_training.training.qat import QuantizedBranches
from bhar_training.training.run_folder import (
    EpochRow,
    RunState,
    check_room_for_epochs,
    prepare,
    read_state,
    write_epoch,
)
from bhar_training.training.stages import Stage, stages_of
from bhar_training.training.tensorboard import event_files
from bhar_training.training.validation import Validation, with_temperature
from bharsdk.errors import InputError, UsageError

__all__ = ["EpochRow", "fit"]

MAX_EXAMPLES = 128
"""Clips that say which values a layer meets when its inputs are to be rounded."""
MIN_CLIPS = 2
"""BatchNorm needs two to compare. Fewer clips than a batch make one smaller batch."""


def fit(
    clips: AnyClips,
    config: TrainConfig,
    out: Path,
    *,
    trained_on: str,
    resume: bool = False,
    devices: Devices | None = None,
) -> CheckpointMeta:
    """Train on ``clips``, write the run into ``out`` and return the last epoch's description.

    devices: they share each batch of ``config``. After an error during training, the checkpoint of
    the epoch before stays.

    Raises:
        UsageError: ``out`` holds a run and ``resume`` is not set; it holds a different run; a batch
            has fewer clips than there are processes.
        InputError: there are fewer than two clips; the loss, a weight or a logit is not finite;
            ``out`` cannot be written.
        BundleError: the run to resume is damaged.
        IncompatibleError: there are fewer GPUs than ``devices``.
    """
    devices = devices or Devices()
    _check_size(clips, config, devices.processes)
    added = config.add_background or bool(config.quantized_from)
    for text in training_doubts(clips.labels, config.background, added=added):
        doubt(f"{trained_on}: {text}")
    work = partial(_fit, clips=clips, config=config, out=out, trained_on=trained_on, resume=resume)
    return launch(work, devices, bfloat16=config.bfloat16)


def _fit(
    fabric: Fabric,
    clips: AnyClips,
    config: TrainConfig,
    out: Path,
    trained_on: str,
    resume: bool,
) -> CheckpointMeta:
    train, validation = split_held_out(clips, config.validation, config.seed)
    torch.manual_seed(config.seed)
    before = load_checkpoint(Path(config.quantized_from)) if config.quantized_from else None
    meta = _description(clips, config, trained_on, before)
    model = build_model(config.model, input_specs(config.features), len(meta.labels))
    if before is not None:
        model.load_state_dict(before.model.state_dict())
    if fabric.world_size > 1:
        synchronized(model)
    model.to(fabric.device)
    rows = from_first(fabric, partial(prepare, out, config, resume))
    state = read_state(out, meta)
    if state is not None:
        state.restore_model(model)
        meta = replace(meta, epoch=state.epoch, metrics=state.metrics)
    done, rows = meta.epoch, rows[: meta.epoch]
    if done == config.epochs:
        finished = load_checkpoint(out).meta
        if finished.calibration is not None:  # perhaps one of the user's own
            return finished
    validate = Validation(fabric, validation, meta)
    stages = stages_of(model, config, _teachers(fabric, config, meta))
    if done < config.epochs:
        from_first(fabric, partial(check_room_for_epochs, out, model))
    with contextlib.ExitStack() as stack:
        if fabric.is_global_zero:
            show = stack.enter_context(event_files(out / "tensorboard", done))
        for stage in (stage for stage in stages if meta.epoch < stage.epochs.stop):
            learner, optimizer = _start(fabric, stage, config, state, train)
            for epoch in range(meta.epoch, stage.epochs.stop):
                start = time.perf_counter()
                loss, top1 = _train_epoch(
                    fabric, stage, learner, optimizer, train, meta, config, epoch
                )
                _check_weights(model, stage.model, train.take([0]), config, epoch)
                held_out, lr = validate.top1(stage.model), optimizer.param_groups[0]["lr"]
                seconds = time.perf_counter() - start
                rows.append(EpochRow(epoch + 1, loss, top1, held_out, lr, seconds))
                meta = replace(meta, epoch=epoch + 1, metrics=rows[-1].accuracies)
                # All processes end where the first cannot write: none would wait for it.
                from_first(fabric, partial(write_epoch, out, model, optimizer, meta, rows))
                if fabric.is_global_zero:
                    show(rows[-1])
    meta = with_temperature(model, validation, meta)
    from_first(fabric, partial(save_meta, out / "checkpoint", meta))
    return meta


def _teachers(fabric: Fabric, config: TrainConfig, meta: CheckpointMeta) -> Teachers | None:
    if not config.distill.teachers:
        return None
    found = Teachers.load(config.distill.teachers, meta.labels, config.features)
    return found.to(fabric.device)


def _start(
    fabric: Fabric, stage: Stage, config: TrainConfig, state: RunState | None, clips: AnyClips
) -> tuple[nn.Module, AdamW]:
    """What learns in ``stage``, and its optimizer as it was if ``state`` is from within it."""
    optimizer = AdamW(stage.model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    branches: nn.Module = _Branches(stage.model)
    if config.quantized_from:
        every = -(-len(clips) // MAX_EXAMPLES)
        examples = clips.where(lambda i: i % every == 0)
        branches = QuantizedBranches(branches, features_of(examples, config.features))
    learner, _ = fabric.setup(branches, optimizer)
    if state is not None and state.epoch > stage.epochs.start:
        state.restore_optimizer(optimizer)
    return learner, optimizer


def _check_size(clips: AnyClips, config: TrainConfig, processes: int) -> None:
    train, _ = split_held_out(clips, config.validation, config.seed)
    if len(train) < MIN_CLIPS:
        raise InputError(f"training: got {len(train)} clips, expected at least {MIN_CLIPS}")
    size = _batch_size(len(train), config)
    if size < processes:
        raise UsageError(
            f"devices: got {processes} for batches of {size} clips, expected a clip for each"
        )


def _batch_size(clips: int, config: TrainConfig) -> int:
    """Of every batch of the run, over all processes."""
    return min(config.batch_size, max(clips, config.draws))


def _description(
    clips: AnyClips, config: TrainConfig, trained_on: str, before: Checkpoint | None
) -> CheckpointMeta:
    """What the checkpoint of epoch 0 would say; the labels are those of ``before``, if any."""
    labels = clips.classes
    if before is not None:
        known = before.meta.labels
        if not set(labels) <= set(known):
            raise InputError(f"training: got labels {list(labels)}, expected some of {list(known)}")
        labels = known
    if config.add_background and config.background not in labels:
        labels = (config.background, *labels)
    return CheckpointMeta(
        model=config.model,
        features=config.features,
        labels=labels,
        background=config.background if config.background in labels else None,
        trained_on=trained_on,
        signers=clips.people,
        clips=len(clips),
        epoch=0,
        seed=config.seed,
        git_revision=git_revision(),
    )


def _check_weights(
    model: ActionModel, learnt: ActionModel, clip: AnyClips, config: TrainConfig, epoch: int
) -> None:
    """Raise InputError unless all weights, and what ``learnt`` says of a clip, are finite.

    learnt: the part of ``model`` that this stage trains. The loss is that of the weights before the
    last step, so it tells nothing of them.
    """
    count = sum(not_finite(model.state_dict()).values())
    problem = f"{count} weights of the model are" if count else ""
    if not count:
        said = logits_of(learnt, features_of(clip, config.features))
        problem = "" if torch.isfinite(said).all() else "the model's answers are"
    if problem:
        raise InputError(
            f"training: after epoch {epoch + 1} {problem} not finite, expected finite ones: train"
            f" again with a smaller --lr than {config.lr:g}, in another --out"
        )


class _Branches(nn.Module):
    """Training calls ``branches``; a model's forward gives the fused logits alone."""

    def __init__(self, model: ActionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Inputs) -> tuple[Tensor, ...]:
        return self.model.branches(inputs)


def _train_epoch(
    fabric: Fabric,
    stage: Stage,
    learner: nn.Module,
    optimizer: AdamW,
    clips: AnyClips,
    meta: CheckpointMeta,
    config: TrainConfig,
    epoch: int,
) -> tuple[float, float]:
    """One epoch; mean loss and accuracy on the augmented clips."""
    learner.train()
    torch.manual_seed(config.seed + epoch)  # of dropout
    per_epoch = max(1, max(len(clips), config.draws) // config.batch_size)
    size = _batch_size(len(clips), config)
    totals = torch.zeros(3, dtype=torch.float64, device=fabric.device)
    batches = training_batches(
        clips,
        meta.labels,
        config.features,
        config.augment,
        config.batch_size,
        meta.background,
        (config.seed, epoch),
        config.draws,
        (fabric.global_rank, fabric.world_size),
    )
    title, quiet = f"epoch {epoch + 1}/{config.epochs}", not fabric.is_global_zero
    if epoch < config.pretrain_epochs:
        title += ", experts alone"
    bar = progress_bar(
        batches, shown=not quiet, desc=title, total=per_epoch, unit="batch", mininterval=1.0
    )
    for step, batch in enumerate(bar):
        inputs, target = fabric.to_device(batch)
        passed = epoch - stage.epochs.start + step / per_epoch
        optimizer.param_groups[0]["lr"] = learning_rate(config, passed / len(stage.epochs))
        branches = learner(inputs)
        loss = complementary_loss(branches, target, stage.loss_weights, config.label_smoothing)
        if stage.teachers is not None:
            with fabric.autocast():
                told = stage.teachers(inputs)
            distilled = distillation_loss(branches[0], told, config.distill.temperature)
            loss = torch.lerp(loss, distilled, config.distill.weight)
        optimizer.zero_grad(set_to_none=True)
        # Weighted so that the average over the processes is the mean over the whole batch.
        fabric.backward(loss * (len(target) * fabric.world_size / size))
        fabric.clip_gradients(
            learner, optimizer, max_norm=config.clip_norm, error_if_nonfinite=False
        )
        optimizer.step()
        hits = (branches[0].argmax(1) == target).sum()
        totals += torch.stack([loss.detach() * len(target), hits, hits.new_tensor(len(target))])
        mean = (totals / totals[2]).tolist()
        bar.set_postfix(loss=f"{mean[0]:.3f}", top1=f"{mean[1]:.3f}")
    fabric.all_reduce(totals, reduce_op="sum")
    losses, hits, seen = totals.tolist()
    if not math.isfinite(losses):
        raise InputError(
            f"training: the loss of epoch {epoch + 1} is {losses / seen:g}, expected a finite one:"
            f" train again with a smaller --lr than {config.lr:g}, in another --out"
        )
    return losses / seen, hits / seen


def learning_rate(config: TrainConfig, progress: float) -> float:
    """Return the rate at ``progress``, 0 to 1 over a stage: linear warm-up, then cosine to zero."""
    if progress < config.warmup:
        return config.lr * (progress / config.warmup + 1e-3)
    rest = (progress - config.warmup) / max(1e-9, 1.0 - config.warmup)
    return config.lr * 0.5 * (1.0 + math.cos(math.pi * rest))
