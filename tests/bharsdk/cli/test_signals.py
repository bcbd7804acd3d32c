"""SIGTERM and SIGHUP end a command as Ctrl-C does, with its files closed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bhar_export import shipped
from bharsdk.cli.signals import stopped_by_signals
from bharsdk.recordings.session_file import load_session

SESSION = Path(__file__).parents[3] / "examples/data/sessions/s2-a.bhar-session"
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_handlers_are_there_for_the_block_alone() -> None:
    before = [signal.getsignal(number) for number in HANDLED]
    with stopped_by_signals():
        assert all(signal.getsignal(number) not in before for number in HANDLED)
        with stopped_by_signals():
            assert all(signal.getsignal(number) not in before for number in HANDLED)
    assert [signal.getsignal(number) for number in HANDLED] == before


def test_what_is_ignored_or_somebody_elses_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """nohup, a script's background, a program with handlers of its own."""
    before = {number: signal.getsignal(number) for number in HANDLED}
    own = lambda number, frame: None  # noqa: E731 a handler without a name of its own
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, own)
        with stopped_by_signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is own
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_another_thread_may_run_a_command_too() -> None:
    """It gets no signals, and sets no handler."""
    done = []

    def work() -> None:
        with stopped_by_signals():
            done.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [before]


def test_a_burst_of_signals_is_one_interrupt() -> None:
    """What is being closed is closed to its end, however often a supervisor asks."""
    program = (
        "import signal\n"
        "from bharsdk.cli.signals import stopped_by_signals\n"
        "with stopped_by_signals():\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "    except KeyboardInterrupt:\n"
        "        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):\n"
        "            signal.raise_signal(number)\n"
        "        print('closed')\n"
    )
    found = _run(program)
    assert (found.returncode, found.stdout) == (0, "closed\n"), found.stderr


STOPPED = {
    "bhar": "import bharsdk.bundle.shipped as at; at.shipped_bundles = stop\n"
    "from bharsdk.cli import main; sys.exit(main(['models']))",
    "bhar-train": "import bhar_training.paper.describe as at; at.rows_of = stop\n"
    "from bhar_training.cli import main; sys.exit(main(['describe', 'all']))",
    "bhar-export": "import bhar_export.cli.export as at; at._export = stop\n"
    "from bhar_export.cli import main; sys.exit(main(['run', '--output', 'a.bhar']))",
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("command", STOPPED)
def test_each_command_ends_with_130_and_a_line(command: str, number: signal.Signals) -> None:
    """systemd, containers, a terminal that is closed."""
    program = (
        "import os, sys, time\n"
        "def stop(*arguments):\n"
        f"    os.kill(os.getpid(), {int(number)}); time.sleep(60)\n"
    )
    found = _run(program + STOPPED[command])
    assert found.returncode == 130, found.stderr
    assert found.stderr.startswith(f"{command}: interrupted") and found.stderr.count("\n") == 1


def test_a_command_that_runs_others_ends_with_the_one_that_was_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``python -m bhar_export.shipped`` does not go on with the next model."""
    called = []
    monkeypatch.setattr(shipped, "export", lambda arguments: called.append(arguments) or 130)
    assert shipped.main(["--data-root", "data", "--out", str(tmp_path)]) == 130
    assert len(called) == 1


STOPPED_WHILE_IT_RUNS = """
import os, signal, sys
from bharsdk import Recognizer
from bharsdk.cli.exit_codes import exit_code_of
from bharsdk.recognition.drawing import AnnotatedVideo

def work():
    with (
        Recognizer("asl-coffee-prgcn").run(sys.argv[1], record=sys.argv[2]) as run,
        AnnotatedVideo(sys.argv[3], 15.0) as video,
    ):
        for result in run:
            video.write(result)
            if result.frame_number == 39:
                for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):
                    os.kill(os.getpid(), number)

sys.exit(exit_code_of(work, "robot"))
"""


def test_what_was_recorded_and_drawn_is_whole_after_sigterm(tmp_path: Path) -> None:
    """Forty frames of each, under their names, and nothing else, also after more signals."""
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
    recording, video = tmp_path / "a.bhar-session", tmp_path / "a.mp4"
    found = _run(STOPPED_WHILE_IT_RUNS, str(SESSION), str(recording), str(video))
    assert (found.returncode, found.stderr) == (130, "robot: interrupted\n")
    assert len(load_session(recording)) == 40
    capture = cv2.VideoCapture(str(video))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 40
    capture.release()
    assert {path.name for path in tmp_path.iterdir()} == {recording.name, video.name}
