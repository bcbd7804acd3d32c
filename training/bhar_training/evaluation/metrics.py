"""Compute accuracy figures from predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.calibration import probabilities

__all__ = [
    "Acceptance",
    "FalseAccepts",
    "Report",
    "acceptance",
    "expected_calibration_error",
    "false_accepts",
    "report",
]

FloatArray = npt.NDArray[np.float32] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Acceptance:
    """What remains when answers less probable than ``reject_below`` are rejected.

    part: share of all clips that are accepted. top1: share of these that are right, NaN if there
    are none. (Selective classification: coverage and selective accuracy.)
    """

    reject_below: float
    part: float
    top1: float


@dataclass(frozen=True)
class FalseAccepts:
    """How many clips without a known sign a model takes for a sign.

    as_sign: share answered as a sign, however unsure. accepted: share answered as a sign and not
    rejected; None where there is no threshold.
    """

    clips: int
    as_sign: float
    accepted: float | None = None

    @property
    def part(self) -> float:
        """Return ``accepted``, or ``as_sign`` where nothing is rejected."""
        return self.as_sign if self.accepted is None else self.accepted


@dataclass(frozen=True, eq=False)
class Report:
    """What a set of predictions is worth.

    Attributes:
        labels: names of the classes.
        confusion: int64 [classes, classes]; rows are the truth. The recall of a class that does not
            occur is NaN.
        calibration_error: see :func:`expected_calibration_error`.
        uncalibrated_error: the same without the stored temperatures; None where none are stored.
        acceptance: None without a threshold.
        of_background: of the clips that show no sign; None if there are none.
    """

    labels: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    background: str | None
    calibration_error: float = float("nan")
    uncalibrated_error: float | None = None
    acceptance: Acceptance | None = None
    of_background: FalseAccepts | None = None

    @property
    def top1(self) -> float:
        """Return the share of clips that are right."""
        return float(np.trace(self.confusion) / max(1, self.confusion.sum()))

    @property
    def recalls(self) -> dict[str, float]:
        """Return the recall of every label."""
        rows = self.confusion.sum(axis=1)
        return {
            label: float(self.confusion[i, i] / rows[i]) if rows[i] else float("nan")
            for i, label in enumerate(self.labels)
        }

    @property
    def precisions(self) -> dict[str, float]:
        """Return the precision of every label; NaN where nothing was taken for it."""
        taken = self.confusion.sum(axis=0)
        return {
            label: float(self.confusion[i, i] / taken[i]) if taken[i] else float("nan")
            for i, label in enumerate(self.labels)
        }

    @property
    def macro_recall_signs(self) -> float:
        """Return the mean recall of the labels that are signs and occur."""
        values = [r for label, r in self.recalls.items() if label != self.background]
        return float(np.nanmean(values)) if values else float("nan")


def expected_calibration_error(
    truth: npt.NDArray[np.int64], said: FloatArray, bins: int = 15
) -> float:
    """Return how far confidence and accuracy lie apart, 0 to 1 (Guo et al. 2017).

    said: probabilities [N, classes]. It is the mean over ``bins`` of equal width in confidence,
    weighted by their clips.
    """
    confidence = said.max(axis=1)
    right = said.argmax(axis=1) == truth
    # Which bin: (0, 1 / bins], ..., (1 - 1 / bins, 1].
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(number, confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(truth))


def acceptance(truth: npt.NDArray[np.int64], said: FloatArray, reject_below: float) -> Acceptance:
    """Reject answers of probabilities ``said`` [N, classes] that are below ``reject_below``."""
    accepted = said.max(axis=1) >= reject_below
    right = said.argmax(axis=1) == truth
    top1 = float(right[accepted].mean()) if accepted.any() else float("nan")
    return Acceptance(reject_below, float(accepted.mean()), top1)


def false_accepts(
    said: FloatArray, background: int | None, reject_below: float | None
) -> FalseAccepts:
    """Count the false signs in probabilities ``said`` [N, classes] of clips without a known sign.

    N is above 0. background: the class that means "no sign"; None: all that is not rejected counts
    as a sign.
    """
    as_sign = said.argmax(axis=1) != (-1 if background is None else background)
    accepted = None
    if reject_below is not None:
        accepted = float((as_sign & (said.max(axis=1) >= reject_below)).mean())
    return FalseAccepts(len(said), float(as_sign.mean()), accepted)


def report(
    truth: npt.NDArray[np.int64],
    logits: FloatArray,
    labels: tuple[str, ...],
    background: str | None,
) -> Report:
    """Score ``logits`` [N, classes] against the class indices ``truth`` [N]."""
    predicted = logits.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    error = expected_calibration_error(truth, probabilities(logits))
    return Report(labels, confusion, background, error)
