"""Recordings keep what was recognized, whatever happens to the disk or the process."""

from __future__ import annotations

import dataclasses
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bharsdk import Recognizer
from bharsdk.cli import main
from bharsdk.errors import BharError, InputError
from bharsdk.events import Event
from bharsdk.landmarks.frame import Frame
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.recordings.journal import JournalWriter, read_journal
from bharsdk.recordings.session_file import load_session

SESSION = Path(__file__).parents[2] / "examples/data/sessions/s2-a.bhar-session"


def _events(results: object) -> list[Event]:
    return [event for result in results for event in result.events]  # type: ignore[attr-defined]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.bhar-session"


def test_a_recording_is_one_file_with_landmarks_times_events_and_model(
    recognizer: Recognizer, waving: LandmarkSequence, path: Path
):
    with recognizer.run(waving, record=path) as run:
        events = _events(run)
    session = load_session(path)
    np.testing.assert_array_equal(session.sequence.timestamps_ms, waving.timestamps_ms)
    np.testing.assert_array_equal(session.sequence.body, waving.body)
    np.testing.assert_array_equal(session.sequence.hands, waving.hands)
    assert list(session.events or ()) == events != []
    assert session.model == recognizer.bundle.sha256
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_recording_of_a_run_that_was_left_holds_what_was_seen(
    recognizer: Recognizer, waving: LandmarkSequence, path: Path
):
    with recognizer.run(waving, record=path) as run:
        for _ in range(70):
            next(run)
    session = load_session(path)
    assert len(session) == 70
    assert _events(recognizer.run(session)) == list(session.events or ())


def test_several_people_and_changing_pictures_come_back_bit_for_bit(
    recording: LandmarkSequence, path: Path
):
    """Two people, one of whom comes and goes, while the camera changes its resolution."""
    frames = []
    for number, one in enumerate(list(recording.frames())[:40]):
        aspect = 16 / 9 if number < 20 else 4 / 3
        one = dataclasses.replace(one, aspect=aspect)
        other = dataclasses.replace(one, body=one.body + np.float32(0.1))
        people = (one, other) if number % 3 else (one,)
        frames.append(Frame(one.timestamp_ms, people, aspect, number=number))
    from bharsdk.recordings.recorder import SessionRecorder

    recorder = SessionRecorder(path)
    for frame in frames:
        recorder.add(frame, ())
    recorder.close()
    for was, is_now in zip(frames, load_session(path).frames(), strict=True):
        assert (was.timestamp_ms, was.aspect) == (is_now.timestamp_ms, is_now.aspect)
        assert len(was.people) == len(is_now.people)
        for a, b in zip(was.people, is_now.people, strict=True):
            np.testing.assert_array_equal(a.body, b.body)
            np.testing.assert_array_equal(a.hands, b.hands)
            assert a.aspect == b.aspect


@pytest.fixture
def small_disk() -> Iterator[int]:
    """No file of this process grows beyond the size given: the system refuses, as a full disk."""
    size = 60_000
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    yield size
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_ends_the_recording_and_not_the_run(
    recognizer: Recognizer, waving: LandmarkSequence, path: Path, small_disk: int
):
    """All that was written stays readable, to the last whole frame."""
    expected = _events(recognizer.run(waving))
    with recognizer.run(waving, record=path) as run:
        assert _events(run) == expected
    assert run.recording_error is not None
    assert "part.bhar-session" in run.recording_error
    (left,) = path.parent.iterdir()
    assert left.stat().st_size <= small_disk
    session = load_session(left)
    assert 50 <= len(session) < len(waving)
    np.testing.assert_array_equal(session.sequence.body, waving.body[: len(session)])
    assert list(session.events or ()) == expected[: len(session.events or ())]


def test_a_full_disk_is_an_exit_code_and_a_line_that_says_where_the_frames_are(
    path: Path, small_disk: int, capsys: pytest.CaptureFixture[str]
):
    assert main(["record", str(SESSION), str(path), "--model", "asl-coffee-prgcn"]) == 3
    assert "a.part.bhar-session holds them, and reads as a session" in capsys.readouterr().err


