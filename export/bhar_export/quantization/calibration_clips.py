"""Real clips as model input: what sets the ranges of INT8, and what the gate is counted on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bhar_export.graph.spec import DataSpec
from bhar_training.checkpoint import CheckpointMeta
from bhar_training.data.batches import features_of
from bhar_training.data.clips import load_clips
from bhar_training.evaluation.evaluate import class_indices
from bharsdk.errors import InputError

__all__ = ["MAX_CALIBRATION_CLIPS", "LabeledFeatures", "load_features"]

FloatArray = npt.NDArray[np.float32]

MAX_CALIBRATION_CLIPS = 128
"""Twice as many choose the same ranges for the models that ship, and take twice as long."""
AT_ONCE = 8
"""Clips of a batch. What a model holds of more leaves the processor's caches."""


@dataclass(frozen=True, eq=False)
class LabeledFeatures:
    """N clips as model input: float32 [N, C, T, V, M] by name, truth int64 [N].

    truth: class index. source: where they come from, for the report. signers: those that occur.
    """

    source: str
    inputs: Mapping[str, FloatArray]
    truth: npt.NDArray[np.int64]
    signers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.truth)

    def evenly(self, count: int) -> LabeledFeatures:
        """At most ``count`` clips, spread evenly over all."""
        return self.at(self.evenly_spread(count))

    def evenly_spread(self, count: int) -> npt.NDArray[np.int64]:
        """Indices of at most ``count`` clips, spread evenly over all."""
        spread = np.linspace(0, len(self) - 1, min(count, len(self)))
        return np.unique(spread.round().astype(np.int64))

    def at(self, keep: npt.NDArray[np.int64]) -> LabeledFeatures:
        """The clips at these indices."""
        kept = {name: x[keep] for name, x in self.inputs.items()}
        return LabeledFeatures(self.source, kept, self.truth[keep], self.signers)

    def without(self, name: str) -> LabeledFeatures:
        """The clips with one input never detected: all zeros."""
        return replace(self, inputs={**self.inputs, name: np.zeros_like(self.inputs[name])})

    def batches(
        self, inputs: Sequence[str], size: int = AT_ONCE
    ) -> Iterator[dict[str, FloatArray]]:
        """The named ``inputs`` of a graph, ``size`` clips at a time."""
        for start in range(0, len(self), size):
            yield {name: self.inputs[name][start : start + size] for name in inputs}


def load_features(spec: DataSpec, meta: CheckpointMeta) -> LabeledFeatures:
    """The clips of ``spec`` through the features of the checkpoint, the same as in training.

    Raises InputError on missing data, unknown labels and signers, and on no clips at all.
    """
    clips = load_clips(spec.path, fps=spec.fps)
    if spec.signers:
        clips = clips.of_signers(spec.signers)
    if not len(clips):
        raise InputError(f"{spec.path}: got no clips, expected labeled recordings")
    truth = class_indices(clips, meta.labels)
    inputs = {name: x.numpy() for name, x in features_of(clips, meta.features).items()}
    signers = tuple(sorted(set(clips.signers) - {""}))
    return LabeledFeatures(str(spec), inputs, truth, signers)
