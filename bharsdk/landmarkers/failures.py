"""Count the failures of a landmarker: a warning for single pictures, an error for many."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from bharsdk.errors import BharError, InputError, SourceError
from bharsdk.landmarks.landmarks import Landmarks

__all__ = ["MAX_FAILURES", "Failures", "check_landmarker", "checked_people"]

LOGGER = logging.getLogger("bharsdk")

MAX_FAILURES = 10
"""So many pictures in a row on which the landmarker raises an error are one too many."""


class Failures:
    """Count the pictures of ``source`` on which the landmarker failed. Any thread may use it.

    It raises SourceError, or the class of the landmarker's own error where that is one of
    bharsdk's.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._in_a_row: list[int] = []
        """Numbers of the pictures that failed after the last one that was searched."""
        self._total, self._has_succeeded = 0, False
        self._last: Exception | None = None

    def succeeded(self, number: int) -> None:
        """Note that picture ``number`` was searched; later ones may have failed by now."""
        with self._lock:
            self._in_a_row = [failed for failed in self._in_a_row if failed > number]
            self._has_succeeded, self._last = True, None

    def failed(self, number: int, error: Exception) -> None:
        """Note that ``error`` was raised for picture ``number``.

        Raises when too many in a row failed. Otherwise warns at the 1st, 2nd, 4th, 8th, so that a
        log stays readable.
        """
        with self._lock:
            self._in_a_row.append(number)
            self._total += 1
            in_a_row, total, self._last = len(self._in_a_row), self._total, error
        if in_a_row >= MAX_FAILURES:
            raise self._wrapped(f"{in_a_row} pictures in a row", error) from error
        if total & (total - 1) == 0:
            LOGGER.warning(
                "landmarker: failed on picture %d of %s, which is left out (%d so far): %s",
                *(number, self._source, total, _one_line(error)),
            )

    def check_end(self) -> None:
        """Raise at the end of the source when every picture failed."""
        with self._lock:
            total, last = self._total, self._last
            if self._has_succeeded or last is None:
                return
            self._last = None
        raise self._wrapped(f"all {total} pictures that it was given", last) from last

    def forget(self) -> None:
        """Forget the last error, whose traceback holds frames of the run."""
        with self._lock:
            self._last = None

    def _wrapped(self, which: str, error: Exception) -> BharError:
        kind = type(error) if isinstance(error, BharError) else SourceError
        return kind(
            f"landmarker: failed on {which} of {self._source}, the last time with"
            f" {_one_line(error)}, expected landmarks: restart it, or run without it"
        )


def check_landmarker(landmarker: object) -> None:
    """Raise InputError unless ``landmarker`` has the methods of a landmarker."""
    if not callable(getattr(landmarker, "detect", None)):
        raise InputError(
            f"landmarker: got {_a(landmarker)}, expected an object with detect(image, timestamp_ms)"
            " and close()"
        )


def checked_people(found: object, landmarker: object) -> Sequence[Landmarks]:
    """Return what ``landmarker`` found. Raises InputError unless these are Landmarks."""
    if isinstance(found, Sequence):
        wrong = [one for one in found if not isinstance(one, Landmarks)]
        if not wrong:
            return found
        got = f"a {type(found).__name__} that holds {_a(wrong[0])}"
    else:
        got = _a(found)
    raise InputError(
        f"landmarker: {type(landmarker).__name__} gave {got}, expected a sequence of Landmarks,"
        " one for each person, empty where there is nobody"
    )


def _a(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
