"""Accuracy figures from predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Report", "report"]


@dataclass(frozen=True, eq=False)
class Report:
    """What a set of predictions is worth.

    labels: names. confusion: int64 [classes, classes], rows are the truth. A recall is NaN for a
    class that does not occur. macro_recall_signs leaves the background label out.
    """

    labels: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    background: str | None

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


def report(
    truth: npt.NDArray[np.int64],
    predicted: npt.NDArray[np.int64],
    labels: tuple[str, ...],
    background: str | None,
) -> Report:
    """Count ``predicted`` [N] against ``truth`` [N], both class indices."""
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    return Report(labels, confusion, background)
