"""Draw pictures of a run: learning curves and confusion matrix."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from matplotlib.transforms import Bbox

from bhar_training.evaluation.metrics import Report
from bharsdk.files.writing import write_atomically

__all__ = [
    "CostPoint",
    "plot_accuracy",
    "plot_confusion",
    "plot_curves",
    "plot_recalls",
    "save_figure",
]


def plot_curves(table: Path, picture: Path) -> None:
    """Draw loss and accuracies of ``curves.csv`` over the epochs."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) for row in rows]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [float(row["loss"]) for row in rows], marker=".")
    left.set(xlabel="epoch", ylabel="loss (augmented clips)")
    for column, name in (("train_top1", "training, augmented"), ("validation_top1", "validation")):
        right.plot(epochs, [100 * float(row[column]) for row in rows], marker=".", label=name)
    right.set(xlabel="epoch", ylabel="top-1, %", ylim=(0, 101))
    right.legend(loc="lower right")
    save_figure(figure, picture)


def plot_confusion(report: Report, picture: Path, title: str) -> None:
    """Draw the confusion matrix, rows normalized to recall, counts in the cells."""
    counts = report.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.42 * len(report.labels)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(report.labels))
    axes.set_xticks(ticks, report.labels, rotation=90)
    axes.set_yticks(ticks, report.labels)
    axes.set(xlabel="recognized as", ylabel="truth", title=title)
    for row, column in zip(*np.nonzero(counts), strict=True):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, counts[row, column], ha="center", va="center", color=color, size=7)
    save_figure(figure, picture)


def plot_recalls(report: Report, picture: Path, title: str) -> None:
    """Draw a bar for the recall of every label that occurs, best first, with its clips."""
    counts = dict(zip(report.labels, report.confusion.sum(axis=1), strict=True))
    found = [(recall, label) for label, recall in report.recalls.items() if counts[label]]
    found.sort(key=lambda item: -item[0])
    figure = Figure(figsize=(6, 1.2 + 0.24 * len(found)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh([label for _, label in found], [100 * recall for recall, _ in found])
    axes.bar_label(bars, [f"{100 * r:.0f} % of {counts[name]}" for r, name in found], padding=3)
    axes.invert_yaxis()
    axes.set(xlabel="recall, %", xlim=(0, 125), xticks=range(0, 101, 20), title=title)
    save_figure(figure, picture)


@dataclass(frozen=True)
class CostPoint:
    """A model or an ensemble: multiply-adds in 10^9, top-1 in percent, its range over seeds."""

    label: str
    gmacs: float
    top1: float
    low: float
    high: float


def plot_accuracy(points: Sequence[CostPoint], picture: Path, title: str) -> None:
    """Draw accuracy against multiply-adds: a labeled marker a point, a bar for its range."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xscale="log", title=title)
    axes.set(xlabel="multiply-adds of one clip, 10⁹", ylabel="top-1, %")
    for number, point in enumerate(points):
        color = f"C{number}"
        axes.vlines(point.gmacs, point.low, point.high, colors=color)
        axes.plot(point.gmacs, point.top1, "osD^vP*X"[number % 8], color=color, markersize=8)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    costs = [point.gmacs for point in points]
    room = max(1.5, (max(costs) / min(costs)) ** 0.25)
    axes.set_xlim(min(costs) / room, max(costs) * room)
    axes.margins(y=0.25)
    axes.grid(alpha=0.3)
    _label(axes, points)
    save_figure(figure, picture)


def _label(axes: Axes, points: Sequence[CostPoint]) -> None:
    """Write each label where it covers no marker, no other label, and not the frame."""
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    pixel = axes.transData.transform
    taken = []
    for point in points:
        (x, low), (_, high) = pixel((point.gmacs, point.low)), pixel((point.gmacs, point.high))
        taken.append(Bbox.from_extents(x - 10, low - 10, x + 10, high + 10))
    frame = axes.get_window_extent()
    # To the right, to the left, above, below; then the same further away.
    places = [
        place
        for away in (10, 25, 40, 60, 90)
        for place in (
            *(("left", away, 0), ("right", -away, 0)),
            *(("center", 0, away + 8), ("center", 0, -away - 8)),
        )
    ]
    for number, point in enumerate(points):
        text = axes.annotate(
            f"{point.label}\n{point.top1:.1f} %, {point.gmacs:.2g} GMACs",
            (point.gmacs, point.top1),
            xytext=(0, 0),
            textcoords="offset points",
            va="center",
            size=9,
            color=f"C{number}",
        )
        for align, right, up in places:
            text.set(ha=align, position=(right, up))
            box = text.get_window_extent()
            inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0
            if inside and box.y1 < frame.y1 and not any(box.overlaps(other) for other in taken):
                break
        taken.append(text.get_window_extent())


def save_figure(figure: Figure, picture: Path) -> None:
    """Write ``picture``, a PNG, atomically. Raises InputError when it cannot be written."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=120, format="png")
    write_atomically(picture, drawn.getvalue())
