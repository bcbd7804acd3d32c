"""How every command runs and ends.

Before it opens anything, its outputs are compared with its inputs. SIGTERM is Ctrl-C. An error
becomes one line on stderr and a documented exit code.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import sys
from collections.abc import Callable
from typing import TextIO, cast

from bharsdk.cli.entry import INTERRUPTED
from bharsdk.cli.interrupts import raised_outside_imports
from bharsdk.cli.log_lines import warnings_as_lines
from bharsdk.cli.signals import stopped_by_signals
from bharsdk.errors import BackendMissingError, BharError, InputError
from bharsdk.files.outputs import check_outputs
from bharsdk.kernels.compiled import explain_missing
from bharsdk.values.redaction import redacted
from bharsdk.values.terminal import PlainText, one_line

__all__ = ["INTERRUPTED", "exit_code_of"]

OF_FILES = frozenset(
    getattr(errno, name)
    for name in (
        *("EACCES", "EDQUOT", "EFBIG", "EIO", "EISDIR", "ENAMETOOLONG", "ENOENT"),
        *("ENOSPC", "ENOTDIR", "EPERM", "EROFS"),
    )
)
"""What the system says of a file, folder or disk that cannot be used."""
OURS = ("bharsdk", "bhar_training", "bhar_export")


def exit_code_of(
    work: Callable[[], int | None],
    program: str,
    *,
    arguments: argparse.Namespace | None = None,
    extra: str = "",
    when_interrupted: str = "interrupted",
) -> int:
    """Do the ``work`` of ``program`` and return its exit code: its own, or that of its error.

    An error becomes one line on stderr that no terminal obeys. An error that is not of data,
    settings or machine keeps its traceback: it is a bug.

    Args:
        work: returns an exit code.
        program: name of the command, for messages.
        arguments: of its command line; an output that is an input is refused first.
        extra: what to install when a package is missing.
        when_interrupted: what is left after Ctrl-C, SIGTERM or SIGHUP.
    """
    try:
        with stopped_by_signals(), raised_outside_imports(), warnings_as_lines(program):
            if arguments is not None:
                check_outputs(arguments)
            # Names and texts from outside are printed all over; progress bars go to stderr.
            with contextlib.redirect_stdout(cast("TextIO", PlainText(sys.stdout))):
                code = work() or 0
            sys.stdout.flush()
            return code
    except BharError as error:
        return _failed(program, error)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if extra and package not in ("", *OURS):
            return _failed(program, BackendMissingError.for_extra(package, extra))
        try:
            explain_missing(error)
        except BackendMissingError as explained:
            return _failed(program, explained)
        raise
    except BrokenPipeError:
        # The reader of our output left (``... | head``): nothing to say to anybody, nor at exit.
        _silence_stdout()
        return 0
    except OSError as error:
        _say(program, error)
        try:
            sys.stdout.flush()
        except OSError:  # what was to be printed does not fit: Python would try again at exit
            _silence_stdout()
        return InputError.exit_code if error.errno in OF_FILES else BharError.exit_code
    except KeyboardInterrupt:
        print(f"{program}: {when_interrupted}", file=sys.stderr)
        return INTERRUPTED


def _silence_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(program: str, error: BharError) -> int:
    _say(program, error)
    return error.exit_code


def _say(program: str, error: Exception) -> None:
    # An address given where a file is expected is its name in the message: with its password.
    line = redacted(one_line(str(error)), is_ours=True)
    print(f"{program}: error: {line}", file=sys.stderr)
