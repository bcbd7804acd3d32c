"""Read and write ``results.json``: the figures of the results table and where they come from.

The file is an object with ``format_version`` and ``rows``. ``rows`` has a :class:`Result` for each
row that was run. Keys are sorted, so a changed figure is a changed line. Percentages have two
digits after the point. :mod:`bharsdk.files.codec` reads it: unknown keys are refused, and so are
means that do not fit their runs.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from bhar_training.paper.machine import Machine
from bharsdk.errors import InputError
from bharsdk.files.codec import check_version, from_json_dict, to_json_dict
from bharsdk.files.untrusted import read_json
from bharsdk.files.writing import write_text

__all__ = [
    "RESULTS_FILE",
    "Figure",
    "Metrics",
    "Result",
    "Results",
    "Scored",
    "Spread",
    "load_results",
    "save_results",
]

FORMAT_VERSION = 1
RESULTS_FILE = Path(__file__).resolve().parent / "results.json"
"""Resolved, so that an editable install, which is links, records into the sources."""


@dataclass(frozen=True)
class Metrics:
    """Percent. background_recall: None where the test side has no background clips."""

    top1: float
    macro_recall_signs: float
    background_recall: float | None = None
    calibration_error: float | None = None


@dataclass(frozen=True)
class Scored:
    """One seed on the ``clips`` test clips of one fold."""

    fold: str
    seed: int
    clips: int
    metrics: Metrics


@dataclass(frozen=True)
class Spread:
    """The spread of top-1 over the seeds, each the mean of its folds. std: of a sample (n - 1)."""

    std: float
    min: float
    max: float


@dataclass(frozen=True)
class Figure:
    """One score of a row.

    mean: over folds and seeds. spread: None with a single seed. Raises InputError when mean or
    spread do not fit the runs.
    """

    runs: tuple[Scored, ...]
    mean: Metrics
    spread: Spread | None = None

    @classmethod
    def of(cls, runs: tuple[Scored, ...]) -> Figure:
        """Return the mean and spread of ``runs``."""
        return cls(runs, _mean(runs), _spread(runs))

    def __post_init__(self) -> None:
        pairs = [(run.fold, run.seed) for run in self.runs]
        if not pairs or len(set(pairs)) != len(pairs):
            raise InputError(f"figure: got runs {pairs}, expected one for each fold and seed")
        got, expected = (self.mean, self.spread), (_mean(self.runs), _spread(self.runs))
        if got != expected:
            raise InputError(f"figure: got {got}, expected mean and spread of its runs: {expected}")

    def with_seeds(self, seeds: tuple[int, ...]) -> Figure:
        """Return the figure of these seeds alone."""
        return Figure.of(tuple(run for run in self.runs if run.seed in seeds))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds that were trained, sorted."""
        return _seeds(self.runs)


@dataclass(frozen=True)
class Result:
    """A row that was run.

    figures: by the name of the score. seconds: of training one seed, all members and folds; None
    when not known. git_revisions: of the sources that trained.
    """

    figures: dict[str, Figure]
    seconds: float | None = None
    machines: tuple[Machine, ...] = ()
    git_revisions: tuple[str, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds of its first figure."""
        return next(iter(self.figures.values())).seeds


@dataclass(frozen=True)
class Results:
    """The whole file: results by the name of their row."""

    rows: dict[str, Result] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def merged(self, other: Results) -> Results:
        """Return this with the rows of ``other`` in place of rows with the same name."""
        return replace(self, rows={**self.rows, **other.rows})

    def figure(self, row: str, score: str) -> Figure | None:
        """Return that figure; None when there is none yet."""
        return self.rows[row].figures.get(score) if row in self.rows else None


def load_results(path: Path) -> Results:
    """Read ``path``. Raises InputError naming it, IncompatibleError on another version."""
    try:
        data = read_json(path)
    except InputError as error:
        raise InputError(f"{path}: not readable results ({error})") from error
    check_version(data, FORMAT_VERSION, str(path), "use the bharsdk that wrote it")
    return from_json_dict(Results, data, path.name)


def save_results(path: Path, results: Results) -> None:
    """Write ``path`` atomically, with sorted keys. Raises InputError."""
    text = json.dumps(to_json_dict(results), indent=2, sort_keys=True, ensure_ascii=False)
    write_text(path, text + "\n")


def _seeds(runs: tuple[Scored, ...]) -> tuple[int, ...]:
    return tuple(sorted({run.seed for run in runs}))


def _mean(runs: tuple[Scored, ...]) -> Metrics:
    """Of every metric, over the runs that have it."""
    means = dict[str, Any]()
    for metric in fields(Metrics):
        values = [getattr(run.metrics, metric.name) for run in runs]
        known = [value for value in values if value is not None]
        means[metric.name] = _percent(statistics.fmean(known)) if known else None
    return Metrics(**means)


def _spread(runs: tuple[Scored, ...]) -> Spread | None:
    top1 = [_mean(tuple(run for run in runs if run.seed == seed)).top1 for seed in _seeds(runs)]
    if len(top1) < 2:
        return None
    return Spread(_percent(statistics.stdev(top1)), min(top1), max(top1))


def _percent(value: float) -> float:
    return round(value, 2)
