"""Turn logits into probabilities that are right as often as they say, and reject low ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError

__all__ = ["KEEP", "TEMPERATURES", "Calibration", "probabilities"]

KEEP = 0.995
"""Part of the recognized signs that stay accepted, unless told otherwise.

Of whole clips: windows that slide over a sign are less sure than one that is cut around it, and of
strangers less than of the people held out. What keeps 95 % of clips keeps three quarters of the
same signs in a stream (``training/RESULTS.md``).
"""

TEMPERATURES = (0.01, 100.0)
"""That a calibration may have. Outside, every answer is certain or every answer is a guess, and far
outside, logits divided by one are not finite."""


@dataclass(frozen=True)
class Calibration:
    """How far the probabilities of a model can be trusted.

    Attributes:
        temperature: the logits are divided by it before softmax (Guo et al. 2017).
        reject_below: a lower probability counts as "no sign".
        clips: how many clips it was measured on. The model was not trained on them.
        keep: part of the recognized signs that ``reject_below`` accepts.

    Raises:
        InputError: a value is out of range.
    """

    temperature: float
    reject_below: float
    clips: int
    keep: float

    def __post_init__(self) -> None:
        least, most = TEMPERATURES
        # The fit ends within a rounding of its limits.
        if not least * (1 - 1e-6) <= self.temperature <= most * (1 + 1e-6):
            raise InputError(
                f"calibration: got temperature {self.temperature}, expected {least} to {most}"
            )
        if not 0 <= self.reject_below <= 1 or not 0 < self.keep <= 1:
            raise InputError(
                f"calibration: got reject_below {self.reject_below} and keep {self.keep}, expected"
                " parts of 1, and to keep more than nothing"
            )
        if self.clips < 1:
            raise InputError(f"calibration: got {self.clips} clips, expected at least one")

    def __str__(self) -> str:
        """Return the calibration in one line."""
        return (
            f"temperature {self.temperature:.3f}, rejects below {self.reject_below:.3f}"
            f" ({100 * self.keep:g} % of recognized signs kept, {self.clips} clips)"
        )


def probabilities(
    logits: npt.NDArray[np.floating[Any]], temperature: float = 1.0
) -> npt.NDArray[np.float64]:
    """Return the softmax of logits [..., classes] divided by ``temperature``, in float64."""
    scaled = logits.astype(np.float64) / temperature
    raised = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    result: npt.NDArray[np.float64] = raised / raised.sum(axis=-1, keepdims=True)
    return result
