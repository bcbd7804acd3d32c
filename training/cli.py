"""``bhar-train``: fit, calibrate, evaluate and describe models, extract landmarks from videos."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from bhar_training.commands import (
    bench,
    calibrate,
    describe,
    enrolment,
    evaluate,
    extract,
    false_events,
    fit,
    qat,
    reproduce,
)
from bhar_training.commands.options import EXIT_CODES
from bharsdk.command import exit_code_of

__all__ = ["main"]

COMMANDS = (
    *(fit, qat, calibrate, evaluate, enrolment, reproduce),
    *(describe, bench, extract, false_events),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (see ``bharsdk.errors``)."""
    arguments = _parser().parse_args(argv)
    # Threads that spin while they wait cost more than they gain on small, shared machines.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return exit_code_of(
        lambda: arguments.run(arguments),
        "bhar-train",
        extra="train",
        when_interrupted=arguments.when_interrupted,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "bhar-train", description=__doc__.split(": ", 1)[1], epilog=EXIT_CODES
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
