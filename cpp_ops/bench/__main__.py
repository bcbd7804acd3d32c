"""Time the kernels against their best peers: ``make bench``, or ``python cpp_ops/bench --help``.

Prints a table; writes ``bench.json`` and ``bench.png`` into ``--out``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

# Read when the libraries below load: one thread, which sleeps while it waits.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

from kernels import kernel_rows
from measure import LEAST_ROUNDS, measure
from models import model_rows
from report import draw, table, write_json

from bharsdk import ops


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
    parser.add_argument("--rows", default="", help="only rows whose name has this in it")
    parser.add_argument("--rounds", type=int, default=100, help="default: 100")
    arguments = parser.parse_args()
    if arguments.rounds < LEAST_ROUNDS:
        parser.error(f"--rounds: got {arguments.rounds}, expected at least {LEAST_ROUNDS}")
    rows = [row for row in kernel_rows() if arguments.rows in row.name]
    rows += model_rows(arguments.rows)
    if not rows:
        parser.error(f"--rows: got {arguments.rows!r}, expected part of the name of a row")
    timed = measure(rows, arguments.rounds)
    print(f"one thread, {ops.active_isa()}, medians of {arguments.rounds} rounds in turns")
    print(table(timed))
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_json(timed, arguments.out / "bench.json")
    draw(timed, arguments.out / "bench.png")
    print(f"written: {arguments.out / 'bench.json'}, {arguments.out / 'bench.png'}")


if __name__ == "__main__":
    main()
