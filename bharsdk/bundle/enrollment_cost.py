"""Compute what fitting enrolled gestures costs, before anything is fitted.

Loading a bundle fits its gestures (:class:`bharsdk.gestures.fit.Enrollment`). The manifest says how
many samples, classes and gestures there are, and so what the fit costs.
"""

from __future__ import annotations

from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_ENROLLMENT_BYTES, MAX_ENROLLMENT_WORK

__all__ = ["check_fitting_cost"]

STEPS = 500
"""Of gradient descent, as in :mod:`bharsdk.gestures.fit`."""
EXPONENTIAL = 10
"""Multiply-adds that take as long as one exponential."""
DECOMPOSITION = 10
"""Of a symmetric [D, D] matrix: multiply-adds in D cubed. (Golub and Van Loan 2013, section 8.3)"""
FLOAT = 8
COPIES = 6
"""Of the samples, that are there at once."""


def check_fitting_cost(samples: int, classes: int, gestures: int, dimensions: int) -> None:
    """Raise InputError unless the gestures can be fitted within the limits.

    Args:
        samples: of known classes and gestures together.
        classes: of the model.
        gestures: new ones.
        dimensions: of an embedding.
    """
    everything = classes + gestures
    work = STEPS * samples * (2 * dimensions * gestures + EXPONENTIAL * everything)
    work += DECOMPOSITION * dimensions**3 + 2 * samples * dimensions**2
    work += 2 * gestures * everything * gestures * dimensions
    size = COPIES * samples * (dimensions + everything) + 4 * dimensions**2
    size += 2 * everything * gestures * dimensions + everything**2
    if work > MAX_ENROLLMENT_WORK or FLOAT * size > MAX_ENROLLMENT_BYTES:
        raise InputError(
            f"enrollment: got {gestures} gestures and {samples} samples of {dimensions} numbers:"
            f" fitting them takes {work / 1e9:.0f}e9 multiply-adds and {FLOAT * size >> 20} MB,"
            f" expected at most {MAX_ENROLLMENT_WORK / 1e9:.0f}e9 and"
            f" {MAX_ENROLLMENT_BYTES >> 20} MB: remove gestures, or show fewer clips of each"
        )
