"""``bhar-train reproduce``: a row of the results table, from raw data to its figures."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bhar_training.cli.options import EXIT_CODES
from bharsdk.cli.numbers import natural, threads
from bharsdk.errors import AccuracyGateError, InputError, UsageError
from bharsdk.files.outputs import declare_files

if TYPE_CHECKING:
    from bhar_training.cli.options import Commands
    from bhar_training.paper.results import Results

__all__ = ["add", "run"]

RESULTS = Path(__file__).resolve().parents[1] / "paper" / "results.json"
"""``RESULTS_FILE``; here, so that ``--help`` need not import torch. (held by a test)"""


def add(commands: Commands) -> None:
    """Declare its options."""
    parser = commands.add_parser(
        "reproduce",
        help="run a row of the results table, from raw data to its figures",
        description="Train and score one row, or show what is recorded. Finished trainings in --out"
        " are not repeated, interrupted ones go on.",
        epilog=f"{EXIT_CODES}; with --check, 6 when top-1 differs by more than a point",
    )
    parser.set_defaults(
        run=run, when_interrupted="interrupted; the same command goes on where it stopped"
    )
    parser.add_argument("row", nargs="?", metavar="ROW", help="a row's name, see --list")
    parser.add_argument(
        "--data-root", type=Path, default=Path("data"), metavar="DIR", help="of all data (data)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs"), metavar="DIR", help="of all trainings (runs)"
    )
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=natural, default=0, metavar="N", help="(0)")
    seeds.add_argument(
        "--seeds", type=_seeds, metavar="N,N", help="several: their mean and how far they spread"
    )
    parser.add_argument("--threads", type=threads, metavar="N", help="default: all cores")
    parser.add_argument(
        "--check", action="store_true", help="compare with the recorded figures of the row"
    )
    parser.add_argument(
        "--record",
        type=Path,
        nargs="?",
        const=RESULTS,
        metavar="PATH",
        help="put the figures of the row into the results file, or into this one",
    )
    parser.add_argument("--list", action="store_true", help="the rows, targets, recorded figures")
    parser.add_argument("--table", action="store_true", help="recorded figures as Markdown")
    parser.add_argument(
        "--plot", type=Path, metavar="PNG", help="draw accuracy against multiply-adds, words"
    )
    declare_files(parser, reads=("data_root",), writes=("out", "record", "plot"))


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
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


def _run_row(arguments: argparse.Namespace, stored: Results) -> None:
    import torch

    from bhar_training.paper.recipes import recipe_named
    from bhar_training.paper.reproduce import reproduce
    from bhar_training.paper.results import Results, load_results, save_results
    from bhar_training.paper.tables import check, summary

    recipe = recipe_named(arguments.row)
    if arguments.check and recipe.name not in stored.rows:
        raise InputError(f"--check: got {recipe.name}, expected a row that is recorded: see --list")
    record = _record_path(arguments.record)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    seeds = arguments.seeds or (arguments.seed,)
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


def _seeds(text: str) -> tuple[int, ...]:
    try:
        found = tuple(natural(part) for part in text.split(","))
    except argparse.ArgumentTypeError:
        found = ()
    if not found or len(set(found)) != len(found):
        raise argparse.ArgumentTypeError(
            f"got {text[:40]!r}, expected different whole numbers, separated by commas"
        )
    return found
