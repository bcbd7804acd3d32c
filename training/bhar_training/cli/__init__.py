"""``bhar-train``: fit, calibrate, evaluate and describe models, extract landmarks from videos."""

from __future__ import annotations

from bharsdk.cli.entry import enter, preload

TYPE_CHECKING = False  # as of typing, which would have to be imported for it
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

__all__ = ["main"]

TORCH_FIRST = ("bench", "enrollment", "evaluate", "fit", "qat")
"""Commands that begin with the import of torch, which takes seconds."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (see ``bharsdk.errors``)."""
    return enter("bhar-train", lambda: _begin(argv))


def _begin(argv: Sequence[str] | None) -> Callable[[], int]:
    import os

    from bhar_training.data.notes import shown
    from bharsdk.cli.exit_codes import exit_code_of

    arguments = _parser().parse_args(argv)
    # Threads that spin while they wait cost more than they gain on small, shared machines.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if arguments.run.__module__.rpartition(".")[2] in TORCH_FIRST:
        preload("torch")

    def work() -> int:
        # Of the processes that torchrun has started, one tells.
        with shown(quiet=os.environ.get("RANK", "0") != "0"):
            return exit_code_of(
                lambda: arguments.run(arguments),
                "bhar-train",
                arguments=arguments,
                extra="train",
                when_interrupted=arguments.when_interrupted,
            )

    return work


def _parser() -> argparse.ArgumentParser:
    from bhar_training.cli import (
        bench,
        calibrate,
        describe,
        evaluate,
        extract,
        false_events,
        fit,
        qat,
        reproduce,
    )
    from bhar_training.cli import enrollment as enrollment
    from bhar_training.cli.options import EXIT_CODES
    from bharsdk.cli.parser import Parser

    parser = Parser("bhar-train", description=(__doc__ or "").split(": ", 1)[1], epilog=EXIT_CODES)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (
        *(fit, qat, calibrate, evaluate, enrollment, reproduce),
        *(describe, bench, extract, false_events),
    ):
        command.add(commands)
    return parser
