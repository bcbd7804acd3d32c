"""Fit new gestures to the embeddings of a trained model.

The network stays as it was shipped. A gesture is the embeddings of its clips. The bundle also holds
a few embeddings of each class that the model knows. Four rules follow from both::

    whitening  scales the embedding, so that all directions count alike
    logits     of the new gestures: regularized logistic regression on the whitened embedding,
               beside the model's own logits, which stay as they are
    radius     an embedding further from a gesture than its own clips is not that gesture
    rivals     a class of the model that lies about as near as the gesture's own clips wins,
               unless the gesture is far nearer, or this person showed that class too

A movement outside of every radius gets the answer of the model alone. The guide to training says
what was compared, and training/RESULTS.md what it reaches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.calibration import probabilities
from bharsdk.errors import InputError
from bharsdk.values.brief import brief

__all__ = ["Enrollment", "Gesture", "Samples", "unlike_the_others"]

FloatArray = npt.NDArray[np.float32]
Exact = npt.NDArray[np.float64]

SHRINKAGE = 0.1
"""Of the covariance within classes towards a multiple of the identity: there are fewer samples than
dimensions."""
DECAY = 1e-4
"""L2 penalty on the weights of a gesture's logit, of unit features."""
RADIUS = 4.0
"""Largest squared distance from a gesture's center, in those of a known class's sample from the
mean of the other samples of its class: their median."""
RATIO = 0.8
"""A movement is a gesture only if it lies nearer to its center, in squared distances, than this
part of how near it lies to a class's mean: another person's known signs, each a little off its
class, then stay what they are."""
RIVAL = 2.0
"""A class whose mean lies within so many times the radius (squared) of a gesture's center is alike:
strangers make it that much their own way. Letters that a finger tells apart (m and n, r and u, k
and v) lay within 1.8, most others beyond 2."""
RIVAL_RATIO = 0.1
"""In place of :data:`RATIO`, where the model answers with a class alike that was not shown."""
UNLIKE, UNLIKE_RATIO = 8.0, 8.0
"""A clip is unlike the other n - 1 of its gesture if even the nearest is so many times as far from
it (squared) as the radius, and as the furthest two of the others are from each other, the latter
divided by n - 1: two clips say little about how much a gesture varies. Of five clips of a word by
one stranger, one was so in 2 to 5 % of draws; when one showed another word, in 57 to 82 %."""
STEPS = 500
NEVER = -1e9
"""A logit whose probability is zero."""


