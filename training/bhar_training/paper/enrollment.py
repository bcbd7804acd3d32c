"""Measure enrollment: classes that a model was not trained on, from a few clips of a stranger.

The protocol is that of few-shot learning (Vinyals et al. 2016), with the trained classes beside the
new ones. The model has never seen the person. Clips for enrollment and clips for scoring are
different ones. They are of different blocks, where the person recorded a label in several. The draw
is repeated; the mean over draws is reported.

Each draw is scored twice: with the new gestures alone, and after the person also showed the labels
of the model that a gesture is much like, as the device asks for.
"""

from __future__ import annotations

import functools
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from bhar_training.checkpoint import Checkpoint, load_checkpoint
from bhar_training.data.batches import action_window
from bhar_training.data.clip_set import ClipSet
from bhar_training.data.clips import load_clips
from bhar_training.models.embedding import WithEmbedding
from bhar_training.paper.experiment import EnrollmentRecipe
from bhar_training.training.trainer import fit
from bharsdk.bundle.feature_config import FeatureConfig, ModelInput
from bharsdk.errors import InputError
from bharsdk.gestures.augment import features_of_variations
from bharsdk.gestures.fit import Enrollment, Gesture, Samples
from bharsdk.recognition.features import Features

__all__ = ["EnrollmentScore", "score_enrollment", "train_without"]

KNOWN_CLIPS = 5
"""Of each class; what a bundle holds."""
BATCH = 32
MOST_CLIPS = 60
"""Of a new label, evenly spread: each is looked at in all its variations."""


