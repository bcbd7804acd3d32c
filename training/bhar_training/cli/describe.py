"""``bhar-train describe``: parameters and multiply-adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bharsdk.cli.command import Command
from bharsdk.values.declared import Cli, Help

__all__ = ["COMMAND", "Describe", "run"]


@dataclass(frozen=True)
class Describe:
    """The options of ``bhar-train describe``."""

    model: Annotated[str, Help("a model's name, or all"), Cli(names=("model",), metavar="MODEL")]
    json: Annotated[bool, Help("a list of objects instead of a table")] = False


def run(arguments: Describe) -> None:
    """Print parameters and multiply-adds."""
    from bhar_training.console.progress import progress_bar
    from bhar_training.paper.describe import as_json, describe, rows_of, table

    rows = progress_bar(rows_of(arguments.model), unit="model", leave=False)
    found = [describe(row) for row in rows]
    print(as_json(found) if arguments.json else table(found))


COMMAND = Command(
    Describe,
    run,
    "Count as thop, ptflops and fvcore do, and the true multiply-adds.",
)
