"""Time the kernels against their best peers: ``make bench``, or ``python cpp_ops/bench --help``.

Prints a table; writes ``bench.json`` and ``bench.png``, with ``--growth`` ``growth.json`` and
``growth.png``, and with ``--roofline`` ``roofline.json`` and ``roofline.png``, into ``--out``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

# Read when the libraries below load: one thread, which sleeps while it waits.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

from growth import draw_growth, growth, shares, write_growth
from kernels import kernel_rows
from machine import MachineError
from measure import LEAST_ROUNDS, Row, measure
from models import BHARNET, JOINED, model_rows
from report import draw, table, write_json
from roofline import roofline
from roofline_report import draw_roofline, roofline_table, write_roofline

from bharsdk.kernels import ops


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
    rows_help = "only rows whose name has one of these in it: step,prgcn-clip"
    parser.add_argument("--rows", default="", metavar="PART,PART", help=rows_help)
    parser.add_argument("--rounds", type=int, default=100, help="default: 100")
    grows = "also time a step as the window grows to 1,024 frames; writes growth.json, growth.png"
    parser.add_argument("--growth", action="store_true", help=grows)
    roofs = "also how near the kernels come to what this machine can do; writes roofline.json, .png"
    parser.add_argument("--roofline", action="store_true", help=roofs)
    arguments = parser.parse_args()
    if arguments.rounds < LEAST_ROUNDS:
        parser.error(f"--rounds: got {arguments.rounds}, expected at least {LEAST_ROUNDS}")
    parts = arguments.rows.split(",")
    rows = [row for row in kernel_rows() if any(part in row.name for part in parts)]
    if arguments.roofline:
        if not rows:
            parser.error(f"--roofline: got no kernel in --rows {arguments.rows!r}, expected one")
        try:
            _roofline(rows, arguments.rounds, arguments.out)
        except MachineError as error:
            parser.error(f"--roofline: {error}")
    rows += model_rows(parts)
    if not rows:
        parser.error(f"--rows: got {arguments.rows!r}, expected part of the name of a row")
    timed = measure(rows, arguments.rounds)
    print(f"one thread, {ops.active_isa()}, medians of {arguments.rounds} rounds in turns")
    print(table(timed))
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_json(timed, arguments.out / "bench.json")
    draw(timed, arguments.out / "bench.png")
    if arguments.growth:
        _growth(arguments.out)
    print(f"written: {arguments.out / 'bench.json'}, {arguments.out / 'bench.png'}")


def _growth(out: Path) -> None:
    """Measure, print, write: what one more frame costs."""
    for case in (BHARNET, JOINED):
        parts = ", ".join(f"{kind} {100 * part:.0f} %" for kind, part in shares(case).items())
        print(f"one step of {case.name}: {parts}")
    found = growth()
    write_growth(found, out / "growth.json")
    draw_growth(found, out / "growth.png")
    for each in found:
        print(
            f"{each.model}, window of {each.window}: {each.step_ms:.3f} ms a new frame,"
            f" {each.clip_ms:.1f} ms the clip anew"
        )


def _roofline(rows: Sequence[Row], rounds: int, out: Path) -> None:
    """Measure, print, write: the kernels under the roofs of this machine."""
    roofs, points = roofline(rows, rounds)
    print(roofline_table(roofs, points))
    out.mkdir(parents=True, exist_ok=True)
    write_roofline(roofs, points, out / "roofline.json")
    draw_roofline(roofs, points, out / "roofline.png")


if __name__ == "__main__":
    main()
