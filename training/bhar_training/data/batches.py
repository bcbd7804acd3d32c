"""Feature batches: augmented and shuffled for training, plain and in order for evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bhar_training.data.augment import AugmentConfig, augment
from bhar_training.data.clip_set import ClipSet
from bhar_training.data.negatives import make_negative
from bhar_training.data.placement import shown_part, window_end
from bhar_training.data.skeleton_features import (
    SkeletonAugmentConfig,
    SkeletonFeatureConfig,
    augment_skeleton,
    skeleton_input,
)
from bhar_training.data.skeletons import SkeletonClips
from bhar_training.models.action_model import InputSpec
from bhar_training.models.distributed import share_of
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.bundle.input_spec import landmark_inputs
from bharsdk.errors import UsageError
from bharsdk.landmarks.action import ActionSpan, find_action, fits
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.landmarks.skeleton import skeleton_by_name
from bharsdk.recognition.features import Features, extract

__all__ = [
    "AnyAugment",
    "AnyClips",
    "AnyFeatures",
    "Batch",
    "action_window",
    "features_of",
    "input_specs",
    "split_blocks",
    "split_held_out",
    "training_batches",
]

Batch = tuple[dict[str, Tensor], Tensor]
"""(inputs float32 [N, C, T, V, M] by name, class index [N])."""
Clip = Mapping[str, npt.NDArray[np.float32]]
"""The inputs of one clip, float32 [1, C, T, V, M] by name."""
AnyClips = ClipSet | SkeletonClips
AnyFeatures = FeatureConfig | SkeletonFeatureConfig
AnyAugment = AugmentConfig | SkeletonAugmentConfig


def input_specs(config: AnyFeatures) -> dict[str, InputSpec]:
    """Return what features of ``config`` give to a model: the spec of each input by name."""
    if isinstance(config, FeatureConfig):
        return landmark_inputs(config)
    skeleton, coordinates = skeleton_by_name(config.skeleton), 3 * len(config.modalities)
    persons, channels, frames = config.persons, config.channels, config.frames
    return {"body": InputSpec("body", skeleton, persons, channels, coordinates, frames)}


def action_window(clip: LandmarkSequence, config: FeatureConfig) -> Features:
    """Return the features of the middle of a clip's action; a shorter clip is held at both ends."""
    middle_ms = find_action(clip, config.window_ms).middle_ms
    return extract(clip, config, middle_ms + config.window_ms / 2)


def features_of(clips: AnyClips, config: AnyFeatures) -> dict[str, Tensor]:
    """Return the inputs float32 [N, C, T, V, M] of all clips by name, not augmented.

    Raises UsageError when the features are not for clips of this kind.
    """
    if isinstance(clips, SkeletonClips) and isinstance(config, SkeletonFeatureConfig):
        return _stack([_body_alone(skeleton_input(clip, config)) for clip in clips.clips])
    if isinstance(clips, ClipSet) and isinstance(config, FeatureConfig):
        return _stack([action_window(clip, config).batch() for clip in clips.sequences])
    raise _mismatch(clips, config)


def _mismatch(clips: AnyClips, config: AnyFeatures) -> UsageError:
    kinds = {ClipSet: "MediaPipe landmarks", SkeletonClips: "skeleton clips"}
    wanted = ClipSet if isinstance(config, FeatureConfig) else SkeletonClips
    return UsageError(f"data: got {kinds[type(clips)]}, expected {kinds[wanted]} as in training")


def _body_alone(body: npt.NDArray[np.float32]) -> Clip:
    return {"body": body[None]}