def test_a_process_that_is_killed_leaves_a_readable_recording(path: Path):
    """SIGKILL in the middle: every frame whose result was given is there."""
    program = (
        "import sys\n"
        "from bharsdk import Recognizer\n"
        f"run = Recognizer('asl-coffee-prgcn').run({str(SESSION)!r}, record={str(path)!r})\n"
        "for result in run:\n"
        "    if result.frame_number == 99:\n"
        "        print('ready', flush=True)\n"
        "        sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    (left,) = path.parent.iterdir()
    assert len(load_session(left)) == 100


def test_a_recording_that_was_cut_off_is_not_overwritten(
    recognizer: Recognizer, waving: LandmarkSequence, path: Path
):
    (path.parent / "a.part.bhar-session").write_bytes(b"somebody's frames")
    with pytest.raises(InputError, match="rename it to keep it"):
        recognizer.run(waving, record=path)
    assert (path.parent / "a.part.bhar-session").read_bytes() == b"somebody's frames"


HOLDS = """
import sys
from pathlib import Path
from bharsdk.recordings.journal import JournalWriter
writer = JournalWriter(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_journal_without_frames_of_a_process_that_is_gone_is_in_nobodys_way(
    recognizer: Recognizer, waving: LandmarkSequence, path: Path
):
    """A robot that was switched off in its first second records again at its next start."""
    part = path.parent / "a.part.bhar-session"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(part)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        with pytest.raises(InputError, match="from a recording that is going on"):
            recognizer.run(waving, record=path)
        process.kill()
    assert part.stat().st_size > 0
    with recognizer.run(waving, record=path) as run:
        _events(run)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_cut_off_recording_of_another_name_is_pointed_at(
    recognizer: Recognizer,
    waving: LandmarkSequence,
    path: Path,
    journal: bytes,
    caplog: pytest.LogCaptureFixture,
):
    """It is the user's data: it stays, and somebody hears of it."""
    other = path.parent / "b.part.bhar-session"
    other.write_bytes(journal)
    recognizer.run(waving, record=path).close()
    assert f"{other} was cut off; it reads as a session" in caplog.text
    assert other.read_bytes() == journal


def test_a_recording_that_could_not_get_its_name_is_refused_at_once(
    recognizer: Recognizer, waving: LandmarkSequence, path: Path
):
    """Not after an hour, at its end."""
    path.mkdir()
    with pytest.raises(InputError, match="got a folder, expected the name of a file"):
        recognizer.run(waving, record=path)


def test_a_folder_without_permission_or_a_wrong_name_is_said_before_anything_starts(
    recognizer: Recognizer, waving: LandmarkSequence, tmp_path: Path
):
    with pytest.raises(BharError, match=r"expected NAME\.bhar-session"):
        recognizer.run(waving, record=tmp_path / "a.zip")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        recognizer.run(waving, record=tmp_path / "file" / "a.bhar-session")


def test_replay_says_when_the_events_are_not_those_of_the_recording(
    waving: LandmarkSequence,
    presence_bundle: Path,
    path: Path,
    capsys: pytest.CaptureFixture[str],
):
    with Recognizer(presence_bundle, score_threshold=0.7).run(waving, record=path) as run:
        assert _events(run)
    assert main(["replay", str(path), "--model", str(presence_bundle)]) == 0
    assert "events as recorded" in capsys.readouterr().err
    assert main(["replay", str(path), "--model", "asl-coffee-prgcn"]) == 7
    assert "recorded with another model" in capsys.readouterr().err


@pytest.fixture(scope="module")
def journal(recording: LandmarkSequence, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("journal") / "a.bhar-session"
    with JournalWriter(path, "ab12", {"max_persons": 1}) as writer:
        for number, frame in enumerate(list(recording.frames())[:6]):
            writer.add(Frame.of(frame, number), ())
        writer.add(Frame(9e5, (), 1.5), ())
    return path.read_bytes()


@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_journal_gives_a_beginning_of_it_or_an_error(
    data: st.DataObject, damage: Callable[..., bytes], journal: bytes, tmp_path: Path
):
    """Cut, flipped or grown anywhere: whole frames from the first on, or one clear error."""
    whole = tmp_path / "whole.bhar-session"
    whole.write_bytes(journal)
    frames = list(read_journal(whole).frames())
    path = tmp_path / "damaged.bhar-session"
    path.write_bytes(damage(data, journal, 8))
    try:
        found = list(read_journal(path).frames())
    except BharError:
        with pytest.raises(BharError, match=re.escape(str(path))):
            read_journal(path)
        return
    assert 1 <= len(found) <= len(frames)
    for was, is_now in zip(frames, found, strict=False):
        assert was.timestamp_ms == is_now.timestamp_ms
        for a, b in zip(was.people, is_now.people, strict=True):
            assert isinstance(b, Landmarks)
            np.testing.assert_array_equal(a.body, b.body)


def test_ctrl_c_ends_a_run_at_once_with_its_files_whole(tmp_path: Path):
    """The interrupt of a terminal: exit within a second of it, video and recording readable."""
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
    pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
    import time

    video = Path(__file__).parents[2] / "examples/data/videos/yo_001.mp4"
    out, recording = tmp_path / "out.mp4", tmp_path / "out.bhar-session"
    command = [
        *(sys.executable, "-m", "bharsdk.cli", "run", str(video), "--model", "asl-coffee-prgcn"),
        *("--save", str(out), "--record", str(recording)),
    ]
    part = tmp_path / "out.part.bhar-session"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        until = time.monotonic() + 120
        while (not part.exists() or part.stat().st_size < 20_000) and time.monotonic() < until:
            time.sleep(0.01)
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        _, errors = process.communicate(timeout=60)
        took_s = time.monotonic() - begin
    assert process.returncode == 130, errors
    assert "interrupted before the end" in errors
    assert "Traceback" not in errors
    print(f"ended {took_s:.2f} s after Ctrl-C")
    capture = cv2.VideoCapture(str(out))
    assert capture.isOpened()
    assert capture.read()[0]
    capture.release()
    assert len(load_session(recording)) >= 15
    assert {path.name for path in tmp_path.iterdir()} == {out.name, recording.name}
    # Beside other work the interpreter alone may take a second to go.
    assert took_s < 5
