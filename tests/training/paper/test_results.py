from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bhar_training.cli import main
from bhar_training.paper.costs import cost_points, gmacs_of
from bhar_training.paper.describe import ROWS, describe
from bhar_training.paper.recipes import RECIPES
from bhar_training.paper.results import (
    RESULTS_FILE,
    Figure,
    Metrics,
    Result,
    Results,
    Scored,
    load_results,
    save_results,
)
from bhar_training.paper.tables import BEGIN, END, check, listing, markdown
from bharsdk.errors import IncompatibleError, InputError

RESULTS_PAGE = Path(__file__).parents[3] / "training" / "RESULTS.md"


def _figure(*top1: float) -> Figure:
    """One fold, a seed for each figure."""
    runs = [Scored("a", seed, 10, Metrics(value, 90.0, 50.0)) for seed, value in enumerate(top1)]
    return Figure.of(tuple(runs))


def _results(row: str, score: str, *top1: float) -> Results:
    return Results({row: Result({score: _figure(*top1)}, seconds=90.0)})


def test_every_committed_figure_is_of_a_recipe() -> None:
    """The file loads, and each row, score and fold in it is there."""
    for name, result in load_results(RESULTS_FILE).rows.items():
        recipe = RECIPES[name]
        assert set(result.figures) == {score.name for score in recipe.scores}
        for figure in result.figures.values():
            folds = {fold.name for fold in recipe.folds}
            assert {run.fold for run in figure.runs} == folds
            assert len(figure.runs) == len(folds) * len(figure.seeds)


def test_the_committed_file_is_as_it_would_be_recorded(tmp_path: Path) -> None:
    """Sorted keys, two spaces: recording one row changes the lines of that row alone."""
    save_results(tmp_path / "again.json", load_results(RESULTS_FILE))
    assert (tmp_path / "again.json").read_text() == RESULTS_FILE.read_text()


def test_the_results_page_shows_the_recorded_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """Between its two markers stands what ``reproduce --table`` prints."""
    assert main(["reproduce", "--table"]) == 0
    text = RESULTS_PAGE.read_text(encoding="utf-8")
    shown = text[text.index(BEGIN) : text.index(END) + len(END)]
    assert shown == capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": {"x": {"figures": {}, "color": 1}}}, "unknown key 'color'"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"rows": {"x": {}}}, "'figures' is missing"),
    ],
)
def test_a_file_with_unknown_or_missing_keys_is_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    """With the key."""
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"format_version": 1, "rows": {}, **change}))
    with pytest.raises(InputError, match=message):
        load_results(path)


def test_a_mean_that_is_not_that_of_its_runs_is_refused(tmp_path: Path) -> None:
    """A figure cannot be improved by hand."""
    save_results(tmp_path / "x.json", _results("words-s2", "PR-GCN", 90.0, 91.0))
    data = json.loads((tmp_path / "x.json").read_text())
    data["rows"]["words-s2"]["figures"]["PR-GCN"]["mean"]["top1"] = 99.0
    (tmp_path / "x.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="expected mean and spread of its runs"):
        load_results(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("text", "error"), [("{", InputError), ("[]", IncompatibleError), ("{}", IncompatibleError)]
)
def test_what_is_no_results_file_is_refused(
    text: str, error: type[Exception], tmp_path: Path
) -> None:
    """Naming the path."""
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(error, match=r"results\.json"):
        load_results(path)


def test_spread_is_over_seeds_each_the_mean_of_its_folds() -> None:
    """Folds differ by their signers, which is no spread of the training."""
    runs = tuple(
        Scored(fold, seed, 10, Metrics(top1, 90.0))
        for seed, fold, top1 in ((0, "a", 80), (0, "b", 100), (1, "a", 82), (1, "b", 100))
    )
    figure = Figure.of(runs)
    assert figure.mean.top1 == 90.5
    assert figure.spread is not None
    assert (figure.spread.min, figure.spread.max, figure.spread.std) == (90, 91, 0.71)
    assert figure.with_seeds((1,)).mean.top1 == 91
    assert figure.with_seeds((1,)).spread is None


def test_targets_are_judged() -> None:
    """Absolute ones, and those that lie so many points below another row."""
    strong = _results("words-s2", "PR-GCN", 93.0)
    assert "top-1 92: reached; signs 97: not reached; no sign 80: not" in markdown(strong)
    for top1, verdict in ((96.0, "reached"), (96.01, "not reached")):
        both = strong.merged(_results("words-s2-bharnet", "BHaRNet-E, joint + bone", top1))
        assert f"top-1 at most 3 below `words-s2-bharnet`: {verdict} |" in markdown(both)
    assert "top-1 at most 3 below `words-s2-bharnet` |" in markdown(strong)


def test_the_table_shows_seeds_spread_and_time() -> None:
    """One line a score; rows that were not run are left out of it, and are in the list."""
    results = _results("utd-mhad", "joint + bone", 98.0, 99.0, 97.0)
    (line,) = (line for line in markdown(results).splitlines() if line.startswith("| `"))
    assert "| 98.00 ± 1.00 | 90.00 | 50.00 | - |" in line
    assert line.endswith("| 83.0 / 97.4 | seeds 0, 1, 2; 2 min each |")
    listed = listing(results)
    assert all(name in listed for name in RECIPES)


def test_check_compares_the_seeds_that_both_have() -> None:
    """A stored mean of three seeds is no measure of one."""
    stored = _results("words-s2", "PR-GCN", 90.0, 96.0)
    got = _results("words-s2", "PR-GCN", 90.9).rows["words-s2"]
    text, agrees = check("words-s2", got, stored)
    assert agrees
    assert "got  90.90 stored  90.00  within a point" in text
    one = replace(got, figures={"PR-GCN": _figure(91.1)})
    assert not check("words-s2", one, stored)[1]
    assert not check("words-s2", replace(got, figures={"new": _figure(90.0)}), stored)[1]


def test_the_cost_of_a_score_is_what_describe_counts() -> None:
    """True multiply-adds on its own input; an ensemble costs the sum of its members."""
    shipped = {row.name: row for row in ROWS}
    recipe = RECIPES["words-s2-taught"]
    for score, described in (
        ("PR-GCN", "PR-GCN as shipped"),
        ("BHaRNet-E", "E expert-only as shipped"),
    ):
        cost = describe(shipped[described]).gmacs_true
        assert gmacs_of(recipe, recipe.score(score)) == pytest.approx(cost, rel=1e-6)
    two, four = RECIPES["nw-ucla"], RECIPES["nw-ucla-four"]
    double = 2 * gmacs_of(two, two.scores[0])
    assert gmacs_of(four, four.scores[0]) == pytest.approx(double)


def test_the_picture_has_a_point_for_each_recorded_model_of_the_words() -> None:
    """With the range of the seeds."""
    results = _results("words-s2", "PR-GCN", 90.0, 92.0).merged(_results("letters", "x", 80.0))
    (point,) = cost_points(results)
    assert (point.label, point.top1, point.low, point.high) == ("PR-GCN", 91.0, 90.0, 92.0)


def test_the_command_draws_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--list`` with every row, ``--plot`` as PNG."""
    assert main(["reproduce", "--list", "--plot", str(tmp_path / "x.png")]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in RECIPES)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert main(["reproduce", "--plot", str(tmp_path / "none" / "x.png")]) == 3
