"""Promises of ``bhar-train qat``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bhar_training.checkpoint import load_checkpoint
from bhar_training.cli import main

WORDS = str(Path(__file__).parents[2] / "data" / "words.npz")


def test_it_goes_on_with_what_the_run_was_trained_with(
    run: Path, tmp_path: Path, error_line: Callable[[], str]
) -> None:
    """Augmentation, batch size and all else, but for what is given; --resume as in fit."""
    out = tmp_path / "tuned"
    command = ["qat", str(run), "--data", WORDS, "--signers", "s1", "--out", str(out)]
    assert main([*command, "--epochs", "1"]) == 0
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (run, out))
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"lr", "quantised_from"}
    assert load_checkpoint(out).meta.epoch == 1
    assert main([*command, "--epochs", "1"]) == 2
    assert "holds a run already" in error_line()
    assert main([*command, "--epochs", "1", "--resume"]) == 0


def test_what_is_no_checkpoint_is_refused(tmp_path: Path, error_line: Callable[[], str]) -> None:
    command = ["qat", str(tmp_path), "--data", WORDS, "--out", str(tmp_path / "out")]
    assert main(command) == 3
    assert "no checkpoint here" in error_line()
