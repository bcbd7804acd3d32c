from __future__ import annotations

from pathlib import Path

import numpy as np

from bhar_training.evaluation.metrics import Report
from bhar_training.evaluation.report_files import write_confusion, write_recalls

REPORT = Report(("-", "no, thanks", "tea"), np.array([[3, 1, 0], [1, 1, 0], [0, 0, 0]]), "-")


def test_the_confusion_matrix_is_also_a_table(tmp_path: Path) -> None:
    """Truth down, answers across; a label may hold a comma."""
    write_confusion(REPORT, tmp_path / "confusion.csv")
    assert (tmp_path / "confusion.csv").read_text().splitlines() == [
        'truth,-,"no, thanks",tea',
        "-,3,1,0",
        '"no, thanks",1,1,0',
        "tea,0,0,0",
    ]


def test_recalls_are_also_a_table(tmp_path: Path) -> None:
    """With clips and precision; what nothing is known of is empty."""
    write_recalls(REPORT, tmp_path / "recalls.csv")
    assert (tmp_path / "recalls.csv").read_text().splitlines() == [
        "label,clips,recall,precision",
        "-,4,0.750000,0.750000",
        '"no, thanks",2,0.500000,0.500000',
        "tea,0,,",
    ]


def test_other_names_are_pictures(tmp_path: Path) -> None:
    """PNG, nothing half-written beside them."""
    write_confusion(REPORT, tmp_path / "confusion.png")
    write_recalls(REPORT, tmp_path / "recalls.png")
    assert {path.name for path in tmp_path.iterdir()} == {"confusion.png", "recalls.png"}
    for path in tmp_path.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
