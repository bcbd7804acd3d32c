"""Feature batches: augmented and shuffled for training, plain and in order for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bhar_training.data.augment import AugmentConfig, augment, make_negative
from bhar_training.data.clips import ClipSet
from bharsdk.features import FeatureConfig, Features, extract
from bharsdk.landmarks import LandmarkSequence

__all__ = ["Batch", "features_of", "split_blocks", "training_batches"]

Batch = tuple[Tensor, Tensor, Tensor]
"""(body [N, C, T, 25, 1], hands [N, C, T, 21, 2], class index [N])."""


def centre_window(clip: LandmarkSequence, config: FeatureConfig) -> Features:
    """The window in the middle of a clip; a shorter clip is held at both ends."""
    times = clip.timestamps_ms
    return extract(clip, config, (times[0] + times[-1]) / 2 + config.window_ms / 2)


def features_of(clips: ClipSet, config: FeatureConfig) -> tuple[Tensor, Tensor]:
    """Body [N, C, T, 25, 1] and hands [N, C, T, 21, 2] of every clip, not augmented."""
    found = [centre_window(clip, config) for clip in clips.sequences]
    return _stack(found)


def training_batches(
    clips: ClipSet,
    classes: tuple[str, ...],
    features: FeatureConfig,
    config: AugmentConfig,
    batch_size: int,
    background: str | None,
    seed: tuple[int, int],
) -> Iterator[Batch]:
    """One epoch. ``seed`` = (run, epoch) fixes order and augmentation, so a run can resume.

    Clips are drawn with replacement, a class in proportion to the root of its size, so that rare
    signs are seen. With a ``background`` class some clips are turned into negatives of it.
    """
    random = np.random.default_rng(seed)
    index = {label: i for i, label in enumerate(classes)}
    target = np.array([index[label] for label in clips.labels])
    weight = 1.0 / np.sqrt(np.bincount(target, minlength=len(classes)))[target]
    order = random.choice(len(clips), size=len(clips), p=weight / weight.sum())

    def sample(i: int, child: np.random.Generator) -> tuple[Features, int]:
        clip, label = clips.sequences[i], int(target[i])
        if background is not None and child.random() < config.negative:
            other = clips.sequences[int(child.integers(len(clips)))]
            clip, label = make_negative(clip, other, child), index[background]
        changed, end_ms = augment(clip, config, child)
        return extract(changed, features, end_ms), label

    def make(batch: tuple[npt.NDArray[np.int64], list[np.random.Generator]]) -> Batch:
        made = [sample(int(i), child) for i, child in zip(*batch, strict=True)]
        body, hands = _stack([item for item, _ in made])
        return body, hands, torch.tensor([label for _, label in made])

    starts = range(0, len(order) - batch_size + 1, batch_size) or range(1)
    chosen = [order[start : start + batch_size] for start in starts]
    work = [(indices, _children(random, len(indices))) for indices in chosen]
    # One batch ahead, in a thread: the next batch is ready when the step ends.
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(make, work[0])
        for following in work[1:]:
            ready, pending = pending.result(), pool.submit(make, following)
            yield ready
        yield pending.result()


def split_blocks(clips: ClipSet, fraction: float, seed: int) -> tuple[ClipSet, ClipSet]:
    """(train, validation) by recording block: a block is never on both sides.

    A label recorded in one block only stays in training. Clips without a block number count as
    blocks of their own.
    """
    random = np.random.default_rng(seed)
    keys = [
        (clips.labels[i], clips.signers[i], clips.blocks[i] if clips.blocks[i] >= 0 else -1 - i)
        for i in range(len(clips))
    ]
    held: set[tuple[str, str, int]] = set()
    for label in clips.classes:
        blocks = sorted({key for key in keys if key[0] == label})
        count = min(len(blocks) - 1, max(1, round(len(blocks) * fraction))) if fraction else 0
        chosen = random.permutation(len(blocks))[:count]
        held |= {blocks[i] for i in chosen}
    return clips.where(lambda i: keys[i] not in held), clips.where(lambda i: keys[i] in held)


def _stack(items: list[Features]) -> tuple[Tensor, Tensor]:
    body = torch.from_numpy(np.stack([item.body for item in items]))
    hands = torch.from_numpy(np.stack([item.hands for item in items]))
    return body, hands


def _children(random: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Independent generators; ``Generator.spawn`` needs numpy 1.25, older ones are supported."""
    return [np.random.default_rng(int(s)) for s in random.integers(2**63, size=count)]
