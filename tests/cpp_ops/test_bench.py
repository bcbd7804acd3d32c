"""The benchmark: every row compares the same work, and what it writes can be read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "cpp_ops/bench"


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.long
def test_every_row_is_measured_against_peers_that_compute_the_same(tmp_path: Path) -> None:
    """Results are compared before anything is timed; the rows are written with their ratios."""
    rows = "aggregate,tanh,conv,prgcn-clip"
    done = _bench("--rounds", "50", "--rows", rows, "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "bench.json").read_text())
    names = {row["row"] for row in rows}
    kernels = {"graph-aggregate", "graph-aggregate-channels", "graph-aggregate-int8"}
    kernels |= {"refined-aggregate", "pairwise-tanh", "temporal-conv"}
    assert kernels | {"prgcn-clip-f32"} <= names
    for row in rows:
        assert row["ratio"] == pytest.approx(row["peer_ms"] / row["ours_ms"], rel=0.01)
        assert row["work"] in done.stdout
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("*.part"))


def test_a_row_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    """Nothing is measured, nothing is written."""
    done = _bench("--rows", "gemm", "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "--rows: got 'gemm', expected part of the name of a row" in done.stderr
    assert not (tmp_path / "out").exists()
