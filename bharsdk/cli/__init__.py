"""The command ``bhar``: run a model on a camera, a video or a session; look into bundles."""

from __future__ import annotations

from bharsdk.cli.entry import enter, preload

TYPE_CHECKING = False  # as of typing, which would have to be imported for it
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

__all__ = ["main"]

EXIT_CODES = """\
exit codes:
  0  ok (a camera run ends with Ctrl-C)    5  incompatible version or device
  1  internal error                        6  accuracy gate failed
  2  usage                                 7  parity failed
  3  bad input data                        8  back end missing
  4  corrupt or untrusted model            9  camera cannot be opened, or source lost
  130  Ctrl-C or SIGTERM before the end of a file; what was written stays readable
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: the process's). Returns the exit code."""
    return enter("bhar", lambda: _begin(argv))


def _begin(argv: Sequence[str] | None) -> Callable[[], int]:
    from bharsdk.cli.exit_codes import exit_code_of

    arguments = _parser().parse_args(argv)
    preload("bharsdk.recognizer")
    return lambda: exit_code_of(lambda: arguments.command(arguments), "bhar", arguments=arguments)


def _parser() -> argparse.ArgumentParser:
    """The parser; it imports nothing that only running a command needs."""
    from argparse import RawDescriptionHelpFormatter

    from bharsdk import __version__
    from bharsdk.cli import bundles, enroll, run, startup
    from bharsdk.cli.parser import Parser

    parser = Parser(
        prog="bhar",
        description="Recognize body-and-hand actions from a camera, a video or a session.",
        epilog=EXIT_CODES,
        formatter_class=RawDescriptionHelpFormatter,
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
            formatter_class=RawDescriptionHelpFormatter,
        )
        found.set_defaults(command=work)
        return found

    run.add_parsers(command)
    bundles.add_parsers(command)
    startup.add_parser(command)
    enroll.add_parser(command)
    return parser
