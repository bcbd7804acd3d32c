"""A source that is not there yet is waited for, when asked."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bharsdk import Recognizer
from bharsdk.cameras.source_config import SourceConfig
from bharsdk.cli import main
from bharsdk.errors import BackendMissingError, BharError, InputError, SourceError, UsageError
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.pipeline.status import RunState, Status
from bharsdk.recognition.results import Result
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import save_session
from bharsdk.sources.opening import open_source

from .conftest import KnownLandmarker, NumberedPictures

TIMES = [100.0 * number for number in range(10)]
FOR_EVER = SourceConfig(wait_for_source_s=math.inf, retry_s=0.001, max_retry_s=0.01)
VIDEO = Path(__file__).parents[2] / "examples/data/videos/yo_001.mp4"


class Socket:
    """Where a camera is plugged in: each attempt to open it asks whether it is there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("cv2", reason="needs the extra 'camera'")
        self.attempts = 0
        self.tried, self.plugged = threading.Event(), threading.Event()
        self.cameras: list[NumberedPictures] = []
        monkeypatch.setattr("bharsdk.cameras.camera.Camera", self._open)

    def _open(self, address: object, origin_s: float) -> NumberedPictures:
        self.attempts += 1
        if self.attempts == 3:
            self.tried.set()
        if not self.plugged.is_set():
            raise SourceError("camera 7: cannot be opened, expected a connected camera")
        self.cameras.append(NumberedPictures(TIMES, is_live=True))
        return self.cameras[-1]


@pytest.fixture
def socket(monkeypatch: pytest.MonkeyPatch) -> Socket:
    return Socket(monkeypatch)


@pytest.mark.parametrize("start", [False, True], ids=["run", "start"])
def test_a_camera_that_comes_later_is_recognized_from_then_on(
    recognizer: Recognizer, waving: LandmarkSequence, socket: Socket, start: bool
):
    said: list[Status] = []
    results: list[Result] = []
    settings = {"landmarker": KnownLandmarker(waving), "config": FOR_EVER}
    if start:
        running = recognizer.start(7, results.append, on_status=said.append, **settings)
    else:
        run = recognizer.run(7, on_status=said.append, **settings)  # type: ignore[arg-type]
    assert socket.tried.wait(20)
    assert said[0] == Status(RunState.STARTING)
    (waiting,) = said[1:]
    assert waiting.state is RunState.STARTING
    assert "waiting for the source: camera 7: cannot be opened" in waiting.message
    socket.plugged.set()
    if start:
        assert running.join(20)
        run = running.run
    else:
        results += run
    assert results
    assert run.is_live
    assert [status.state for status in said[2:]][:1] == [RunState.WARMING]
    assert said[-1] == Status(RunState.ENDED)
    assert [camera.closed for camera in socket.cameras] == [1]
    assert run.counts.captured == len(TIMES)
    assert run.counts.pending == 0


@pytest.mark.parametrize("start", [False, True], ids=["run", "start"])
def test_closing_ends_the_wait_at_once(
    recognizer: Recognizer, waving: LandmarkSequence, socket: Socket, start: bool
):
    """Also in the middle of a pause of an hour between two attempts."""
    config = SourceConfig(wait_for_source_s=math.inf, retry_s=3600, max_retry_s=3600)
    settings = {"landmarker": KnownLandmarker(waving), "config": config}
    begin_s = time.monotonic()
    if start:
        with recognizer.start(7, lambda result: None, **settings) as running:
            assert running.run.status.state is RunState.STARTING
        assert running.join(20)
        run = running.run
    else:
        with recognizer.run(7, **settings) as run:  # type: ignore[arg-type]
            assert run.fps is None
    assert time.monotonic() - begin_s < 10
    assert run.status.state is RunState.ENDED
    assert run.counts.captured == 0


def test_a_camera_that_does_not_come_is_an_error_after_the_time_given(
    recognizer: Recognizer, waving: LandmarkSequence, socket: Socket
):
    config = SourceConfig(wait_for_source_s=0.05, retry_s=0.001, max_retry_s=0.01)
    run = recognizer.run(7, landmarker=KnownLandmarker(waving), config=config)
    with pytest.raises(SourceError, match="camera 7: cannot be opened"):
        list(run)
    assert socket.attempts > 1
    assert run.status.state is RunState.ERROR
    with pytest.raises(SourceError):
        recognizer.run(7, landmarker=KnownLandmarker(waving))


def test_a_camera_that_came_and_went_is_lost_and_not_waited_for(
    recognizer: Recognizer,
    waving: LandmarkSequence,
    socket: Socket,
    monkeypatch: pytest.MonkeyPatch,
):
    """From the first picture on, reconnect_for_s holds."""

    class Unplugged(NumberedPictures):
        def __iter__(self) -> Iterator[object]:  # type: ignore[override]
            yield from super().__iter__()
            raise SourceError("camera 7: stopped delivering pictures")

    monkeypatch.setattr("bharsdk.cameras.camera.Camera", lambda *_: Unplugged(TIMES, is_live=True))
    config = SourceConfig(wait_for_source_s=math.inf, reconnect_for_s=0)
    with pytest.raises(SourceError, match="stopped delivering"):
        list(recognizer.run(7, landmarker=KnownLandmarker(waving), config=config))


