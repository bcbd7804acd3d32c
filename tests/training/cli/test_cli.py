from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bhar_training.cli import main

DATA = Path(__file__).parents[2] / "data"
WORDS = str(DATA / "words.npz")


def test_bad_data_ends_with_exit_code_3(
    run: Path, tmp_path: Path, error_line: Callable[[], str]
) -> None:
    """A missing file, an empty folder, an unknown signer or label, a missing checkpoint."""
    (tmp_path / "empty").mkdir()
    strange = tmp_path / "strange.npz"
    np.savez(strange, landmarks=np.ones((1, 3, 258), np.float32), label=["dance"])
    for command, message in (
        (["eval", str(run), "--data", str(tmp_path / "none.npz")], "no such file"),
        (["eval", str(run), "--data", str(tmp_path / "empty")], "expected <label>/"),
        (["eval", str(run), "--data", WORDS, "--signers", "s7"], "got 's7'"),
        (["eval", str(run), "--data", str(strange)], "got 'dance', expected those of the model"),
        (["eval", str(tmp_path / "empty"), "--data", WORDS], "no checkpoint here"),
        (["eval", str(run), "--data", WORDS, "--confusion", str(tmp_path / "a/b")], "no such"),
    ):
        assert main(command) == 3
        assert message in error_line()


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        (["fit", "--model", "pr-gcn", "--data", WORDS, "--out", "x"], "torch", "train"),
        (["fit", "--model", "pr-gcn", "--data", WORDS, "--out", "x"], "lightning_fabric", "train"),
        (["eval", "x", "--data", WORDS], "torch", "train"),
        (["eval", "x", "--data", WORDS], "matplotlib", "train"),
        (["extract", str(DATA), "--out", "x"], "tqdm", "train"),
    ],
)
def test_a_missing_package_ends_with_exit_code_8(
    tmp_path: Path, command: list[str], missing: str, extra: str
) -> None:
    """One line with the pip install that brings it, no traceback, nothing written."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from bhar_training.cli import main; sys.exit(main({command!r}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 8
    expected = f"bhar-train: error: {missing} is not installed: run  pip install 'bharsdk[{extra}]'"
    assert result.stderr.strip() == expected
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [[], ["fit"], ["dance"], ["extract", "x"], ["eval"]])
def test_an_incomplete_command_ends_with_exit_code_2(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With a line on stderr that says where help is."""
    with pytest.raises(SystemExit) as error:
        main(command)
    assert error.value.code == 2
    assert "; see  bhar-train" in capsys.readouterr().err
