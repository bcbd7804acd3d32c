"""``bhar-train describe``: parameters and multiply-adds."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bhar_training.cli.options import EXIT_CODES
from bharsdk.cli.names import some_text

if TYPE_CHECKING:
    from bhar_training.cli.options import Commands

__all__ = ["add", "run"]


def add(commands: Commands) -> None:
    """Declare its options."""
    parser = commands.add_parser(
        "describe",
        help="parameters and multiply-adds of the models",
        description="Count as thop, ptflops and fvcore do, and the true multiply-adds.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(run=run, when_interrupted="interrupted")
    parser.add_argument("model", metavar="MODEL", type=some_text, help="a model's name, or all")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of a table")


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from bhar_training.console.progress import progress_bar
    from bhar_training.paper.describe import as_json, describe, rows_of, table

    rows = progress_bar(rows_of(arguments.model), unit="model", leave=False)
    found = [describe(row) for row in rows]
    print(as_json(found) if arguments.json else table(found))
