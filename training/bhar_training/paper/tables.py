"""Print the results table: on a terminal, for the documents, and beside stored figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from bhar_training.paper.experiment import Metric, Recipe, Target
from bhar_training.paper.machine import Machine
from bhar_training.paper.recipes import RECIPES
from bhar_training.paper.results import Figure, Metrics, Result, Results
from bharsdk.errors import InputError

__all__ = ["BEGIN", "END", "check", "listing", "markdown", "summary"]

BEGIN = "<!-- results: bhar-train reproduce --table -->"
END = "<!-- end of results -->"
TOLERANCE = 1.0
"""Points of top-1 by which a repeated row may differ: kernels of other machines round otherwise."""
NAMES = {
    Metric.TOP1: "top-1",
    Metric.MACRO_RECALL: "signs",
    Metric.BACKGROUND_RECALL: "no sign",
}


def listing(results: Results) -> str:
    """Return every row and score with its targets and its stored figure."""
    narrow = 2 + max(len(name) for name in RECIPES)
    wide = 1 + max(len(score.name) for recipe in RECIPES.values() for score in recipe.scores)
    header = f"{'row':{narrow}}{'score':{wide}}{'top-1':>14}{'signs':>8}{'no sign':>9}  to reach"
    lines = [header]
    for recipe in RECIPES.values():
        for score in recipe.scores:
            figure = results.figure(recipe.name, score.name)
            metrics = figure.mean if figure else None
            cells = [
                _cell(metrics, metric.value)
                for metric in (Metric.MACRO_RECALL, Metric.BACKGROUND_RECALL)
            ]
            asked = "; ".join(_asked(target, recipe, figure, results) for target in score.targets)
            numbers = f"{_top1(figure):>14}{cells[0]:>8}{cells[1]:>9}"
            line = f"{recipe.name:{narrow}}{score.name:{wide}}{numbers}  {asked}"
            lines.append(line.rstrip())
    return "\n".join(lines)


def markdown(results: Results) -> str:
    """The table of RESULTS.md between its markers: the rows that have been run."""
    machines: list[Machine] = []
    lines = [
        *(BEGIN, "| row | what | top-1 | signs | no sign | ECE | to reach | plain | run |"),
        "|---" * 9 + "|",
    ]
    for recipe in RECIPES.values():
        if recipe.name in results.rows:
            lines += _markdown_rows(recipe, results, machines)
    lines += ["", *(f"[{i}] {_machine(machine)}  " for i, machine in enumerate(machines, 1)), END]
    return "\n".join(line.rstrip() for line in lines)


def _markdown_rows(recipe: Recipe, results: Results, machines: list[Machine]) -> Iterator[str]:
    result = results.rows[recipe.name]
    machines += [machine for machine in result.machines if machine not in machines]
    for score in recipe.scores:
        figure = results.figure(recipe.name, score.name)
        if figure is None:
            continue
        others = [_cell(figure.mean, field.name) for field in fields(Metrics)[1:]]
        asked = "; ".join(_asked(target, recipe, figure, results) for target in score.targets)
        plain = "; ".join(target.plain for target in score.targets if target.plain)
        what = f"{recipe.title}: {score.name}"
        cells = [f"`{recipe.name}`", what, _top1(figure), *others, asked, plain]
        yield f"| {' | '.join([*cells, _origin(result, machines)])} |"


def summary(recipe: Recipe, results: Results) -> str:
    """Return what one row gave: every fold and seed, their mean, and the targets."""
    head = f"{'top-1':>14}{'signs':>8}{'no sign':>9}{'ECE':>8}"
    lines = [f"{recipe.title:46}{head}"]
    for score in recipe.scores:
        figure = results.figure(recipe.name, score.name)
        if figure is None:
            continue
        for run in figure.runs if len(figure.runs) > 1 else ():
            where = f"  {run.fold}, seed {run.seed}, {run.clips} clips"
            lines.append(f"{where:46}{_cell(run.metrics, 'top1'):>14}{_rest(run.metrics)}")
        lines.append(f"{score.name:46}{_top1(figure):>14}{_rest(figure.mean)}")
        lines += [f"  {_asked(target, recipe, figure, results)}" for target in score.targets]
    return "\n".join([*lines, _origin(results.rows[recipe.name], [])])


def _rest(metrics: Metrics) -> str:
    """Everything beside top-1."""
    widths = zip((8, 9, 8), fields(Metrics)[1:], strict=True)
    return "".join(f"{_cell(metrics, field.name):>{width}}" for width, field in widths)


def check(name: str, got: Result, stored: Results) -> tuple[str, bool]:
    """Compare new figures with stored ones over the seeds of both: is top-1 within a point.

    Raises InputError when there is nothing to compare with.
    """
    if name not in stored.rows:
        raise InputError(f"results: got no stored figure of {name}, expected one to check against")
    lines, agrees = [], True
    for score, mine in got.figures.items():
        theirs = stored.figure(name, score)
        if theirs is None:
            lines.append(f"{score:24} nothing stored")
            agrees = False
            continue
        common = tuple(seed for seed in mine.seeds if seed in theirs.seeds)
        if common:
            mine, theirs = mine.with_seeds(common), theirs.with_seeds(common)
        near = abs(mine.mean.top1 - theirs.mean.top1) <= TOLERANCE
        agrees = agrees and near
        verdict = "within a point" if near else "DIFFERS by more than a point"
        for field in fields(Metrics):
            pair = _cell(mine.mean, field.name), _cell(theirs.mean, field.name)
            said = verdict if field.name == Metric.TOP1.value else ""
            lines.append(f"{score:24}{field.name:20} got {pair[0]:>6} stored {pair[1]:>6}  {said}")
    return "\n".join(line.rstrip() for line in lines), agrees


def _asked(target: Target, recipe: Recipe, figure: Figure | None, results: Results) -> str:
    """``top-1 92: reached``; without a figure, what is asked alone."""
    name, least = NAMES[target.metric], target.reach
    text = f"{name} {target.reach:g}"
    if target.than is not None:
        other = results.figure(*target.than)
        row, score = target.than
        whose = score if row == recipe.name else f"`{row}`"
        text = f"{name} at most {-target.reach:g} below {whose}"
        if other is None:
            return text
        least = (getattr(other.mean, target.metric.value) or 0.0) + target.reach
    if figure is None:
        return text
    value = getattr(figure.mean, target.metric.value)
    reached = value is not None and round(value, 2) >= round(least, 2)
    return f"{text}: {'reached' if reached else 'not reached'}"


def _cell(metrics: Metrics | None, name: str) -> str:
    value = None if metrics is None else getattr(metrics, name)
    return "-" if value is None else f"{value:.2f}"


def _top1(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    spread = f" ± {figure.spread.std:.2f}" if figure.spread else ""
    return f"{figure.mean.top1:.2f}{spread}"


def _origin(result: Result, machines: list[Machine]) -> str:
    """Seeds, time and machines: ``seeds 0, 1, 2; 8 min each [1]``."""
    seeds = ", ".join(str(seed) for seed in result.seeds)
    text = f"seed {seeds}" if len(result.seeds) == 1 else f"seeds {seeds}"
    if result.seconds is not None:
        each = " each" if len(result.seeds) > 1 else ""
        text += f"; {_duration(result.seconds)}{each}"
    known = [machine for machine in result.machines if machine in machines]
    return text + "".join(f" [{machines.index(machine) + 1}]" for machine in known)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _machine(machine: Machine) -> str:
    parts = [machine.processor]
    if machine.threads is not None:
        parts.append(f"{machine.threads} thread{'s' if machine.threads > 1 else ''}")
    if machine.accelerator:
        parts.append(machine.accelerator)
    if machine.torch is not None:
        parts.append(f"torch {machine.torch}")
    return ", ".join(parts)
