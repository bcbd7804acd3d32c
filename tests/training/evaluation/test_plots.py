from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from bhar_training.evaluation import plots
from bhar_training.evaluation.plots import CostPoint, plot_accuracy

CLOSE = [
    CostPoint("PR-GCN", 0.35, 90.4, 89.8, 91.1),
    CostPoint("BHaRNet-E, taught by PR-GCN", 0.27, 90.2, 88.0, 91.5),
    CostPoint("BHaRNet-E, joint + bone", 0.53, 91.2, 91.0, 91.6),
    CostPoint("BHaRNet-E, four branches", 0.45, 91.0, 91.0, 91.0),
    CostPoint("BHaRNet-P", 0.3, 90.2, 90.2, 90.2),
]


@pytest.mark.parametrize("points", [CLOSE[:1], CLOSE])
def test_no_label_of_the_cost_picture_covers_another_or_a_marker(
    points: list[CostPoint], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Five models of nearly one accuracy and cost, and a single one."""
    drawn: list[Figure] = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, _: drawn.append(figure))
    plot_accuracy(points, tmp_path / "x.png", "words")
    (axes,) = drawn[0].axes
    drawn[0].canvas.draw()
    texts = [text for text in axes.texts if isinstance(text, Annotation)]
    boxes = [text.get_window_extent() for text in texts]
    assert [text.get_text().split("\n")[0] for text in texts] == [point.label for point in points]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    for point in points:
        x, y = axes.transData.transform((point.gmacs, point.top1))
        assert not any(box.contains(x, y) for box in boxes)
    assert axes.get_xscale() == "log"


def test_the_cost_picture_is_a_png(tmp_path: Path) -> None:
    """Written under its name, nothing half-written beside it."""
    plot_accuracy(CLOSE, tmp_path / "accuracy.png", "words")
    (picture,) = tmp_path.iterdir()
    assert picture.read_bytes().startswith(b"\x89PNG")
