from __future__ import annotations

import pytest

from bhar_training.cli import main
from bhar_training.paper import bench as module


def test_both_forms_are_timed_in_one_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Forward, and forward with backward: rates above zero and their ratio."""
    monkeypatch.setattr(module, "CLIP", (3, 4, 25, 2))
    rows = module.bench(batch=2, repeats=1)
    assert [row.what for row in rows] == ["forward", "forward and backward"]
    assert all(row.fast > 0 and row.ratio == row.fast / row.public for row in rows)
    assert main(["bench", "--batch", "2"]) == 0
    assert "ratio" in capsys.readouterr().out