@dataclass(frozen=True)
class EnrollmentScore:
    """Percent, means over the draws.

    Attributes:
        gestures: the labels that were enrolled.
        new_top1: of their other clips, against all labels.
        new_spread: standard deviation of ``new_top1`` over draws.
        known_before, known_after: top-1 of the labels of the model.
        all_top1: mean recall of new and known labels.
        lost: known label -> points of recall that it lost.
        alike: new label -> known labels that it is much like in any draw.
    """

    gestures: tuple[str, ...]
    new_top1: float
    new_spread: float
    known_before: float
    known_after: float
    all_top1: float
    lost: dict[str, float]
    alike: dict[str, tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class _Stranger:
    """One person's clips as a model sees them: label, block and sample of each."""

    labels: npt.NDArray[np.str_]
    blocks: npt.NDArray[np.int64]
    samples: Samples

    def at(self, label: str) -> npt.NDArray[np.int64]:
        return np.flatnonzero(self.labels == label)


def train_without(
    recipe: EnrollmentRecipe, data_root: Path, out: Path
) -> tuple[Checkpoint, ClipSet]:
    """Return a model without the labels of the recipe, and all clips.

    The model is trained in ``out``, or taken from there. Raises InputError naming the data file
    when it is missing.
    """
    clips = load_clips(data_root / recipe.data.path)
    people = clips.of_signers(recipe.fold.train)
    train = people.where(lambda i: people.labels[i] not in recipe.without)
    folder, name = out / recipe.fold.name, Path(recipe.data.path).name
    without = f"{name} without {','.join(recipe.without)}"
    fit(train, recipe.config, folder, trained_on=without, resume=True)
    return load_checkpoint(folder), clips


def score_enrollment(
    checkpoint: Checkpoint,
    trained_on: ClipSet,
    stranger: ClipSet,
    *,
    shots: int = 5,
    draws: int = 20,
) -> tuple[EnrollmentScore, EnrollmentScore]:
    """Enroll every label of ``stranger`` that the model lacks, ``shots`` clips each, and score.

    trained_on: the training clips; a few stand for each class. Returns two scores: with the
    gestures alone, and with ``shots`` clips also of every known label that a gesture is much like.
    Clips that were looked at are not scored. Raises InputError when there is no new label, or too
    few clips of one.
    """
    meta = checkpoint.meta
    if not isinstance(meta.features, FeatureConfig):
        raise InputError("enrollment: got a model of a skeleton data set, expected landmarks")
    looks = _Looks(checkpoint, meta.features)
    known, classes = looks.at_known(trained_on)
    person = looks.at_centers(stranger)
    new = tuple(sorted(set(stranger.labels) - set(meta.labels)))

    @functools.cache
    def varied(label: str) -> dict[int, Samples]:
        return looks.at_variations(stranger, person, label)

    counts = {label: len(varied(label)) for label in new}
    if not new or min(counts.values()) <= shots:
        raise InputError(
            f"enrollment: got clips of new labels {counts}, expected more than {shots} of each"
        )
    alone, asked = [], []
    for draw in range(draws):
        random = np.random.default_rng(draw)
        chosen = {label: _drawn(random, person, list(varied(label)), shots) for label in new}
        samples = {x: Samples.joined([varied(x)[i] for i in chosen[x]]) for x in new}
        enrollment = Enrollment(known, classes, tuple(Gesture(x, shots, samples[x]) for x in new))
        alone.append(_scored(enrollment, meta.labels, person, chosen))
        shown = {}
        for index in sorted({index for label in new for index in enrollment.alike(label)}):
            label = meta.labels[index]
            if len(varied(label)) > shots:
                chosen[label] = _drawn(random, person, list(varied(label)), shots)
                shown[index] = Samples.joined([varied(label)[i] for i in chosen[label]])
        asked.append(_scored(replace(enrollment, shown=shown), meta.labels, person, chosen))
    return _mean(alone), _mean(asked)


class _Looks:
    """What the model makes of clips."""

    def __init__(self, checkpoint: Checkpoint, features: FeatureConfig) -> None:
        self._labels, self._features = checkpoint.meta.labels, features
        self._model = WithEmbedding(checkpoint.model.deploy()).eval()

    @torch.no_grad()
    def at(self, windows: list[Features]) -> Samples:
        """Samples of windows."""
        made = []
        for start in range(0, len(windows), BATCH):
            batch = windows[start : start + BATCH]
            clips = [window.batch() for window in batch]
            inputs = {
                name: torch.from_numpy(np.concatenate([clip[name] for clip in clips]))
                for name in clips[0]
            }
            made.append(Samples(*(part.numpy() for part in self._model(inputs))))
        return Samples.joined(made)

    def at_known(self, clips: ClipSet) -> tuple[Samples, npt.NDArray[np.int64]]:
        """(a few samples of each class, their classes)."""
        labels = np.array(clips.labels)
        rows: list[int] = []
        classes: list[int] = []
        for index, label in enumerate(self._labels):
            mine = np.flatnonzero(labels == label)
            if len(mine):
                spread = np.linspace(0, len(mine) - 1, KNOWN_CLIPS).round().astype(int)
                rows += list(mine[np.unique(spread)])
                classes += [index] * (len(rows) - len(classes))
        windows = [action_window(clips.sequences[i], self._features) for i in rows]
        return self.at(windows), np.array(classes)

    def at_centers(self, clips: ClipSet) -> _Stranger:
        """Every clip, as it is scored."""
        windows = [action_window(clip, self._features) for clip in clips.sequences]
        return _Stranger(np.array(clips.labels), np.array(clips.blocks), self.at(windows))

    def at_variations(self, clips: ClipSet, person: _Stranger, label: str) -> dict[int, Samples]:
        """Clip -> samples of its variations, of clips that show anybody."""
        mine = person.at(label)
        if not len(mine):
            return {}
        spread = np.unique(np.linspace(0, len(mine) - 1, MOST_CLIPS).round().astype(int))
        subject = ModelInput.HANDS if np.isnan(clips.sequences[0].body).all() else ModelInput.BODY
        found = {}
        for i in mine[spread]:
            try:
                windows = features_of_variations(clips.sequences[i], self._features, subject)
            except InputError:
                continue  # as the device would refuse it
            found[int(i)] = self.at(windows)
        return found


def _drawn(
    random: np.random.Generator, person: _Stranger, clips: list[int], shots: int
) -> npt.NDArray[np.int64]:
    """Of one block, if it has enough, so that others are left to be scored."""
    of = np.array(clips)
    blocks = [b for b in np.unique(person.blocks[of]) if (person.blocks[of] == b).sum() >= shots]
    if len(blocks) > 1:
        of = of[person.blocks[of] == random.choice(blocks)]
    drawn: npt.NDArray[np.int64] = random.choice(of, shots, replace=False)
    return drawn


def _scored(
    enrollment: Enrollment,
    labels: tuple[str, ...],
    person: _Stranger,
    chosen: dict[str, npt.NDArray[np.int64]],
) -> EnrollmentScore:
    """Of one draw."""
    gestures = tuple(gesture.label for gesture in enrollment.gestures)
    names = np.array([*labels, *gestures])
    samples = person.samples
    before = names[samples.logits.argmax(1)] == person.labels
    after = names[enrollment.probabilities(samples.logits, samples.embeddings).argmax(1)]
    right = after == person.labels
    recalls, lost, of_new, of_known = [], {}, [], []
    for label in sorted(set(person.labels) & set(names)):
        mine = person.at(label)
        if label in chosen:
            mine = _not_seen(mine, chosen[label], person.blocks)
        if label in gestures:
            of_new.append(float(right[mine].mean()))
        else:
            of_known.append(mine)
            if right[mine].mean() < before[mine].mean():
                lost[label] = 100 * float(before[mine].mean() - right[mine].mean())
        recalls.append(float(right[mine].mean()))
    known = np.concatenate(of_known)
    return EnrollmentScore(
        gestures,
        100 * statistics.fmean(of_new),
        0.0,
        100 * float(before[known].mean()),
        100 * float(right[known].mean()),
        100 * statistics.fmean(recalls),
        lost,
        {g: tuple(labels[i] for i in near) for g in gestures if (near := enrollment.alike(g))},
    )


def _not_seen(
    clips: npt.NDArray[np.int64], seen: npt.NDArray[np.int64], blocks: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Those of other blocks than the ``seen`` ones; if there is one block, its other clips."""
    others = clips[~np.isin(blocks[clips], blocks[seen])]
    return others if len(others) else clips[~np.isin(clips, seen)]


def _mean(scores: list[EnrollmentScore]) -> EnrollmentScore:
    lost = {label for score in scores for label in score.lost}
    alike: dict[str, set[str]] = {}
    for score in scores:
        for gesture, near in score.alike.items():
            alike.setdefault(gesture, set()).update(near)
    return EnrollmentScore(
        tuple(sorted({gesture for score in scores for gesture in score.gestures})),
        statistics.fmean(score.new_top1 for score in scores),
        statistics.pstdev(score.new_top1 for score in scores),
        statistics.fmean(score.known_before for score in scores),
        statistics.fmean(score.known_after for score in scores),
        statistics.fmean(score.all_top1 for score in scores),
        {x: statistics.fmean(s.lost.get(x, 0.0) for s in scores) for x in sorted(lost)},
        {gesture: tuple(sorted(near)) for gesture, near in sorted(alike.items())},
    )