def training_batches(
    clips: AnyClips,
    classes: tuple[str, ...],
    features: AnyFeatures,
    config: AnyAugment,
    batch_size: int,
    background: str | None,
    seed: tuple[int, int],
    draws: int = 0,
    process: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Yield the batches of one epoch.

    ``seed`` = (run, epoch) fixes order and augmentation, so a run can resume. An epoch draws as
    many clips as there are, and at least ``draws``, with replacement. A class is drawn in
    proportion to the root of its size, so that the model sees rare signs. With a ``background``
    class some clips are turned into negatives of it. ``process`` = (rank, processes) makes its
    share of each batch; all shares together are the batch of one process.
    """
    random = np.random.default_rng(seed)
    index = {label: i for i, label in enumerate(classes)}
    target = np.array([index[label] for label in clips.labels])
    weight = 1.0 / np.sqrt(np.bincount(target)[target])
    order = random.choice(len(clips), size=max(len(clips), draws), p=weight / weight.sum())

    negative = None if background is None else index[background]
    sample = _sampler(clips, target, features, config, negative)

    def make(batch: tuple[npt.NDArray[np.int64], list[np.random.Generator]]) -> Batch:
        made = [sample(int(i), child) for i, child in zip(*batch, strict=True)]
        return _stack([item for item, _ in made]), torch.tensor([label for _, label in made])

    starts = range(0, len(order) - batch_size + 1, batch_size) or range(1)
    chosen = [order[start : start + batch_size] for start in starts]
    work = [_shared(indices, _children(random, len(indices)), process) for indices in chosen]
    # One batch ahead, in a thread: the next batch is ready when the step ends.
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(make, work[0])
        for following in work[1:]:
            ready, pending = pending.result(), pool.submit(make, following)
            yield ready
        yield pending.result()


def _shared(
    indices: npt.NDArray[np.int64], children: list[np.random.Generator], process: tuple[int, int]
) -> tuple[npt.NDArray[np.int64], list[np.random.Generator]]:
    mine = share_of(len(indices), *process)
    return indices[mine.start : mine.stop], children[mine.start : mine.stop]


def _sampler(
    clips: AnyClips,
    target: npt.NDArray[np.int64],
    features: AnyFeatures,
    config: AnyAugment,
    negative: int | None,
) -> Callable[[int, np.random.Generator], tuple[Clip, int]]:
    """Return the function that draws an example: clip number, randomness -> clip, class index."""

    def of_skeletons(i: int, random: np.random.Generator) -> tuple[Clip, int]:
        assert isinstance(clips, SkeletonClips) and isinstance(config, SkeletonAugmentConfig)
        assert isinstance(features, SkeletonFeatureConfig)
        points, span = augment_skeleton(
            clips.clips[i], clips.skeleton, config, random, flat=features.flat
        )
        return _body_alone(skeleton_input(points, features, span)), int(target[i])

    def of_landmarks(i: int, random: np.random.Generator) -> tuple[Clip, int]:
        assert isinstance(clips, ClipSet) and isinstance(config, AugmentConfig)
        assert isinstance(features, FeatureConfig)
        clip, label, window_ms = clips.sequences[i], int(target[i]), features.window_ms
        if negative is not None and random.random() < config.negative:
            others = np.flatnonzero(target != label)
            other = clips.sequences[int(random.choice(others))] if len(others) else clip
            shown, second = (shown_part(each, config.crop, window_ms) for each in (clip, other))
            made = make_negative(shown, second, config.negatives, random)
            if made is not None:
                return drawn(made, None, config.crop, random), negative
        if fits(clip, window_ms):
            return drawn(clip, None, config.crop, random), label
        if label == negative:  # no part of it is a sign, and live all of it is seen
            return drawn(clip, None, 1.0, random), label
        return drawn(clip, find_action(clip, window_ms), config.crop, random), label

    def drawn(
        clip: LandmarkSequence, action: ActionSpan | None, crop: float, random: np.random.Generator
    ) -> Clip:
        assert isinstance(config, AugmentConfig) and isinstance(features, FeatureConfig)
        changed, end_ms = augment(clip, config, random)
        place = (clip, changed, end_ms, action, crop, features.window_ms, random)
        return extract(changed, features, window_end(*place)).batch()

    kinds = (type(clips), type(features), type(config))
    if kinds == (ClipSet, FeatureConfig, AugmentConfig):
        return of_landmarks
    if kinds == (SkeletonClips, SkeletonFeatureConfig, SkeletonAugmentConfig):
        return of_skeletons
    raise _mismatch(clips, features)


def split_held_out(clips: AnyClips, fraction: float, seed: int) -> tuple[AnyClips, AnyClips]:
    """Split into (train, validation): landmarks by recording block, skeletons by subject."""
    if isinstance(clips, ClipSet):
        return split_blocks(clips, fraction, seed)
    subjects = sorted(set(clips.subjects))
    count = min(len(subjects) - 1, max(1, round(len(subjects) * fraction))) if fraction else 0
    chosen = np.random.default_rng(seed).permutation(subjects)[:count]
    return (
        clips.where(lambda i: clips.subjects[i] not in chosen),
        clips.where(lambda i: clips.subjects[i] in chosen),
    )


def split_blocks(clips: ClipSet, fraction: float, seed: int) -> tuple[ClipSet, ClipSet]:
    """Split into (train, validation) by recording block: a block is never on both sides.

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


def _stack(clips: Sequence[Clip]) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(np.concatenate([clip[name] for clip in clips])) for name in clips[0]
    }


def _children(random: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Independent generators; ``Generator.spawn`` needs numpy 1.25, older ones are supported."""
    return [np.random.default_rng(int(s)) for s in random.integers(2**63, size=count)]
