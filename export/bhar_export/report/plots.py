"""What became of every form of a model, as a picture."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bhar_export.report.proof import Form, Proof, Status
from bhar_training.evaluation.plots import save_figure

__all__ = ["plot_forms"]

COLORS = {
    Status.OK: "tab:blue",
    Status.UNEQUAL: "tab:red",
    Status.INACCURATE: "tab:red",
    Status.IMPOSSIBLE: "tab:gray",
}


def plot_forms(proof: Proof, picture: Path) -> None:
    """Draw top-1, milliseconds and megabytes of each form; red ones failed their gate.

    A form that is not possible has a name and no bar. Raises InputError when ``picture`` cannot be
    written.
    """
    forms = proof.forms
    figure = Figure(figsize=(11, 1.6 + 0.34 * len(forms)), layout="constrained")
    accuracy, time, size = figure.subplots(1, 3, sharey=True)
    _bars(accuracy, forms, [100 * f.accuracy.top1 if f.accuracy else 0.0 for f in forms.values()])
    accuracy.set(xlabel="top-1, %", xlim=(0, 118), xticks=range(0, 101, 20))
    if proof.accuracy is not None:
        accuracy.axvline(100 * proof.accuracy.top1, color="black", linewidth=1, linestyle=":")
    _bars(time, forms, [f.latency_ms or 0.0 for f in forms.values()])
    time.set(xlabel="ms of one clip, one thread")
    _bars(size, forms, [f.size_bytes / 1e6 for f in forms.values()])
    size.set(xlabel="MB")
    accuracy.invert_yaxis()
    clips = proof.evaluated_on or "no labeled clips"
    figure.suptitle(f"{proof.model}, {clips}; dotted: torch")
    save_figure(figure, picture)


def _bars(axes: Axes, forms: dict[str, Form], values: list[float]) -> None:
    bars = axes.barh(list(forms), values, color=[COLORS[f.status] for f in forms.values()])
    axes.bar_label(bars, [f"{value:.1f}" if value else "" for value in values], padding=3)
    axes.margins(x=0.15)
