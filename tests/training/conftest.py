"""Real clips that several tests train on, and what several tests of commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bhar_training.cli import main
from bhar_training.data.clip_set import ClipSet
from bhar_training.data.clips import load_clips

MadeOnce = Callable[[str, Callable[[Path], object]], Path]
"""See its fixture."""

WORDS = str(Path(__file__).parents[1] / "data" / "words.npz")


@pytest.fixture(scope="session")
def words() -> ClipSet:
    """The fixture: 48 clips, all six labels, two signers."""
    return load_clips(Path(WORDS))


@pytest.fixture(scope="session")
def clips(words: ClipSet) -> ClipSet:
    """Every second clip of the fixture: 24, all six labels."""
    return words.take(range(0, len(words), 2))


@pytest.fixture(scope="session")
def run(made_once: MadeOnce) -> Path:
    """One epoch of PR-GCN on signer s1, through the command."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--signers", "s1", "--draws", "0"]
    command += ["--epochs", "1", "--batch-size", "24", "--lr", "0.001", "--out"]

    def make(folder: Path) -> None:
        assert main([*command, str(folder / "run")]) == 0

    return made_once("pr-gcn-run", make) / "run"


@pytest.fixture
def error_line(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Gives the one line on stderr."""

    def read() -> str:
        lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("bhar-train:")]
        assert len(lines) == 1
        assert lines[0].startswith("bhar-train: error: ")
        return lines[0]

    return read


@pytest.fixture
def views(tmp_path: Path) -> Path:
    """Twelve packed clips of 20 joints: two actions, three views, four subjects."""
    random = np.random.default_rng(0)
    data = random.normal(0, 1, (12 * 6, 20, 3)).astype(np.float32)
    numbers = np.arange(12)
    path = tmp_path / "views.npz"
    labels = numbers % 2 + 1
    arrays = {"subject": numbers % 4 + 1, "view": numbers // 2 % 3 + 1, "label": labels}
    np.savez(path, data=data, length=np.full(12, 6), **arrays)
    return path


@pytest.fixture(scope="session")
def without(made_once: MadeOnce) -> Path:
    """One epoch on signer s1 without two of the words."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--signers", "s1", "--draws", "0"]
    command += ["--without", "tea,coffee", "--epochs", "1", "--validation", "0", "--out"]

    def make(folder: Path) -> None:
        assert main([*command, str(folder / "run")]) == 0

    return made_once("without-two", make) / "run"
