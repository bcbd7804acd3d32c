"""Write a report as a file: numbers in .csv, a picture in any other suffix."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from bhar_training.evaluation.metrics import Report
from bhar_training.evaluation.plots import plot_confusion, plot_recalls
from bharsdk.files.writing import write_text

__all__ = ["write_confusion", "write_recalls"]


def write_confusion(report: Report, path: Path) -> None:
    """Write counts: a row for every true label, a column for every answer."""
    if path.suffix != ".csv":
        plot_confusion(report, path, f"top-1 {100 * report.top1:.1f} %")
        return
    rows = zip(report.labels, report.confusion.tolist(), strict=True)
    _write(path, [["truth", *report.labels], *([label, *counts] for label, counts in rows)])


def write_recalls(report: Report, path: Path) -> None:
    """Write label, clips, recall and precision, parts of 1, empty where there is none."""
    if path.suffix != ".csv":
        plot_recalls(report, path, f"top-1 {100 * report.top1:.1f} %")
        return
    clips = dict(zip(report.labels, report.confusion.sum(axis=1).tolist(), strict=True))
    recalls, precisions = report.recalls, report.precisions
    lines = [[name, clips[name], _part(recalls[name]), _part(precisions[name])] for name in clips]
    _write(path, [["label", "clips", "recall", "precision"], *lines])


def _part(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def _write(path: Path, rows: list[list[str | int]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())
