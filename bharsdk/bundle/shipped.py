"""The models that ship with bharsdk, by name."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from bharsdk.errors import InputError
from bharsdk.values.checks import as_path

__all__ = ["SHIPPED", "SUFFIX", "bundle_path", "is_shipped", "shipped_bundles"]

SHIPPED = Path(__file__).parents[1] / "models"
SUFFIX = ".bhar"


def shipped_bundles() -> dict[str, Path]:
    """Return name -> path of the bundles that ship with bharsdk."""
    return {path.stem: path for path in sorted(SHIPPED.glob(f"*{SUFFIX}"))}


def bundle_path(name: str | PathLike[str]) -> Path:
    """Return the path of a bundle, given as a path or as the name of a shipped model.

    A file with that name goes first. Raises InputError if there is neither.
    """
    path = as_path(name, "bundle: got")
    try:
        exists = path.exists()
    except (OSError, ValueError):  # a name that no file can have
        exists = False
    if exists or path.suffix == SUFFIX or len(path.parts) != 1:
        return path
    shipped = shipped_bundles()
    if str(name) not in shipped:
        known = ", ".join(shipped) or "none in this installation"
        raise InputError(
            f"model {str(name)!r}: got no file and no shipped model of this name, expected"
            f" PATH{SUFFIX} or one of: {known}"
        )
    return shipped[str(name)]


def is_shipped(path: str | PathLike[str]) -> bool:
    """Return whether ``path`` is a model that ships with this code; such a model is trusted."""
    try:
        # An installation may link each of them to another folder.
        return Path(path).resolve() in [shipped.resolve() for shipped in shipped_bundles().values()]
    except (OSError, RuntimeError, ValueError):
        return False
