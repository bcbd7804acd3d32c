"""Fit temperature and rejection threshold, so that probabilities can be trusted.

Both are measured on clips that the model was not trained on. It is surer of clips that it has
learned than of any later one.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from bharsdk.bundle.calibration import KEEP, TEMPERATURES, Calibration, probabilities
from bharsdk.errors import InputError

__all__ = ["MIN_CLIPS", "Calibration", "calibrate", "fit_temperature", "reject_below"]

MIN_CLIPS = 20
"""Of fewer, temperature and threshold would be those of a few unlucky clips."""

FloatArray = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Truth = npt.NDArray[np.int64]


def calibrate(
    logits: FloatArray, truth: Truth, background: int | None = None, keep: float = KEEP
) -> Calibration:
    """Return the calibration of logits [N, classes] with class indices ``truth`` [N].

    background: the class that means "no sign"; it has no part in the threshold. Raises InputError
    on fewer than MIN_CLIPS clips, when no sign is recognized, and on logits that are not finite.
    """
    if len(truth) < MIN_CLIPS:
        raise InputError(
            f"calibration: got {len(truth)} clips that were not trained on, expected at least"
            f" {MIN_CLIPS}: hold out more, or record more"
        )
    if not np.isfinite(logits).all():
        raise InputError(
            "calibration: got answers that are not finite, expected finite ones: train again with"
            " a smaller --lr"
        )
    temperature = fit_temperature(logits, truth)
    said = probabilities(logits, temperature)
    right = (said.argmax(axis=1) == truth) & (truth != (-1 if background is None else background))
    if not right.any():
        raise InputError(
            f"calibration: got {len(truth)} clips and no sign recognized in them, expected some:"
            " train longer"
        )
    threshold = reject_below(said.max(axis=1)[right], keep)
    return Calibration(temperature, threshold, len(truth), keep)


def fit_temperature(logits: FloatArray, truth: Truth) -> float:
    """Return the temperature T > 0 with the least negative log-likelihood, in float64.

    It is one number, so no answer changes (Guo et al. 2017, section 4.2). The truth counts (N + 1)
    / (N + 2), and the other classes share the rest. Without that, clips that are all recognized
    have their optimum at T = 0, where every answer is certain (Platt 1999, section 2.2).
    """
    rows = np.arange(len(truth))
    values = logits.astype(np.float64)
    wrong = 1.0 / (len(truth) + 2)
    target = np.full(values.shape, wrong / max(1, values.shape[1] - 1))
    target[rows, truth] = 1.0 - wrong
    values = values - values.max(axis=1, keepdims=True)

    def loss(log_temperature: float) -> float:
        scaled = values * math.exp(-log_temperature)
        log_sum = np.log(np.exp(scaled).sum(axis=1))
        return float((log_sum - (target * scaled).sum(axis=1)).mean())

    # Convex in 1 / T, so with one valley in log T: a search within bounds finds it.
    bounds = (math.log(TEMPERATURES[0]), math.log(TEMPERATURES[1]))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    return math.exp(float(found.x))


def reject_below(confidence: npt.NDArray[np.float64], keep: float = KEEP) -> float:
    """Return the largest threshold that the part ``keep`` of ``confidence`` [N] reaches.

    confidence: the largest probability of each clip that was classified right. Raises InputError
    unless 0 < keep <= 1.
    """
    if not 0 < keep <= 1:
        raise InputError(f"calibration: got keep {keep:g}, expected a part above 0, up to 1")
    # The margin is rounding: 0.95 of 20 is 19, whatever the product says.
    kept = math.ceil(keep * len(confidence) - 1e-9)
    return float(np.sort(confidence)[len(confidence) - kept])
