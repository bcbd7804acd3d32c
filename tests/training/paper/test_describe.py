from __future__ import annotations

import json

import pytest

from bhar_training.cli import main
from bhar_training.models import ModelName
from bhar_training.paper.describe import ROWS, Description, Row, describe

COUNTED = [row for row in ROWS if row.reference is not None]


@pytest.fixture(scope="module")
def found() -> dict[str, Description]:
    return {row.name: describe(row) for row in ROWS}


@pytest.mark.parametrize("row", COUNTED, ids=lambda row: row.name)
def test_a_row_has_the_size_and_cost_of_the_paper(row: Row, found: dict[str, Description]) -> None:
    """Parameters within 1 %, multiply-adds within 3 %, counted as the paper's tool counts."""
    item = found[row.name]
    cost = {"thop": item.gmacs_thop, "ptflops": item.gmacs_ptflops}[row.counter]
    assert item.params_m == pytest.approx(row.reference[0], rel=0.01)
    assert cost == pytest.approx(row.reference[1], rel=0.03)


@pytest.mark.parametrize("row", [r for r in ROWS if r.counter == "thop" and r.paper])
def test_bharnet_rows_meet_the_printed_figures_too(row: Row, found: dict[str, Description]) -> None:
    """The paper prints two digits more than PR-GCN's, so its own figures can be held."""
    item = found[row.name]
    assert item.params_m == pytest.approx(item.paper_params_m, rel=0.01)
    assert item.gmacs_thop == pytest.approx(item.paper_gmacs, rel=0.03)


def test_conventions_differ_as_documented(found: dict[str, Description]) -> None:
    """thop sees no einsum; fvcore and the true count do; bare parameters are parameters."""
    item = found["one expert (DeGCN)"]
    assert item.gmacs_thop < item.gmacs_true < item.gmacs_fvcore
    assert item.params_m < item.params_true_m
    # 3 partitions of 25 x 25 in ten blocks, alpha in nine, 8 offsets in ten.
    assert item.params_true_m - item.params_m == pytest.approx((18750 + 9 + 80) / 1e6, abs=1e-9)


def test_the_command_prints_a_table_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One model's rows; the same figures both ways."""
    assert main(["describe", "st-gcn"]) == 0
    printed = capsys.readouterr().out
    assert main(["describe", "st-gcn", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    keys = {"row", "params_m", "gmacs_thop", "gmacs_ptflops", "gmacs_fvcore", "gmacs_true"}
    assert keys | {"paper_params_m", "paper_gmacs"} <= set(row)
    assert f"{row['params_m']:.3f}" in printed
    assert row["params_m"] == pytest.approx(3.08, abs=0.05)


def test_an_unknown_model_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the names there are."""
    assert main(["describe", "resnet"]) == 2
    error = capsys.readouterr().err
    assert "'resnet'" in error
    assert "pr-gcn" in error


def test_every_model_has_a_row() -> None:
    """One table names the models."""
    assert {name.value for name in ModelName} <= {row.model for row in ROWS}
