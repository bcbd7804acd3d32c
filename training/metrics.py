"""Accuracy figures from predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Report", "expected_calibration_error", "report"]


@dataclass(frozen=True, eq=False)
class Report:
    """What a set of predictions is worth.

    labels: names. confusion: int64 [classes, classes], rows are the truth. A recall is NaN for a
    class that does not occur. macro_recall_signs leaves the background label out.
    calibration_error: see :func:`expected_calibration_error`.
    """

    labels: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    background: str | None
    calibration_error: float = float("nan")

    @property
    def top1(self) -> float:
        """Part of all clips that were recognised."""
        return float(np.trace(self.confusion) / max(1, self.confusion.sum()))

    @property
    def recalls(self) -> dict[str, float]:
        """Recall of every label."""
        rows = self.confusion.sum(axis=1)
        return {
            label: float(self.confusion[i, i] / rows[i]) if rows[i] else float("nan")
            for i, label in enumerate(self.labels)
        }

    @property
    def macro_recall_signs(self) -> float:
        """Mean recall of the labels that are signs and occur."""
        values = [r for label, r in self.recalls.items() if label != self.background]
        return float(np.nanmean(values)) if values else float("nan")


def expected_calibration_error(
    truth: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32], bins: int = 15
) -> float:
    """How far confidence and accuracy lie apart, 0 to 1: probabilities [N, classes], truth [N].

    The mean over ``bins`` of equal width in confidence, weighted by their clips. (Guo et al. 2017)
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    # Which bin: (0, 1 / bins], ..., (1 - 1 / bins, 1].
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(number, confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(truth))


def report(
    truth: npt.NDArray[np.int64],
    logits: npt.NDArray[np.float32],
    labels: tuple[str, ...],
    background: str | None,
) -> Report:
    """Score ``logits`` [N, classes] against the class indices ``truth`` [N]."""
    predicted = logits.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = raised / raised.sum(axis=1, keepdims=True)
    error = expected_calibration_error(truth, probabilities)
    return Report(labels, confusion, background, error)
