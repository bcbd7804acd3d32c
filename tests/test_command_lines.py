"""A wrong command line ends in one line that says got and expected, in all three commands."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from bhar_export import cli as export_cli
from bhar_training import cli as train_cli
from bharsdk import cli as run_cli
from bharsdk.cli import arguments
from bharsdk.cli.names import chosen, split
from bharsdk.cli.progress import ProgressLine
from bharsdk.errors import InputError, UsageError

ROOT = Path(__file__).parents[1]
WORDS = str(ROOT / "tests" / "data" / "words.npz")
SESSION = str(ROOT / "examples" / "data" / "sessions" / "s2-a.bhar-session")
PROGRAMS = {"bhar": run_cli, "bhar-train": train_cli, "bhar-export": export_cli}

NEVER = ("", "x", "nan", "-1", "-inf", "1e400", "1" * 30, "9" * 5000, "0x10")
"""No number for any option."""
WHOLE = (*NEVER, "1.5", "inf", "1e3")
FIT = ("bhar-train", "fit", "--model", "pr-gcn", "--data", WORDS, "--out", "none")
EVAL = ("bhar-train", "eval", "none", "--data", WORDS)
FALSE = ("bhar-train", "false-events", "none", "--data", WORDS)
QAT = ("bhar-train", "qat", "none", "--data", WORDS, "--out", "none")
EXPORT = ("bhar-export", "none", "--output", "none.bhar")
NUMBERS: list[tuple[Sequence[str], str, Sequence[str]]] = [
    (("bhar", "run", "0"), "--max-frames", (*WHOLE, "0")),
    (("bhar", "run", "0"), "--score-threshold", (*NEVER, "1.01", "inf", "-0.1")),
    (("bhar", "run", "0"), "--max-persons", (*WHOLE, "0", "9")),
    (("bhar", "run", "0"), "--wait", tuple(x for x in NEVER if set(x) - set("19"))),
    (("bhar", "run", "0"), "--reconnect-for", tuple(x for x in NEVER if set(x) - set("19"))),
    (("bhar", "record", "0", "x.bhar-session"), "--max-frames", (*WHOLE, "0")),
    (("bhar", "startup"), "--runs", (*WHOLE, "0", "1001")),
    (FIT, "--epochs", (*WHOLE, "0")),
    (FIT, "--pretrain-epochs", WHOLE),
    (FIT, "--draws", WHOLE),
    (FIT, "--batch-size", (*WHOLE, "0", "1")),
    (FIT, "--lr", (*(x for x in NEVER if set(x) - set("19")), "0", "inf")),
    (FIT, "--validation", (*NEVER, "1", "inf")),
    (FIT, "--seed", WHOLE),
    (FIT, "--window", (*NEVER, "0", "21", "inf")),
    (FIT, "--stream-loss", (*NEVER, "inf")),
    (FIT, "--threads", (*WHOLE, "0", "1025")),
    (FIT, "--devices", (*WHOLE, "0", "1025")),
    (FIT, "--fps", (*NEVER, "0", "1001", "inf")),
    (EVAL, "--fps", (*NEVER, "0", "1001", "inf")),
    (EVAL, "--drop-hands", (*NEVER, "1.01", "inf")),
    (FALSE, "--hours", (*NEVER, "0", "1001", "inf")),
    (FALSE, "--at-most", (*NEVER, "inf")),
    (FALSE, "--seed", WHOLE),
    (QAT, "--epochs", (*WHOLE, "0")),
    (QAT, "--lr", (*(x for x in NEVER if set(x) - set("19")), "0", "inf")),
    (QAT, "--batch-size", (*WHOLE, "1")),
    (QAT, "--seed", WHOLE),
    (QAT, "--threads", (*WHOLE, "0")),
    (("bhar-train", "bench"), "--batch", (*WHOLE, "0", "4097")),
    (("bhar-train", "bench"), "--threads", (*WHOLE, "0")),
    (("bhar-train", "calibrate", "none"), "--keep", (*NEVER, "0", "1.01", "inf")),
    (("bhar-train", "enrollment"), "--shots", (*WHOLE, "0")),
    (("bhar-train", "enrollment"), "--draws", (*WHOLE, "0")),
    (("bhar-train", "enrollment"), "--threads", (*WHOLE, "0")),
    (("bhar-train", "extract", "none", "--out", "none"), "--jobs", (*WHOLE, "0")),
    (("bhar-train", "reproduce", "words-s2"), "--seed", WHOLE),
    (("bhar-train", "reproduce", "words-s2"), "--seeds", (*WHOLE, "1,1", "1,", "1,x")),
    (("bhar-train", "reproduce", "words-s2"), "--threads", (*WHOLE, "0")),
    (EXPORT, "--fps", (*NEVER, "0", "1001", "inf")),
    (EXPORT, "--max-drop", (*NEVER, "100.1", "inf")),
]
OTHERS: list[tuple[Sequence[str], int, str]] = [
    # command line, exit code, what the line names
    (("bhar",), 2, "COMMAND"),
    (("bhar", "dance"), 2, "dance"),
    (("bhar", "run"), 2, "source"),
    (("bhar", "run", "0", "--dance"), 2, "--dance"),
    (("bhar", "run", "0", "--json=5"), 2, "5"),
    (("bhar", "run", "0", "--m", "5"), 2, "--m"),
    (("bhar", "run", "0", "a\nb"), 2, r"a\nb"),
    (("bhar", "run", "0", "--model"), 2, "--model"),
    (("bhar", "run", "0", "--model", ""), 2, "--model"),
    (("bhar", "run", "0", "--device", "gpu"), 2, "gpu"),
    (("bhar", "run", "0", "--backpressure", "none"), 2, "none"),
    (("bhar", "run", SESSION, "--labels", ""), 2, "--labels"),
    (("bhar", "run", SESSION, "--labels", "coffee,,tea"), 2, "--labels"),
    (("bhar", "run", SESSION, "--labels", "coffee,"), 2, "--labels"),
    (("bhar", "run", SESSION, "--labels", ","), 2, "--labels"),
    (("bhar", "run", SESSION, "--labels", "coffee,beer"), 3, "thank-you"),
    (("bhar", "inspect", ""), 2, "bundle"),
    (("bhar", "verify", "asl-coffee", "--device", "x"), 2, "'x'"),
    (("bhar", "enroll", "asl-coffee-prgcn"), 2, "LABEL"),
    (("bhar", "startup", "no-such", "--runs", "1"), 3, "no-such"),
    (("bhar-train",), 2, "COMMAND"),
    (("bhar-train", "fit"), 2, "--model"),
    (("bhar-train", "dance"), 2, "dance"),
    ((*FIT, "--background", ""), 2, "--background"),
    ((*FIT, "--background", "a,b"), 2, "a,b"),
    ((*FIT, "--signers", ""), 2, "--signers"),
    ((*FIT, "--signers", "s1,,s2"), 2, "--signers"),
    ((*FIT, "--signers", "s9"), 3, "s9"),
    ((*FIT, "--without", ""), 2, "--without"),
    ((*FIT, "--without", "tea,"), 2, "--without"),
    ((*FIT, "--without", "beer"), 3, "beer"),
    ((*FIT, "--modalities", ""), 2, "--modalities"),
    ((*FIT, "--modalities", "joint,smell"), 2, "smell"),
    ((*FIT, "--negatives", ""), 2, "--negatives"),
    ((*FIT, "--negatives", "dance"), 2, "dance"),
    ((*FIT, "--augment", "jitter=nan"), 2, "nan"),
    ((*FIT, "--augment", "jitter=1e400"), 2, "jitter inf"),
    ((*FIT, "--augment", "jitter"), 2, "jitter"),
    ((*FIT, "--augment", "dance=1"), 2, "dance"),
    ((*FIT, "--augment", "mirror=2"), 2, "mirror"),
    ((*FIT, "--epochs", "2", "--pretrain-epochs", "2"), 2, "2 epochs"),
    ((*FIT, "--teacher", ""), 2, "--teacher"),
    ((*EVAL, "--signers", ","), 2, "--signers"),
    ((*EVAL, "--unknown", ""), 2, "--unknown"),
    ((*FALSE, "--labels", ""), 2, "--labels"),
    (("bhar-train", "extract", "a.mp4", "--out", "x", "--label", "a,b"), 2, "a,b"),
    (("bhar-train", "extract", "a.mp4", "--out", "x", "--label", "a/b"), 2, "a/b"),
    (("bhar-train", "extract", "a.mp4", "--out", "x", "--label", ""), 2, "--label"),
    (("bhar-train", "describe", ""), 2, "MODEL"),
    (("bhar-train", "describe", "dance"), 2, "dance"),
    (("bhar-export",), 2, "--output"),
    ((*EXPORT, "--target", "dance"), 2, "dance"),
    ((*EXPORT, "--device", "dance"), 2, "dance"),
    ((*EXPORT, "--calib-signers", ""), 2, "--calib-signers"),
    ((*EXPORT, "--calib-signers", "s1"), 2, "--calib"),
    ((*EXPORT, "--decoder", ""), 2, "--decoder"),
    ((*EXPORT, "--name", ""), 2, "--name"),
    ((*EXPORT, "--int8", "--precision", "mixed"), 2, "--int8"),
]

Line = Callable[[Sequence[str], int], str]


@pytest.fixture
def line(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Line:
    """Run a command line in this process, expect its exit code and one line on stderr; that."""
    monkeypatch.chdir(tmp_path)

    def run(command: Sequence[str], code: int) -> str:
        program, *rest = command
        try:
            got = PROGRAMS[program].main(rest)
        except SystemExit as error:
            got = error.code  # type: ignore[assignment]
        out, err = capfd.readouterr()
        assert (got, out) == (code, ""), (command, err)
        # What was assumed of data that were read comes before.
        err = "".join(x for x in err.splitlines(True) if not x.startswith("words.npz: "))
        assert err.count("\n") == 1 and err.startswith(f"{program}: error: "), err
        assert len(err) < 2000
        assert not list(tmp_path.iterdir())
        return err

    return run


@pytest.mark.parametrize(("command", "option", "values"), NUMBERS, ids=lambda x: str(x)[:40])
def test_a_number_out_of_range_is_a_usage_error(
    command: Sequence[str], option: str, values: Sequence[str], line: Line
) -> None:
    """In every command: exit code 2 before anything is read, naming the option and the value."""
    for value in values:
        said = line([*command, f"{option}={value}"], 2)
        assert f"argument {option}: got '" in said and "expected" in said
        assert value[:40] in said


def test_every_option_that_takes_a_number_is_in_the_table() -> None:
    """A new one must be added; what takes none takes text or a path."""
    known = {(tuple(command[:2]), option) for command, option, _ in NUMBERS}
    for program, parser in _parsers():
        for action in parser._actions:
            kind = getattr(action.type, "__qualname__", "")
            if kind in ("int", "float") or kind.startswith(("whole.", "real.", "_seeds")):
                assert kind not in ("int", "float"), (program, action.option_strings)
                name = parser.prog.split()[-1] if " " in parser.prog else "none"
                if (program, name) not in {("bhar", "record")} and name != "calibrate":
                    assert any(
                        key == ((program, name), option)
                        for option in action.option_strings
                        for key in known
                    ) or _is_shared(action), (parser.prog, action.option_strings)


def _is_shared(action: argparse.Action) -> bool:
    """``--fps`` is declared once, for every command that reads data."""
    return "--fps" in action.option_strings


@pytest.mark.parametrize(("command", "code", "named"), OTHERS, ids=lambda x: str(x)[-40:])
def test_a_wrong_command_line_is_one_line(
    command: Sequence[str], code: int, named: str, line: Line
) -> None:
    """With got and expected, and its documented exit code."""
    said = line(command, code)
    assert named in said
    assert "expected" in said


def _parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for program, module in PROGRAMS.items():
        parser = module._parser()
        yield program, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    yield program, command


def test_every_help_says_the_exit_codes() -> None:
    """Of the three programs and of each of their commands."""
    found = list(_parsers())
    assert len(found) >= 22
    for _, parser in found:
        assert "exit codes:" in parser.format_help(), parser.prog


def test_help_of_bhar_imports_no_numpy() -> None:
    """It is there at once."""
    program = (
        "import sys; sys.modules['numpy'] = None; from bharsdk.cli import main; main(['--help'])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


def test_what_help_repeats_is_what_it_repeats() -> None:
    """Values that stand twice, so that help needs no numpy."""
    from bharsdk.cameras.source_config import Backpressure, SourceConfig
    from bharsdk.engines.engine import Backend
    from bharsdk.landmarks.tracking import MAX_PERSONS
    from bharsdk.recordings.session_file import SUFFIX

    assert tuple(backend.value for backend in Backend) == arguments.DEVICES
    assert Backend.AUTO.value == arguments.AUTO
    assert tuple(policy.value for policy in Backpressure) == arguments.POLICIES
    assert SourceConfig().reconnect_for_s == arguments.RECONNECT_FOR_S
    assert SourceConfig().folder_fps == arguments.FOLDER_FPS
    assert (arguments.MAX_PERSONS, arguments.SESSION_SUFFIX) == (MAX_PERSONS, SUFFIX)


def test_a_label_with_a_comma_of_an_old_bundle_can_be_named() -> None:
    """Whole, and beside others by naming again."""
    known = ("-", "no, thanks", "tea", " milk")
    assert chosen("--labels", ["no, thanks"], known) == ("no, thanks",)
    assert chosen("--labels", ["no, thanks", "tea"], known) == ("no, thanks", "tea")
    assert chosen("--labels", ["tea, -,tea", " milk"], known) == ("tea", "-", " milk")
    assert split("--labels", ["tea,beer"], known) == ("tea", "beer")
    with pytest.raises(InputError, match="got 'no', expected some of -, no, thanks, tea"):
        chosen("--labels", ["tea,no, thanks"], known)
    with pytest.raises(UsageError, match="got 'tea,,'"):
        chosen("--labels", ["tea,,"], known)


# ---- Ctrl-C ---------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["bharsdk.cli", "bhar_training.cli", "bhar_export.cli"])
def test_a_command_is_imported_before_anything_that_takes_time(module: str) -> None:
    """Nothing can catch Ctrl-C there: not even typing or argparse."""
    program = (
        f"import sys; before = set(sys.modules); import {module};"
        "print(*sorted(m for m in set(sys.modules) - before"
        " if m.split('.')[0] not in ('bharsdk', 'bhar_training', 'bhar_export')))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(result.stdout.split()) <= {"__future__"}


INTERRUPTED_AT = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {at!r} and self.is_first:
            Finder.is_first = False
            try:  # as compiled modules and much of Python do with what is raised in them
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
            except BaseException as error:
                raise ImportError("initialization failed") from None
    is_first = True
sys.modules.pop({at!r}, None)
sys.meta_path.insert(0, Finder())
from {module} import main
sys.exit(main({rest!r}))
"""


