"""Refuse outputs that are inputs, in one place, before anything is opened or made.

A command declares which arguments it reads and which it writes. :mod:`bharsdk.cli.exit_codes`
compares them for every command. Python calls that take both use the same check.
"""

from __future__ import annotations

import argparse
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bharsdk.errors import UsageError
from bharsdk.files.writing import part_path

__all__ = [
    "Declared",
    "check_outputs",
    "is_same_file",
    "paths_in",
    "refuse_overwriting",
]

DECLARED = "declared_files"
ADDED = frozenset({".bhar", ".csv", ".json", ".mp4", ".png"})
"""What commands may add to a folder that they read, again and again: bundles, reports, pictures."""
RUN_FILES = frozenset({"config.json", "curves.csv", "curves.png", "machine.json", "model.json"})
"""What a run of training needs of these kinds, and keeps."""
RUN_FOLDERS = frozenset({"checkpoint", "resume", "tensorboard"})


@dataclass(frozen=True)
class Declared:
    """What a command does with its files: attributes of its arguments, and what to call them.

    updates: read and written in place, which an output may name too.
    """

    reads: Mapping[str, str]
    writes: Mapping[str, str]
    updates: Mapping[str, str]


def check_outputs(arguments: argparse.Namespace) -> None:
    """Raise UsageError when an output of the command is one of its inputs or another output."""
    declared: Declared | None = getattr(arguments, DECLARED, None)
    if declared is None:
        return

    def paths(names: Mapping[str, str]) -> list[tuple[str, Path]]:
        return [
            (name, path)
            for dest, name in names.items()
            for path in paths_in(getattr(arguments, dest))
        ]

    refuse_overwriting(
        paths(declared.writes), paths(declared.reads), updates=paths(declared.updates)
    )


def refuse_overwriting(
    outputs: Iterable[tuple[str, Path]],
    inputs: Iterable[tuple[str, Path]],
    *,
    updates: Iterable[tuple[str, Path]] = (),
) -> None:
    """Raise UsageError when an output is an input, or when two outputs are one file.

    Each path comes with its name for the message. Links, relative paths and other spellings count
    as the file that they lead to. The part file of an output (``NAME.part.SUFFIX``) counts as the
    output. A file in a folder that is read counts as an input, unless commands add such files to
    such folders. updates: may be an output, but must not be lost.
    """
    outputs, inputs = list(outputs), list(inputs)
    for number, (name, output) in enumerate(outputs):
        for other, path in inputs:
            if any(is_same_file(each, path) for each in _written(output)) or _holds(output, path):
                raise UsageError(
                    f"{name}: got {output}, which would overwrite the input {other} ({path}),"
                    " expected another file or folder"
                )
        for other, path in [*inputs, *updates]:
            if _is_part_of(output, path):
                raise UsageError(
                    f"{name}: got {output}, a file of the input {other} ({path}), expected another"
                    " name"
                )
        for other, path in outputs[:number]:
            if is_same_file(output, path):
                raise UsageError(
                    f"{name}: got {output}, which {other} names too, expected a file for each"
                )


def is_same_file(a: Path, b: Path) -> bool:
    """Return whether both lead to one file or folder, or would once it exists."""
    try:
        return a.samefile(b)
    except (OSError, ValueError):  # one is not there, or is no name of a file
        return _resolved(a) == _resolved(b)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # links that lead to each other
        return path.absolute()


def _mode(path: Path) -> int:
    """The kind of file at ``path``; 0 where there is none."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _written(output: Path) -> list[Path]:
    return [output, part_path(output)] if output.name else [output]


def _is_part_of(output: Path, folder: Path) -> bool:
    """Whether ``output`` is there already, in a ``folder`` that is read, and not an addition."""
    if not stat.S_ISDIR(_mode(folder)) or not stat.S_ISREG(_mode(output)):
        return False
    is_addition = output.suffix in ADDED and output.name not in RUN_FILES
    return not is_addition and _resolved(output).is_relative_to(_resolved(folder))


def _holds(output: Path, path: Path) -> bool:
    """Whether ``path`` is what a run in the folder ``output`` would write over."""
    inside, folder = _resolved(path), _resolved(output)
    if inside == folder or not inside.is_relative_to(folder):
        return False
    parts = inside.relative_to(folder).parts
    return parts[0] in RUN_FOLDERS or parts[0] in RUN_FILES


def paths_in(value: Any) -> list[Path]:
    """Return the paths that an argument or a source names; an address may name a file too."""
    if isinstance(value, Path):
        return [value]
    if isinstance(value, list | tuple):
        return [path for each in value for path in paths_in(each)]
    if not isinstance(value, str) or not value:
        return []
    if "://" not in value:
        return [Path(value)]
    try:
        parts = urlsplit(value)
    except ValueError:
        return []
    return [Path(unquote(parts.netloc + parts.path))] if parts.scheme.lower() == "file" else []
