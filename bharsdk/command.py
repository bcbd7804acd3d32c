"""How every command ends: an error becomes one line on stderr and a documented exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from bharsdk.errors import BackendMissingError, BharError

__all__ = ["INTERRUPTED", "exit_code_of"]

INTERRUPTED = 130
"""Ctrl-C, as shells count it."""
OURS = ("bharsdk", "bhar_training", "bhar_export")


def exit_code_of(
    work: Callable[[], int | None],
    program: str,
    *,
    extra: str = "",
    when_interrupted: str = "interrupted",
) -> int:
    """Do the ``work`` of ``program`` and return its exit code: its own, or that of its error.

    extra: what to install when a package is missing. when_interrupted: what is left after Ctrl-C.
    What is not an error of data, settings or the machine keeps its traceback: it is a bug.
    """
    try:
        code = work() or 0
        sys.stdout.flush()
        return code
    except BharError as error:
        return _failed(program, error)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if not extra or package in ("", *OURS):
            raise
        return _failed(program, BackendMissingError.for_extra(package, extra))
    except BrokenPipeError:
        # The reader of our output left (``... | head``): nothing to say to anybody, nor at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        return BharError.exit_code
    except KeyboardInterrupt:
        print(f"{program}: {when_interrupted}", file=sys.stderr)
        return INTERRUPTED


def _failed(program: str, error: BharError) -> int:
    print(f"{program}: error: {error}", file=sys.stderr)
    return error.exit_code
