"""Find the compiled part of bharsdk, also where Python runs the source folder.

In the root of the sources, Python finds the folder ``bharsdk/`` before the installed package. That
folder has no compiled library. The library of the installed package then serves, if both have one
version.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

from bharsdk.errors import BackendMissingError, IncompatibleError

__all__ = ["explain_missing", "installed_folder", "load_compiled"]

NAME = "bharsdk._ops"
STUB = "_ops.pyi"
"""Says what the library offers, and is installed beside it."""
REMEDY = "run  make demo  (then use .venv-run/bin/python) or  pip install ."


def load_compiled() -> ModuleType:
    """Return ``bharsdk._ops``: the library beside the sources, or else the installed one.

    Raises:
        BackendMissingError: there is no library, or it cannot be loaded.
        IncompatibleError: the installed library belongs to another version of the sources.
    """
    own = Path(__file__).parents[1]
    try:
        try:
            return importlib.import_module(NAME)
        except ModuleNotFoundError as error:
            if error.name != NAME:
                raise
        folder = installed_folder(own, sys.path)
        if folder is None:
            raise BackendMissingError(
                f"got the source folder {own} without compiled libraries, expected an installed"
                f" bharsdk for {sys.executable}: {REMEDY}"
            )
        _check_same(own, folder)
        return _load(folder)
    except ImportError as error:
        raise BackendMissingError(
            f"the compiled library {NAME} cannot be loaded ({error}), expected the one of this"
            f" Python and machine: {REMEDY}"
        ) from error


def explain_missing(error: ModuleNotFoundError) -> None:
    """Raise BackendMissingError where ``error`` misses a package that bharsdk always needs."""
    package = (error.name or "").split(".")[0]
    if package in ("cyclopts", "numpy", "onnxruntime"):
        raise BackendMissingError(
            f"{package} is not installed for {sys.executable}, expected a Python in which bharsdk"
            f" is installed: {REMEDY}"
        ) from error


def installed_folder(own: Path, search: Sequence[str]) -> Path | None:
    """Return the first package ``bharsdk`` in ``search`` that has a library and is not ``own``."""
    for entry in search:
        folder = Path(entry) / "bharsdk"
        if PathFinder.find_spec(NAME, [str(folder)]) is None:
            continue
        if (folder / "__init__.py").is_file() and folder.resolve() != own.resolve():
            return folder
    return None


def _check_same(own: Path, installed: Path) -> None:
    ours, theirs = (_version(folder) for folder in (own, installed))
    if ours != theirs:
        raise IncompatibleError(
            f"got the sources of bharsdk {ours} in {own} beside an installed bharsdk {theirs},"
            f" expected one version: {REMEDY}"
        )
    if _text(own / STUB) != _text(installed / STUB):
        raise IncompatibleError(
            f"got sources in {own} that are not those of the bharsdk installed in {installed},"
            f" expected the same: {REMEDY}"
        )


def _version(folder: Path) -> str:
    """Of the package itself: where its metadata lie depends on how it was installed."""
    found = re.search(r'^__version__ = "(.+)"$', _text(folder / "__init__.py"), re.MULTILINE)
    return found[1] if found else "of no version"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _load(folder: Path) -> ModuleType:
    spec = PathFinder.find_spec(NAME, [str(folder)])
    if spec is None or spec.loader is None:
        raise ImportError(f"no library in {folder}", name=NAME)
    module = module_from_spec(spec)
    sys.modules[NAME] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[NAME]
        raise
    sys.modules["bharsdk"]._ops = module  # type: ignore[attr-defined]  # as the import system does
    return module
