"""What one more frame costs as the window grows, and where a step spends its time."""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from measure import Compute
from models import BHARNET, JOINED, STEPS, Case
from tqdm import tqdm

from bhar_training.evaluation.plots import save_figure
from bharsdk.files.writing import write_text

__all__ = ["Growth", "draw_growth", "growth", "shares", "write_growth"]

WINDOWS = (32, 64, 128, 256, 512, 1024)
PROFILED_STEPS = 20 * STEPS


@dataclass(frozen=True)
class Growth:
    """Medians, milliseconds: one more frame of a stream, and the clip of the window anew."""

    model: str
    window: int
    step_ms: float
    clip_ms: float


def growth(rounds: int = 5) -> list[Growth]:
    """Streams and clips of every window in turns."""
    calls: dict[tuple[str, int, bool], Compute] = {}
    for case in (BHARNET, JOINED):
        for window in WINDOWS:
            longer = case.of(window)
            calls[case.model.value, window, True] = longer.steps()
            calls[case.model.value, window, False] = longer.own_clip()
    seconds = defaultdict(list)
    for _ in tqdm(range(rounds + 1), desc="growth", unit="round", leave=False):
        for key, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[key].append(time.perf_counter() - start)
    # The first round warms up.
    medians = {key: 1e3 * statistics.median(values[1:]) for key, values in seconds.items()}
    return [
        Growth(model, window, medians[model, window, True] / STEPS, medians[model, window, False])
        for model, window, of_stream in medians
        if of_stream
    ]


def shares(case: Case) -> dict[str, float]:
    """Kind of layer -> its part of the time of a step, largest first."""
    parts: dict[str, float] = defaultdict(float)
    for kind, took in case.stream_network().profile(PROFILED_STEPS):
        parts[kind] += took
    whole = sum(parts.values())
    return {kind: parts[kind] / whole for kind in sorted(parts, key=lambda k: -parts[k])}


def write_growth(found: Sequence[Growth], path: Path) -> None:
    """A list of the fields of :class:`Growth`, atomically."""
    write_text(path, json.dumps([asdict(each) for each in found], indent=2) + "\n")


def draw_growth(found: Sequence[Growth], path: Path) -> None:
    """Milliseconds over frames of the window, both on logarithmic axes."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for i, model in enumerate(sorted({each.model for each in found})):
        of_model = [each for each in found if each.model == model]
        windows = [each.window for each in of_model]
        for name, style in (("clip", "--"), ("step", "-")):
            times = [getattr(each, f"{name}_ms") for each in of_model]
            axes.plot(windows, times, style, marker=".", color=f"C{i}", label=f"{model}, {name}")
    axes.set(xscale="log", yscale="log", xlabel="frames of the window", ylabel="ms a new frame")
    axes.set_xticks(WINDOWS, [str(window) for window in WINDOWS])
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, path)
