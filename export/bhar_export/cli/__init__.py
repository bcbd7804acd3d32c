"""``bhar-export``: from a checkpoint to a bundle that carries its own proof."""

from __future__ import annotations

from bharsdk.cli.entry import enter, preload

TYPE_CHECKING = False  # as of typing, which would have to be imported for it
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bharsdk.cli.command import Program

__all__ = ["main", "program"]

EXIT_CODES = (
    "exit codes: 0 ok, 1 internal error, 2 usage, 3 bad input data, 4 corrupt checkpoint, 5 other"
    " version, 6 accuracy gate failed, 7 parity failed, 8 package missing, 130 interrupted"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (see ``bharsdk.errors``)."""
    return enter("bhar-export", lambda: _begin(argv))


def _begin(argv: Sequence[str] | None) -> Callable[[], int]:
    import os

    from bharsdk.cli.exit_codes import exit_code_of

    parsed = program().parse(argv)
    # Threads that spin while they wait cost more than they gain on small, shared machines.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    preload("bhar_export.pipeline")
    return lambda: exit_code_of(
        lambda: parsed.command.work(parsed.options),
        "bhar-export",
        arguments=parsed.files,
        extra="export",
        when_interrupted=parsed.command.when_interrupted,
    )


def program() -> Program:
    """Return it: one command, without a name."""
    from bharsdk.cli.command import Entry, Program

    does = "from a checkpoint to a bundle that carries its own proof"
    only = Entry("", "bhar_export.cli.export:COMMAND", does)
    return Program("bhar-export", does, EXIT_CODES, (only,), extra="export")