@pytest.mark.parametrize(
    ("source", "error"),
    [("gopher://x", UsageError), ("csi://x", UsageError), (1.5, InputError)],
)
def test_what_can_never_be_is_not_waited_for(
    recognizer: Recognizer, source: object, error: type[BharError]
):
    for use in (recognizer.run, open_source):
        with pytest.raises(error):
            use(source, config=FOR_EVER)  # type: ignore[operator]


def test_what_is_not_installed_is_not_waited_for(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def missing() -> None:
        raise BackendMissingError.for_extra("cv2", "camera")

    monkeypatch.setattr("bharsdk.sources.opening.import_cv2", missing)
    for source in (7, tmp_path / "later.mp4"):
        with pytest.raises(BackendMissingError):
            recognizer.run(source, config=FOR_EVER)


def test_a_file_that_is_there_and_cannot_be_used_is_not_waited_for(
    recognizer: Recognizer, tmp_path: Path
):
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    for name in ("a.mp4", "a.bhar-session"):
        (tmp_path / name).write_bytes(b"no such thing" * 10)
        with pytest.raises(InputError):
            recognizer.run(tmp_path / name, config=FOR_EVER)
    with pytest.raises(InputError, match="a folder"):
        recognizer.run(tmp_path, config=FOR_EVER)


def test_a_session_that_is_written_later_gives_the_same_events(
    recognizer: Recognizer, waving: LandmarkSequence, tmp_path: Path
):
    path = tmp_path / "later.bhar-session"
    waiting = threading.Event()

    def on_status(status: Status) -> None:
        if status.message:
            waiting.set()

    results: list[Result] = []
    running = recognizer.start(path, results.append, config=FOR_EVER, on_status=on_status)
    assert waiting.wait(20)
    whole = save_session(tmp_path / "whole.bhar-session", Session(waving))
    whole.rename(path)
    assert running.join(30)
    expected = [event for result in recognizer.run(waving) for event in result.events]
    assert [event for result in results for event in result.events] == expected != []


def test_a_video_that_is_written_later_is_read_at_its_own_rate(
    recognizer: Recognizer, waving: LandmarkSequence, tmp_path: Path
):
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    path = tmp_path / "later.mp4"
    waiting = threading.Event()
    config = SourceConfig(wait_for_source_s=math.inf, retry_s=0.001, max_retry_s=0.01, max_frames=5)
    run = recognizer.run(
        path,
        landmarker=KnownLandmarker(waving),
        config=config,
        on_status=lambda status: waiting.set() if status.message else None,
    )
    with run:
        assert run.fps is None
        assert waiting.wait(20)
        part = tmp_path / "part.mp4"
        shutil.copy(VIDEO, part)
        part.rename(path)
        next(run)
        assert run.fps == pytest.approx(25, abs=6)
        assert run.frame_count == 5
        assert not run.is_live
        list(run)
    assert run.counts.captured == 5


@pytest.mark.parametrize("name", ["never.mp4", "never.bhar-session"])
def test_a_file_that_does_not_come_is_missing_after_the_time_given(
    recognizer: Recognizer, waving: LandmarkSequence, tmp_path: Path, name: str
):
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    config = SourceConfig(wait_for_source_s=0.02, retry_s=0.001, max_retry_s=0.01)
    run = recognizer.run(tmp_path / name, landmarker=KnownLandmarker(waving), config=config)
    with pytest.raises(InputError, match=name):
        list(run)


def test_closing_ends_the_wait_for_a_file_too(recognizer: Recognizer, tmp_path: Path):
    config = SourceConfig(wait_for_source_s=math.inf, retry_s=3600, max_retry_s=3600)
    begin_s = time.monotonic()
    running = recognizer.start(tmp_path / "a.bhar-session", lambda result: None, config=config)
    running.close()
    assert running.join(20)
    source = open_source(tmp_path / "a.bhar-session", config=config)
    reader = threading.Thread(target=lambda: list(source))
    reader.start()
    source.close()
    reader.join(20)
    assert not reader.is_alive()
    assert time.monotonic() - begin_s < 10


@pytest.mark.parametrize("wrong", [-1.0, math.nan])
def test_a_time_that_cannot_be_waited_says_what_is_expected(wrong: float):
    with pytest.raises(InputError, match="expected seconds, 0 or more"):
        SourceConfig(wait_for_source_s=wrong)


def test_the_command_waits_as_long_as_asked(
    presence_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "never.bhar-session"
    arguments = ["run", str(path), "--model", str(presence_bundle), "--wait", "0.05"]
    assert main(arguments) == 3
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0].startswith("bhar: starting: waiting for the source: ")
    assert said[1].startswith("bhar: error: ")
    with pytest.raises(SystemExit) as wrong:
        main([*arguments[:-1], "-1"])
    assert wrong.value.code == 2


def _interrupted_while_waiting(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "bharsdk.cli", *arguments, "--wait", "inf"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        assert "waiting for the source" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        begin_s = time.monotonic()
        _, errors = process.communicate(timeout=60)
    assert time.monotonic() - begin_s < 10
    return process.returncode, errors


@pytest.mark.parametrize("command", ["run", "record"])
def test_ctrl_c_ends_the_wait_of_the_command_at_once(command: str, tmp_path: Path):
    """And leaves nothing behind: no recording of nothing."""
    targets = [str(tmp_path / "out.bhar-session")] if command == "record" else []
    code, errors = _interrupted_while_waiting(
        command, str(tmp_path / "later.bhar-session"), *targets, "--model", "asl-coffee-prgcn"
    )
    assert code == 130, errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
