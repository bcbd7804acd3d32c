"""``bhar-train reproduce``: a row of the results table, from raw data to its figures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bhar_training.cli.options import GOES_ON
from bharsdk.cli.command import Command
from bharsdk.cli.numbers import THREADS, whole
from bharsdk.errors import AccuracyGateError, InputError, UsageError
from bharsdk.values.declared import Cli, Help, Range, Use

if TYPE_CHECKING:
    from bhar_training.paper.results import Results

__all__ = ["COMMAND", "Reproduce", "run"]

RESULTS = Path(__file__).resolve().parents[1] / "paper" / "results.json"
"""``RESULTS_FILE``; here, so that ``--help`` need not import torch. (held by a test)"""


def _seeds(text: str) -> tuple[int, ...]:
    try:
        found = tuple(whole(part, Range(0)) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or len(set(found)) != len(found):
        raise ValueError(
            f"got {text[:40]!r}, expected different whole numbers, separated by commas"
        )
    return found


@dataclass(frozen=True)
class Reproduce:
    """The options of ``bhar-train reproduce``."""

    row: Annotated[
        str | None, Help("a row's name, see --list"), Cli(names=("row",), metavar="ROW")
    ] = None
    data_root: Annotated[Path, Help("of all data"), Cli(metavar="DIR", file=Use.READ)] = Path(
        "data"
    )
    out: Annotated[Path, Help("of all trainings"), Cli(metavar="DIR", file=Use.WRITE)] = Path(
        "runs"
    )
    seed: Annotated[
        int | None, Range(0), Help("of everything drawn at random"), Cli(default="0")
    ] = None
    seeds: Annotated[
        tuple[int, ...] | None,
        Help("several, in place of --seed: their mean and how far they spread"),
        Cli(metavar="N,N", read=_seeds),
    ] = None
    threads: Annotated[int | None, THREADS, Cli(default="all cores")] = None
    check: Annotated[bool, Help("compare with the recorded figures of the row")] = False
    record: Annotated[
        Path | None,
        Help("put the figures of the row into the results file, or into this one"),
        Cli(alone=str(RESULTS), file=Use.WRITE),
    ] = None
    list: Annotated[bool, Help("the rows, targets, recorded figures")] = False
    table: Annotated[bool, Help("recorded figures as Markdown")] = False
    plot: Annotated[
        Path | None,
        Help("draw accuracy against multiply-adds, words"),
        Cli(metavar="PNG", file=Use.WRITE),
    ] = None

    def __post_init__(self) -> None:
        if self.seed is not None and self.seeds is not None:
            raise UsageError("got --seed with --seeds, expected one of them")


def run(arguments: Reproduce) -> None:
    """Train and score a row, or show what is recorded."""
    from bhar_training.paper.recipes import RECIPES
    from bhar_training.paper.results import RESULTS_FILE, load_results
    from bhar_training.paper.tables import listing, markdown

    shows = arguments.list or arguments.table or arguments.plot
    if bool(shows) == bool(arguments.row):
        raise UsageError(
            "reproduce: expected a row, or one of --list, --table and --plot; the rows are"
            f" {', '.join(RECIPES)}"
        )
    stored = load_results(RESULTS_FILE)
    if arguments.row:
        _run_row(arguments, stored)
    if arguments.list:
        print(listing(stored))
    if arguments.table:
        print(markdown(stored))
    if arguments.plot:
        _plot(arguments.plot, stored)


def _run_row(arguments: Reproduce, stored: Results) -> None:
    import torch

    from bhar_training.paper.recipes import recipe_named
    from bhar_training.paper.reproduce import reproduce
    from bhar_training.paper.results import Results, load_results, save_results
    from bhar_training.paper.tables import check, summary

    recipe = recipe_named(arguments.row or "")
    if arguments.check and recipe.name not in stored.rows:
        raise InputError(f"--check: got {recipe.name}, expected a row that is recorded: see --list")
    record = _record_path(arguments.record)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    seeds = arguments.seeds or (arguments.seed or 0,)
    result = reproduce(recipe, arguments.data_root, arguments.out, seeds)
    mine = Results({recipe.name: result})
    print(summary(recipe, stored.merged(mine)))
    if record is not None:
        before = load_results(record) if record.exists() else Results()
        save_results(record, before.merged(mine))
        print(f"{record}: {recipe.name} recorded")
    if arguments.check:
        text, agrees = check(recipe.name, result, stored)
        print(text)
        if not agrees:
            raise AccuracyGateError(
                f"{recipe.name}: top-1 is not what was recorded, expected it within a point"
            )


def _record_path(path: Path | None) -> Path | None:
    """Where to record, known to be writable before hours of training."""
    from bhar_training.paper.results import load_results

    if path is None:
        return None
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path}: cannot be written, name another file with --record PATH")
    if path.exists():
        load_results(path)
    return path


def _plot(picture: Path, stored: Results) -> None:
    from bhar_training.evaluation.plots import plot_accuracy
    from bhar_training.paper.costs import cost_points

    if not picture.parent.is_dir():
        raise InputError(f"{picture.parent}: no such folder, expected one for {picture.name}")
    points = cost_points(stored)
    if not points:
        raise InputError("--plot: got no recorded figure of the words, expected at least one")
    plot_accuracy(points, picture, "words, train s2, test s1 + s3")
    print(picture)


COMMAND = Command(
    Reproduce,
    run,
    "Train and score one row, or show what is recorded. Finished trainings in --out are not"
    " repeated, interrupted ones go on.",
    GOES_ON,
    exits="with --check, 6 when top-1 differs by more than a point",
)
