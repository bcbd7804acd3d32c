"""The command ``bhar``: run a model on a camera, a video or a session; look into bundles."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from bharsdk import __version__
from bharsdk.command import exit_code_of
from bharsdk.commands import bundles, enroll, run, startup

__all__ = ["main"]

EXIT_CODES = """\
exit codes:
  0  ok (a camera run ends with Ctrl-C)    5  incompatible version or device
  1  internal error                        6  accuracy gate failed
  2  usage                                 7  parity failed
  3  bad input data                        8  back end missing
  4  corrupt or untrusted model            9  camera cannot be opened, or source lost
  130  Ctrl-C before the end of a file; what was written stays readable
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: the process's). Returns the exit code."""
    arguments = _parser().parse_args(argv)
    return exit_code_of(lambda: arguments.command(arguments), "bhar")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bhar",
        description="Recognise body-and-hand actions from a camera, a video or a session.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bhar {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str, does: str, work: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        found = commands.add_parser(
            name,
            help=does,
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        found.set_defaults(command=work)
        return found

    run.add_parsers(command)
    bundles.add_parsers(command)
    startup.add_parser(command)
    enroll.add_parser(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
