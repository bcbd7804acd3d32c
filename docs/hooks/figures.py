"""Figures for the pages: from ``results.json`` and from the reports inside the shipped bundles."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "training" / "bhar_training" / "paper" / "results.json"
MODELS = ROOT / "bharsdk" / "models"
MB = 1e6


def results_as_markdown() -> str:
    """Return the recorded rows, a score a line; percent, mean over seeds."""
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    lines = [
        "| row | score | top-1, % | ± over seeds | signs, % | no sign, % | calibration error, % |"
        " seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, result in sorted(rows.items()):
        for score, figure in result["figures"].items():
            mean, spread = figure["mean"], figure.get("spread") or {}
            seeds = len({run["seed"] for run in figure["runs"]})
            cells = (
                f"`{row}`",
                score,
                _percent(mean["top1"]),
                _percent(spread.get("std")),
                _percent(mean["macro_recall_signs"]),
                _percent(mean.get("background_recall")),
                _percent(mean.get("calibration_error")),
                str(seeds),
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def bundles_as_markdown() -> str:
    """Return a table for each shipped bundle: what the exporter measured of each of its forms."""
    parts = []
    for path in sorted(MODELS.glob("*.bhar")):
        manifest, report = _members(path)
        accuracy = report["accuracy"]
        classes = len(manifest["labels"])
        parts += [
            f"### {path.stem}",
            "",
            f"{report['parameters']:,} parameters, {classes} labels, {path.stat().st_size / MB:.1f}"
            f" MB with all of its forms. Trained on {manifest['trained_on']}. Scored on"
            f" {report['evaluated_on']}, {accuracy['clips']:,} clips of people whom the model never"
            f" saw: {100 * accuracy['top1']:.1f} % top-1 in torch. Command:"
            f" `bhar inspect {path.stem} --report`.",
            "",
            "| form | top-1, % | lost, points | largest error of a logit | one window, ms | MB |",
            "|---|---|---|---|---|---|",
            *(_form(name, form) for name, form in report["forms"].items()),
            "",
            f"Time: one thread of the exporting machine ({report['machine']}).",
            "",
        ]
    return "\n".join(parts)


def _form(name: str, form: dict[str, Any]) -> str:
    accuracy = form.get("accuracy")
    if accuracy is None:
        return f"| `{name}` | {form['status']} | | | | |"
    latency, size = form.get("latency_ms"), form.get("size_bytes")
    cells = (
        f"`{name}`",
        f"{100 * accuracy['top1']:.1f}",
        f"{form['drop_points']:.2f}",
        f"{form['difference']['largest']:.1g}",
        "" if latency is None else f"{latency:.1f}",
        "" if size is None else f"{size / MB:.2f}",
    )
    return f"| {' | '.join(cells)} |"


def _members(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with zipfile.ZipFile(path) as bundle:
        manifest, report = (json.loads(bundle.read(x)) for x in ("manifest.json", "report.json"))
    return manifest, report


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
