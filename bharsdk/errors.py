"""The errors that bharsdk raises, and the exit code of a command that ends with one.

::

    BharError                  1  something inside bharsdk went wrong
    ├── UsageError             2  the command line or a call contradicts itself
    ├── InputError             3  data that cannot be used: a file, a video, landmarks, an array
    ├── BundleError            4  a model file that is corrupt or cannot be trusted
    ├── IncompatibleError      5  a model file or machine that this version does not support
    ├── AccuracyGateError      6  an exported model lost too much accuracy
    ├── ParityError            7  an exported model does not compute what its source computes
    ├── BackendMissingError    8  a package or library that this step needs is not installed
    └── SourceError            9  a camera that cannot be opened, or a source lost while running

Each message is one line: what bharsdk got, what it expected, what to do.
"""

from __future__ import annotations

from typing import ClassVar, NoReturn

__all__ = [
    "AccuracyGateError",
    "BackendMissingError",
    "BharError",
    "BundleError",
    "IncompatibleError",
    "InputError",
    "ParityError",
    "SourceError",
    "UsageError",
    "assert_never",
]


class BharError(Exception):
    """Base class of all errors. ``exit_code``: exit code of a command that ends with it."""

    exit_code: ClassVar[int] = 1


class UsageError(BharError):
    """The command line or the arguments of a call contradict themselves."""

    exit_code = 2


class InputError(BharError):
    """Data that cannot be used: a missing file, an empty video, NaN landmarks, a wrong shape."""

    exit_code = 3


class BundleError(BharError):
    """A bundle or checkpoint that is corrupt: a wrong hash, size, name or content."""

    exit_code = 4


class IncompatibleError(BharError):
    """A bundle, checkpoint or machine that this version of bharsdk does not support."""

    exit_code = 5


class AccuracyGateError(BharError):
    """The exported model lost more accuracy than allowed."""

    exit_code = 6


class ParityError(BharError):
    """The exported graph does not compute what the checkpoint computes."""

    exit_code = 7


class BackendMissingError(BharError):
    """A package or system library is missing; the message names how to install it."""

    exit_code = 8

    @classmethod
    def for_extra(cls, module: str, extra: str) -> BackendMissingError:
        """Return the error for a missing package; it names the ``pip install`` command to run."""
        return cls(f"{module} is not installed: run  pip install 'bharsdk[{extra}]'")


class SourceError(BharError):
    """A camera that cannot be opened, or a source that was lost while running."""

    exit_code = 9


def assert_never(value: NoReturn) -> NoReturn:
    """End a ``match`` over all members of an enum; type checkers prove that none is missing.

    ``typing.assert_never`` exists from Python 3.11 on; bharsdk runs on 3.10 too.
    """
    raise AssertionError(f"unhandled: {value!r}")
