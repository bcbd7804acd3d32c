from __future__ import annotations

import subprocess
import sys
from typing import NoReturn

import pytest

from bharsdk.cli.exit_codes import exit_code_of
from bharsdk.errors import BundleError


def _raising(error: BaseException):
    def work() -> NoReturn:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (BundleError("got a stone"), 4, "bhar-x: error: got a stone"),
        (OSError(28, "No space left on device", "runs/x"), 3, "No space left on device: 'runs/x'"),
        (ModuleNotFoundError(name="onnx.helper"), 8, "pip install 'bharsdk[export]'"),
        (KeyboardInterrupt(), 130, "bhar-x: nothing was written"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
):
    """Never a traceback for what is wrong outside of the program."""
    options = {"extra": "export", "when_interrupted": "nothing was written"}
    assert exit_code_of(_raising(error), "bhar-x", **options) == code
    out, err = capsys.readouterr()
    assert said in err and err.count("\n") == 1 and not out


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), ModuleNotFoundError(name="bhar_training.missing")]
)
def test_a_bug_keeps_its_traceback(error: Exception):
    """A module of our own that is missing is no package to install."""
    with pytest.raises(type(error)):
        exit_code_of(_raising(error), "bhar-x", extra="train")


def test_a_command_says_how_it_went():
    """Nothing is 0."""
    assert exit_code_of(lambda: None, "bhar-x") == 0
    assert exit_code_of(lambda: 130, "bhar-x") == 130


def test_a_reader_that_leaves_ends_a_command_quietly():
    """``bhar ... | head``: exit code 0, and nothing on stderr, not even at exit."""
    program = (
        "import sys; from bharsdk.cli.exit_codes import exit_code_of;"
        "sys.exit(exit_code_of(lambda: [print('x' * 999) for _ in range(9999)] and None, 'bhar'))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(b"xxx")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
