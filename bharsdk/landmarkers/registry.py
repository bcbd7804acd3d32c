"""Landmarkers by name: one row each in :data:`LANDMARKERS`.

``bhar run --landmarker NAME``, ``Recognizer.run(landmarker="NAME")`` and ``open_source`` all look
here. To add a landmarker, write a module with a function ``open_one(max_persons)`` and add one row.
A module is imported when its landmarker is opened, so a row costs nothing.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from dataclasses import dataclass

from bharsdk.errors import BackendMissingError, UsageError
from bharsdk.files.limits import MAX_PERSONS
from bharsdk.landmarkers.failures import check_landmarker
from bharsdk.landmarkers.landmarker import Landmarker
from bharsdk.values.checks import typed

__all__ = [
    "DEFAULT_LANDMARKER",
    "LANDMARKERS",
    "LandmarkerEntry",
    "LandmarkerLike",
    "check_choice",
    "check_packages",
    "landmarker_entry",
    "open_landmarker",
    "opened_landmarker",
]

LandmarkerLike = Landmarker | str
"""A landmarker object, or the name of one in :data:`LANDMARKERS`."""

DEFAULT_LANDMARKER = "body-hands"


@dataclass(frozen=True)
class LandmarkerEntry:
    """One landmarker that can be opened by name.

    name: what a user types. description: one line for help texts. module: where its function
    ``open_one(max_persons) -> Landmarker`` is. needs: packages that must be installed. extra: the
    pip extra of bharsdk that installs them. max_persons: how many people it can follow.
    """

    name: str
    description: str
    module: str
    needs: tuple[str, ...] = ()
    extra: str = "camera"
    max_persons: int = 1


HOME = "bharsdk.landmarkers"
MEDIAPIPE = ("mediapipe", "cv2")
# fmt: off
ENTRIES = (
    LandmarkerEntry("body-hands", "body and hands by MediaPipe's models, 1 to 8 people", f"{HOME}.body_hands", MEDIAPIPE, max_persons=MAX_PERSONS),  # noqa: E501
    LandmarkerEntry("holistic", "MediaPipe Holistic, one person; slower, for comparison", f"{HOME}.mediapipe", MEDIAPIPE),  # noqa: E501
)
# fmt: on
LANDMARKERS: dict[str, LandmarkerEntry] = {entry.name: entry for entry in ENTRIES}
"""Name -> entry, the default first."""


def landmarker_entry(name: str) -> LandmarkerEntry:
    """Return the entry called ``name``.

    Raises UsageError on an unknown name. The message lists all names and the nearest one.
    """
    name = typed(str, name, "landmarker: got the name")
    if name in LANDMARKERS:
        return LANDMARKERS[name]
    near = difflib.get_close_matches(name, LANDMARKERS, n=1)
    hint = f": did you mean {near[0]}?" if near else ""
    raise UsageError(
        f"landmarker: got {name[:40]!r}, expected one of {', '.join(LANDMARKERS)}{hint}"
    )


def open_landmarker(name: str = DEFAULT_LANDMARKER, max_persons: int = 1) -> Landmarker:
    """Open the landmarker called ``name``; the caller closes it.

    max_persons: how many people it follows, 1 to 8.
    Raises UsageError on an unknown name and on more people than the landmarker can follow.
    Raises BackendMissingError when a package that it needs is not installed.
    """
    entry = _checked(name, max_persons)
    check_packages(name)
    opened: Landmarker = importlib.import_module(entry.module).open_one(max_persons)
    return opened


def check_packages(name: str) -> None:
    """Raise BackendMissingError unless the packages of the landmarker ``name`` are installed."""
    entry = landmarker_entry(name)
    for package in entry.needs:
        if importlib.util.find_spec(package) is None:
            raise BackendMissingError.for_extra(package, entry.extra)


def check_choice(landmarker: LandmarkerLike | None, max_persons: int = 1) -> None:
    """Check a user's ``landmarker`` without opening anything; None is the default.

    Raises what :func:`open_landmarker` raises on a name, and InputError on an object that is no
    landmarker.
    """
    if isinstance(landmarker, str):
        _checked(landmarker, max_persons)
    elif landmarker is not None:
        check_landmarker(landmarker)


def opened_landmarker(
    landmarker: LandmarkerLike | None, max_persons: int = 1
) -> tuple[Landmarker, bool]:
    """Return a landmarker, and whether it was opened here and has to be closed.

    A name is opened, None opens the default, an object is returned as it is.
    Raises what :func:`open_landmarker` raises.
    """
    if landmarker is None or isinstance(landmarker, str):
        name = DEFAULT_LANDMARKER if landmarker is None else landmarker
        return open_landmarker(name, max_persons), True
    return landmarker, False


def _checked(name: str, max_persons: int) -> LandmarkerEntry:
    entry = landmarker_entry(name)
    count = typed(int, max_persons, "landmarker: got max_persons")
    if not 1 <= count <= MAX_PERSONS:
        raise UsageError(f"landmarker: got max_persons {count}, expected 1 to {MAX_PERSONS}")
    if count > entry.max_persons:
        others = [e.name for e in LANDMARKERS.values() if e.max_persons >= count]
        remedy = f": use {', '.join(others)}" if others else ""
        raise UsageError(
            f"landmarker: got max_persons {count} with {name}, expected at most"
            f" {entry.max_persons}{remedy}"
        )
    return entry
