"""What was measured, as a table, as JSON and as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from measure import Timed

from bhar_training.evaluation.plots import save_figure
from bharsdk.files.writing import write_text

__all__ = ["draw", "table", "write_json"]


def table(timed: Sequence[Timed]) -> str:
    """A line for each row."""
    wide = max(len(each.row.work) for each in timed)
    peer = max(12, *(len(each.peer) for each in timed))
    lines = [
        f"{'row':26}{'work':{wide}}{'ours, ms':>10}{'GMAC/s':>8}  {'fastest peer':{peer}}{'ms':>9}"
        f"{'ratio':>7}"
    ]
    lines += [
        f"{each.row.name:26}{each.row.work:{wide}}{each.ours_ms:10.3f}"
        f"{each.gmacs_per_second:8.1f}  {each.peer:{peer}}{each.peer_ms:9.3f}{each.ratio:7.2f}"
        for each in timed
    ]
    return "\n".join(lines)


def write_json(timed: Sequence[Timed], path: Path) -> None:
    """A list of ``{row, work, ours_ms, gmacs_per_second, peer, peer_ms, ratio, peers_ms}``.

    peer: the fastest of ``peers_ms``. Written atomically.
    """
    rows = [
        {
            "row": each.row.name,
            "work": each.row.work,
            "ours_ms": round(each.ours_ms, 5),
            "gmacs_per_second": round(each.gmacs_per_second, 2),
            "peer": each.peer,
            "peer_ms": round(each.peer_ms, 5),
            "ratio": round(each.ratio, 3),
            "peers_ms": {name: round(ms, 5) for name, ms in each.peers_ms.items()},
        }
        for each in timed
    ]
    write_text(path, json.dumps(rows, indent=2) + "\n")


def draw(timed: Sequence[Timed], path: Path) -> None:
    """A bar for each row: how many times as fast as the fastest peer."""
    figure = Figure(figsize=(9, 1 + 0.28 * len(timed)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    names = [f"{each.row.name}: {each.row.work}" for each in timed][::-1]
    ratios = [each.ratio for each in timed][::-1]
    bars = axes.barh(names, ratios, color=["C0" if ratio >= 1 else "C3" for ratio in ratios])
    axes.bar_label(bars, fmt="%.2f", padding=3, size=8)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("times as fast as the fastest peer, one thread")
    axes.tick_params(axis="y", labelsize=8)
    axes.margins(x=0.1, y=0.01)
    save_figure(figure, path)