@dataclass(frozen=True, eq=False)
class Samples:
    """What a model makes of n clips: logits float32 [n, classes] and embeddings float32 [n, D].

    Values are rounded to float16, as bundles store them. Raises InputError when the counts differ
    or a value is not finite.
    """

    logits: FloatArray
    embeddings: FloatArray

    def __post_init__(self) -> None:
        for name in ("logits", "embeddings"):
            values = np.asarray(getattr(self, name))
            with np.errstate(over="ignore"):
                stored = values.astype(np.float16).astype(np.float32)
            if values.ndim != 2 or not np.isfinite(stored).all():
                raise InputError(f"enrollment: got {name} {values.shape}, expected finite [n, ...]")
            object.__setattr__(self, name, stored)
        if len(self.logits) != len(self.embeddings):
            raise InputError(
                f"enrollment: got {len(self.logits)} logits and {len(self.embeddings)} embeddings,"
                " expected one of each for every clip"
            )

    def __repr__(self) -> str:
        return brief(self, logits=self.logits, embeddings=self.embeddings)

    def __len__(self) -> int:
        return len(self.logits)

    def take(self, rows: slice | npt.NDArray[np.int64]) -> Samples:
        """Return these rows."""
        return Samples(self.logits[rows], self.embeddings[rows])

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Samples:
        """Return all of ``parts``, one after the other."""
        return cls(
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.embeddings for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class Gesture:
    """An enrolled gesture.

    Attributes:
        label: its name.
        clips: how many clips were shown.
        samples: the samples of all variations of these clips.
    """

    label: str
    clips: int
    samples: Samples


@dataclass(frozen=True, eq=False)
class Enrollment:
    """The classes of a model and the gestures beside them. Immutable.

    Attributes:
        known: samples of the model's classes.
        known_classes: the class of each sample, int [len(known)].
        gestures: at least one, in the order of their probabilities.
        temperature: divides the model's logits before softmax.
        shown: class -> samples of it from the person who enrolls.
    """

    known: Samples
    known_classes: npt.NDArray[np.int64]
    gestures: tuple[Gesture, ...]
    temperature: float = 1.0
    shown: Mapping[int, Samples] = field(default_factory=dict)

    def fit(self) -> None:
        """Fit now; otherwise the first call of :meth:`probabilities` does it."""
        _ = self._weights, self._limit, self._rivals

    def probabilities(self, logits: FloatArray, embeddings: FloatArray) -> Exact:
        """Return float64 [n, classes + gestures] of logits [n, classes] and embeddings [n, D]."""
        whitened = embeddings @ self._whitening
        mine = _with_one(self._unit(whitened)) @ self._weights
        distances = _squared_distances(whitened, self._centers)
        of_known = _squared_distances(whitened, self._known_means).min(1, keepdims=True)
        own = np.asarray(logits, np.float64) / self.temperature
        is_rival = self._rivals[:, own.argmax(1)].T
        ratio = np.where(is_rival, RIVAL_RATIO, RATIO)
        near = (distances <= self._limit) & (distances <= ratio * of_known)
        return probabilities(np.concatenate([own, np.where(near, mine, NEVER)], axis=1))

    def alike(self, label: str) -> tuple[int, ...]:
        """Return the classes most like the gesture ``label`` that nobody showed, nearest first."""
        gesture = [g.label for g in self.gestures].index(label)
        distances = _squared_distances(self._known_means, self._centers)[:, gesture]
        order = np.argsort(distances, kind="stable")
        near = (int(self._sampled[i]) for i in order if distances[i] <= RIVAL * self._limit)
        return tuple(c for c in near if c not in self.shown)

    @cached_property
    def _rivals(self) -> npt.NDArray[np.bool_]:
        """[gestures, classes]: whether the class is one of those alike."""
        rivals = np.zeros((len(self.gestures), self.known.logits.shape[1]), bool)
        for row, gesture in zip(rivals, self.gestures, strict=True):
            row[list(self.alike(gesture.label))] = True
        return rivals

    @cached_property
    def _of_classes(self) -> tuple[Samples, npt.NDArray[np.int64]]:
        """(samples of the model's classes, shown ones too, their classes)."""
        classes = [np.full(len(samples), c) for c, samples in self.shown.items()]
        return Samples.joined([self.known, *self.shown.values()]), np.concatenate(
            [self.known_classes, *classes]
        )

    @cached_property
    def _sampled(self) -> npt.NDArray[np.int64]:
        """Classes that have samples, ascending."""
        classes: npt.NDArray[np.int64] = np.unique(self._of_classes[1])
        return classes

    @cached_property
    def _groups(self) -> list[FloatArray]:
        """Embeddings of each known class, then of each gesture."""
        samples, classes = self._of_classes
        known = [samples.embeddings[classes == c] for c in self._sampled]
        return known + [gesture.samples.embeddings for gesture in self.gestures]

    @cached_property
    def _whitening(self) -> Exact:
        """[D, D]: what varies within classes has unit variance in every direction behind it."""
        within = np.concatenate([group - group.mean(0) for group in self._groups]).astype(
            np.float64
        )
        freedom = max(1, len(within) - len(self._groups))
        covariance = within.T @ within / freedom
        size = len(covariance)
        # Never zero, so that samples which are all the same can be divided by it.
        mean = max(float(np.trace(covariance)) / size, 1e-12)
        covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * mean * np.eye(size)
        variances, directions = np.linalg.eigh(covariance)
        whitening: Exact = directions / np.sqrt(variances)
        return whitening

    @cached_property
    def _origin(self) -> Exact:
        origin: Exact = (self._of_classes[0].embeddings @ self._whitening).mean(0)
        return origin

    def _unit(self, whitened: Exact) -> Exact:
        """Directions from the middle of all known samples."""
        offsets = whitened - self._origin
        unit: Exact = offsets / np.maximum(np.linalg.norm(offsets, axis=1, keepdims=True), 1e-12)
        return unit

    @cached_property
    def _centers(self) -> Exact:
        """[gestures, D], whitened."""
        means = np.stack([gesture.samples.embeddings.mean(0) for gesture in self.gestures])
        centers: Exact = means @ self._whitening
        return centers

    @cached_property
    def _known_means(self) -> Exact:
        """[classes that have samples, D], whitened."""
        means = np.stack([group.mean(0) for group in self._groups[: -len(self.gestures)]])
        whitened: Exact = means @ self._whitening
        return whitened

    @cached_property
    def _limit(self) -> float:
        """Squared, whitened; of the model's own samples, so that showing more never moves it."""
        distances = []
        for index in np.unique(self.known_classes):
            group = self.known.embeddings[self.known_classes == index]
            if len(group) > 1:
                # From the mean of the others: n / (n - 1) times as far as from that of all.
                offsets = (
                    (group - group.mean(0)) @ self._whitening * (len(group) / (len(group) - 1))
                )
                distances += list((offsets**2).sum(1))
        return RADIUS * float(np.median(distances))

    @cached_property
    def _weights(self) -> Exact:
        """[D + 1, gestures]: of a gesture's logit, the last one its bias.

        Minimizes the cross entropy of all samples, every class and gesture weighing the same, by
        accelerated gradient descent (Nesterov 1983) from zeros: the same samples, the same weights.
        """
        known, known_classes = self._of_classes
        samples = Samples.joined([known, *(g.samples for g in self.gestures)])
        features = _with_one(self._unit(samples.embeddings @ self._whitening))
        logits = samples.logits.astype(np.float64) / self.temperature
        count, classes = len(self.gestures), logits.shape[1]
        of_gestures = [np.full(len(g.samples), classes + i) for i, g in enumerate(self.gestures)]
        truth = np.concatenate([known_classes, *of_gestures])
        importance = 1.0 / np.bincount(truth)[truth]
        importance /= importance.sum()
        wanted = np.eye(classes + count)[truth, classes:]
        decay = np.full((features.shape[1], 1), DECAY)
        decay[-1] = 0.0
        # The largest curvature of a softmax is a half.
        curvature = 0.5 * np.linalg.norm(features * np.sqrt(importance)[:, None], 2) ** 2 + DECAY
        weights = np.zeros((features.shape[1], count))
        ahead = weights
        for step in range(STEPS):
            said = probabilities(np.concatenate([logits, features @ ahead], axis=1))[:, classes:]
            slope = features.T @ (importance[:, None] * (said - wanted)) + decay * ahead
            following = ahead - slope / curvature
            ahead = following + step / (step + 3) * (following - weights)
            weights = following
        return weights


def unlike_the_others(
    known: Samples, known_classes: npt.NDArray[np.int64], clips: Sequence[Samples]
) -> tuple[int, ...]:
    """Return the numbers of the clips that differ much from the other clips.

    Args:
        known: samples of the model's classes; they say how far two samples of a class lie apart.
        known_classes: the class of each.
        clips: at least three. The first row of each is its unchanged window.
    """
    measure = Enrollment(known, known_classes, ())
    points = np.stack([clip.embeddings[0] for clip in clips]) @ measure._whitening
    apart = _squared_distances(points, points)
    unlike = []
    for clip in range(len(clips)):
        others = [other for other in range(len(clips)) if other != clip]
        nearest = apart[clip, others].min()
        spread = apart[np.ix_(others, others)].max() * UNLIKE_RATIO / len(others)
        if nearest > UNLIKE * measure._limit and nearest > spread:
            unlike.append(clip)
    return tuple(unlike)


def _with_one(features: Exact) -> Exact:
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)


def _squared_distances(points: Exact, centers: Exact) -> Exact:
    """points [n, D], centers [m, D] -> [n, m]."""
    distances: Exact = ((points[:, None] - centers[None]) ** 2).sum(2)
    return distances
