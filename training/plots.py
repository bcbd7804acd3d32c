"""Pictures of a run: learning curves and confusion matrix."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bhar_training.metrics import Report

__all__ = ["plot_confusion", "plot_curves"]


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
    _save(figure, picture)


def plot_confusion(report: Report, picture: Path, title: str) -> None:
    """Draw the confusion matrix, rows normalised to recall, counts in the cells."""
    counts = report.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.42 * len(report.labels)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(report.labels))
    axes.set_xticks(ticks, report.labels, rotation=90)
    axes.set_yticks(ticks, report.labels)
    axes.set(xlabel="recognised as", ylabel="truth", title=title)
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, size=7)
    _save(figure, picture)


def _save(figure: Figure, picture: Path) -> None:
    temporary = picture.with_name(picture.name + ".part")
    figure.savefig(temporary, dpi=120, format="png")
    temporary.replace(picture)
