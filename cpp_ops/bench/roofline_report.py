"""The roofline as a table, as JSON and as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from roofline import Point, Roofs

from bhar_training.evaluation.plots import save_figure
from bharsdk.files.writing import write_text

__all__ = ["draw_roofline", "roofline_table", "write_roofline"]


def roofline_table(roofs: Roofs, points: Sequence[Point]) -> str:
    """The roofs, then a line for each row."""
    peaks = [f"{kind.value} {rate / 1e9:.1f} GMAC/s" for kind, rate in roofs.multiply_adds.items()]
    peaks.append(f"divisions {roofs.divisions / 1e9:.2f} G/s")
    peaks += [f"{level.name} {rate / 1e9:.0f} GB/s" for level, rate in roofs.bandwidths]
    peaks += [f"{name} sgemm {rate / 1e9:.1f} GMAC/s" for name, rate in roofs.products.items()]
    wide = max(len(each.work) for each in points)
    lines = [
        f"one thread, {roofs.isa}: {', '.join(peaks)}",
        f"{'row':26}{'work':{wide}}{'MAC/byte':>10}{'roof':>8}  {'by':9}{'ours':>8}{'%':>5}",
    ]
    lines += [
        f"{each.row:26}{each.work:{wide}}{each.intensity:10.2f}{each.roof_gmacs_per_second:8.1f}"
        f"  {each.bound_by:9}{each.gmacs_per_second:8.1f}{each.percent_of_roof:5.0f}"
        for each in points
    ]
    return "\n".join(lines)


def write_roofline(roofs: Roofs, points: Sequence[Point], path: Path) -> None:
    """``{isa, gmacs_per_second, gigadivisions_per_second, gigabytes_per_second, sgemm, rows}``.

    gmacs_per_second: by kind of arithmetic; sgemm: that of libraries; rows: the fields of
    :class:`Point`, ``multiply_adds_per_byte`` and ``percent_of_roof``. Written atomically.
    """
    found = {
        "isa": roofs.isa,
        "gmacs_per_second": {
            kind.value: round(rate / 1e9, 2) for kind, rate in roofs.multiply_adds.items()
        },
        "gigadivisions_per_second": round(roofs.divisions / 1e9, 3),
        "gigabytes_per_second": {
            level.name: round(rate / 1e9, 1) for level, rate in roofs.bandwidths
        },
        "sgemm": {name: round(rate / 1e9, 2) for name, rate in roofs.products.items()},
        "rows": [
            {
                "row": each.row,
                "work": each.work,
                "multiply_adds": each.multiply_adds,
                "bytes": each.bytes,
                "multiply_adds_per_byte": round(each.intensity, 3),
                "arithmetic": each.arithmetic,
                "bound_by": each.bound_by,
                "roof_gmacs_per_second": round(each.roof_gmacs_per_second, 2),
                "gmacs_per_second": round(each.gmacs_per_second, 2),
                "percent_of_roof": round(each.percent_of_roof, 1),
            }
            for each in points
        ],
    }
    write_text(path, json.dumps(found, indent=2) + "\n")


def draw_roofline(roofs: Roofs, points: Sequence[Point], path: Path) -> None:
    """GMAC/s over multiply-adds for a byte, both on logarithmic axes, under the roofs.

    A line leads from each point to the roof of its row: lower than those that are drawn where
    divisions hold it down.
    """
    figure = Figure(figsize=(11, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _draw_roofs(axes, roofs, points)
    kinds = list(dict.fromkeys(each.row for each in points))
    for number, each in enumerate(points, 1):
        color = f"C{kinds.index(each.row)}"
        top = each.roof_gmacs_per_second
        axes.plot([each.intensity] * 2, [each.gmacs_per_second, top], color=color, linewidth=0.6)
        label = f"{number}  {each.row}: {each.work}, {each.percent_of_roof:.0f} %"
        axes.plot(each.intensity, each.gmacs_per_second, ".", color=color, label=label)
        axes.annotate(
            str(number),
            (each.intensity, each.gmacs_per_second),
            xytext=(4, -3),
            textcoords="offset points",
            size=7,
        )
    axes.set(xscale="log", yscale="log", ylabel=f"GMAC/s, one thread, {roofs.isa}")
    axes.set_xlabel("multiply-adds for a byte of inputs and result")
    axes.grid(alpha=0.3, which="both", linewidth=0.4)
    figure.legend(loc="outside right upper", fontsize=7, handletextpad=0)
    save_figure(figure, path)


def _draw_roofs(axes: Axes, roofs: Roofs, points: Sequence[Point]) -> None:
    """A level for each kind of arithmetic, and a slope for each level of memory up to the top."""
    right = 2 * max(each.intensity for each in points)
    top = max(roofs.multiply_adds.values())
    left = min(0.5, *(each.intensity / 2 for each in points))
    for kind, peak in roofs.multiply_adds.items():
        axes.axhline(peak / 1e9, color="black", linewidth=1)
        axes.text(
            right, peak / 1e9, f"{kind.value} {peak / 1e9:.0f}", size=8, ha="right", va="bottom"
        )
    for level, bandwidth in roofs.bandwidths:
        intensities = np.geomspace(left, max(top / bandwidth, 2 * left), 2)
        axes.plot(intensities, intensities * bandwidth / 1e9, "--", color="gray", linewidth=0.8)
        name = f"{level.name} {bandwidth / 1e9:.0f} GB/s"
        axes.text(left, 1.15 * left * bandwidth / 1e9, name, size=8, va="bottom", color="gray")
    axes.set_xlim(left / 1.1, right * 1.1)