@pytest.mark.parametrize(
    ("program", "rest", "at"),
    [
        ("bhar", ["models"], "argparse"),
        ("bhar", ["models"], "numpy"),
        ("bhar", ["run", SESSION, "--device", "onnx"], "onnxruntime"),
        ("bhar-train", ["describe", "pr-gcn"], "bhar_training.paper.describe"),
        ("bhar-train", ["fit", "--model", "pr-gcn", "--data", "x", "--out", "x"], "torch"),
        ("bhar-export", ["none", "--output", "x.bhar"], "argparse"),
        ("bhar-export", ["none", "--output", "x.bhar"], "onnx"),
    ],
)
def test_ctrl_c_in_any_import_is_one_line_and_130(program: str, rest: list[str], at: str) -> None:
    """Also where an exception in it would be swallowed, or become an ImportError."""
    code = INTERRUPTED_AT.format(at=at, module=PROGRAMS[program].__name__, rest=rest)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 130, result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"{program}: interrupted")


def test_a_signal_waits_for_the_end_of_an_import_below_the_command_alone(tmp_path: Path) -> None:
    """A command that is run by a module which is being imported is interrupted at once."""
    (tmp_path / "imported.py").write_text(
        "import os, signal, time\n"
        "from bharsdk.cli.exit_codes import exit_code_of\n"
        "def work():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(30)\n"
        "code = exit_code_of(work, 'bhar')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", "import sys, imported; sys.exit(imported.code)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (result.returncode, result.stderr) == (130, "bhar: interrupted\n")


# ---- progress -------------------------------------------------------------------------------


def test_progress_is_shown_on_terminals_alone(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither our own line nor a bar of training leaves anything in a file or pipe."""
    from bhar_training.console.progress import progress_bar

    line = ProgressLine()
    line.show("frame 1 of 2")
    line.clear()
    assert list(progress_bar(range(3), desc="epoch", mininterval=0)) == [0, 1, 2]
    with progress_bar(total=3) as bar:
        bar.set_description("load")
        bar.update(2)
    assert capfd.readouterr().err == ""


def _on_terminal(command: list[str]) -> tuple[int, str]:
    """Exit code, and what a terminal gets that is the command's stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    with subprocess.Popen(command, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        with contextlib.suppress(OSError):  # EIO: everybody has closed the other end
            while part := os.read(ours, 10_000):
                text += part
    os.close(ours)
    return process.returncode, text.decode()


def test_progress_is_shown_on_a_terminal() -> None:
    """In one line, which is taken away."""
    program = (
        "from bhar_training.console.progress import progress_bar\n"
        "from bharsdk.cli.progress import ProgressLine\n"
        "line = ProgressLine(); line.show('frame 11 of 22'); line.show('frame 2'); line.clear()\n"
        "list(progress_bar(range(3), desc='epoch'))\n"
        "list(progress_bar(range(3), shown=False, desc='quiet'))\n"
    )
    code, text = _on_terminal([sys.executable, "-c", program])
    assert code == 0
    assert text.startswith("\rframe 11 of 22\rframe 2       \r       \r")
    assert "epoch: 100%" in text and "quiet" not in text


def test_wrong_data_of_an_export_is_told_before_any_bar(tmp_path: Path) -> None:
    """Also on a terminal: one line and no bar."""
    command = [
        sys.executable,
        "-m",
        "bhar_export.cli",
        "none",
        "--output",
        str(tmp_path / "x.bhar"),
    ]
    code, text = _on_terminal(command)
    assert code == 3
    assert text.startswith("bhar-export: error: none: ") and text.count("\n") == 1
