"""``bhar-train describe``: parameters and multiply-adds."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bhar_training.commands.options import EXIT_CODES

if TYPE_CHECKING:
    from bhar_training.commands.options import Commands

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
    parser.add_argument("model", metavar="MODEL", help="a model's name, or all")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of a table")


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from tqdm import tqdm

    from bhar_training.describe import as_json, describe, rows_of, table

    found = [describe(row) for row in tqdm(rows_of(arguments.model), unit="model", leave=False)]
    print(as_json(found) if arguments.json else table(found))
