"""Every example does on the bundled clips what it promises to do on a camera."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bharsdk.events import Event, EventPhase
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.pipeline.status import RunState, Status
from bharsdk.recognition.results import Result
from bharsdk.recordings.session import Session, TrueEvent
from bharsdk.recordings.session_file import load_session, save_session

EXAMPLES = Path(__file__).parents[2] / "examples"
SESSIONS = sorted((EXAMPLES / "data" / "sessions").glob("*.bhar-session"))
VIDEO = EXAMPLES / "data" / "videos" / "ambulancia_001_270p.mp4"
MODEL = "asl-coffee-prgcn"
SMALL_MODEL = ["--model", MODEL]


def _example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _needs_camera() -> None:
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    pytest.importorskip("mediapipe", reason="needs the extra 'camera'")


def _cut(session: Session, start_ms: float, end_ms: float) -> LandmarkSequence:
    """The frames of a session from ``start_ms`` on, before ``end_ms``."""
    sequence = session.sequence
    times = sequence.timestamps_ms
    kept = (times >= start_ms - 1) & (times < end_ms - 1)
    parts = (times[kept] - start_ms + 1, sequence.body[kept], sequence.hands[kept])
    return LandmarkSequence(*parts, sequence.aspect)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen seconds of a session: tea, medium, no, please, small and what is between."""
    session = load_session(SESSIONS[0])
    labels = [true.label for true in session.truth]
    first = labels.index("tea")
    assert labels[first : first + 5] == ["tea", "medium", "no", "please", "small"]
    span = session.truth[first].start_ms - 1300, session.truth[first + 4].end_ms + 1300
    path = tmp_path_factory.mktemp("short") / "short.bhar-session"
    return save_session(path, Session(_cut(session, *span)))


def test_the_readme_names_every_example():
    text = (EXAMPLES / "README.md").read_text()
    programs = [path.name for path in EXAMPLES.glob("*.py")]
    assert len(programs) >= 9
    assert [name for name in [*programs, "ros2"] if f"]({name})" not in text] == []


# ---- webcam -----------------------------------------------------------------------------------


def test_webcam_prints_events_and_how_it_is_doing_where_there_is_no_window(
    short: Path, capsys: pytest.CaptureFixture[str]
):
    assert _example("webcam").main([str(short), "--no-window", *SMALL_MODEL]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^end +tea .* score 0\.\d\d$", text, re.MULTILINE)
    assert re.search(r"no sign +[\d.]+ fps  age +\d+ ms  dropped 0  warming", text)
    assert re.search(r"^\d+ frames shown, 0 dropped$", text, re.MULTILINE)


def test_webcam_finds_people_in_pictures_without_a_display(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    _needs_camera()
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert _example("webcam").main([str(VIDEO), "--max-frames", "10", *SMALL_MODEL]) == 0
    assert "10 frames shown, 0 dropped" in capsys.readouterr().out


def test_webcam_shows_what_it_draws_until_q(
    short: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """There is no display here, so that the pictures are caught where a window would get them."""
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
    shown: list[Any] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "imshow", lambda title, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda wait_ms: ord("q") if len(shown) == 20 else -1)
    assert _example("webcam").main([str(short), *SMALL_MODEL]) == 0
    assert "20 frames shown" in capsys.readouterr().out
    assert len(shown) == 20
    assert all(picture.dtype == np.uint8 and picture.shape[2] == 3 for picture in shown)
    assert shown[-1][-30:].any()  # the line below the picture


# ---- video_file -------------------------------------------------------------------------------


def test_video_file_writes_every_frame_annotated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    _needs_camera()
    import cv2

    out = tmp_path / "out.mp4"
    assert _example("video_file").main([str(VIDEO), str(out), "--max-frames", "10"]) == 0
    assert f"{out}: 10 frames, 0 signs" in capsys.readouterr().out
    before, after = cv2.VideoCapture(str(VIDEO)), cv2.VideoCapture(str(out))
    pictures = [after.read()[1] for _ in range(10)]
    assert not after.read()[0]
    plain = before.read()[1]
    assert pictures[0].shape == plain.shape
    assert np.abs(pictures[0].astype(int) - plain).max() > 100  # joints and text are on it


def test_video_file_prints_the_events_of_a_session(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    assert _example("video_file").main([str(short), str(tmp_path / "o.mp4"), *SMALL_MODEL]) == 0
    text = capsys.readouterr().out
    ends = re.findall(r"^end +(\S+)", text, re.MULTILINE)
    assert {"tea", "no", "small"} <= set(ends)
    assert f", {len(ends)} signs" in text


def test_video_file_without_its_video_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert _example("video_file").main([str(tmp_path / "none.mp4"), str(tmp_path / "o.mp4")]) == 3
    assert capsys.readouterr().err.startswith("video_file: error: ")
    assert list(tmp_path.iterdir()) == []


# ---- robot_loop -------------------------------------------------------------------------------


def test_robot_takes_the_order_of_a_session_and_stands_still_at_its_end(
    short: Path, capsys: pytest.CaptureFixture[str]
):
    assert _example("robot_loop").main([str(short), *SMALL_MODEL]) == 0
    lines = capsys.readouterr().out.splitlines()
    order = [line for line in lines if line.startswith("robot: order is")][-1]
    assert order.startswith("robot: order is tea")
    assert "small" in order
    assert lines[-1] == "robot: holds: the program ends"


def test_robot_stands_still_and_ends_well_when_it_is_interrupted():
    """Ctrl-C while it moves: exit code 0, nothing on stderr."""
    command = [sys.executable, str(EXAMPLES / "robot_loop.py"), str(SESSIONS[0]), *SMALL_MODEL]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("robot: ")
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read().splitlines()
        assert process.stderr.read() == ""
    assert rest[-1] == "robot: holds: the program ends"
    assert process.returncode == 0


def test_robot_without_its_camera_stands_still_and_says_why(capsys: pytest.CaptureFixture[str]):
    _needs_camera()
    assert _example("robot_loop").main(["99", *SMALL_MODEL]) == 9
    told = capsys.readouterr()
    assert told.out.splitlines() == ["robot: holds: the program ends"]
    assert told.err.startswith("robot_loop: error: camera 99: cannot be opened")


@pytest.mark.parametrize("state", list(RunState))
def test_robot_moves_only_while_the_recognizer_runs(state: RunState):
    eyes = _example("robot_loop").Eyes(clock=lambda: 10.0)
    eyes.on_result(Result(0.0, 0, ()))
    eyes.on_status(Status(state, "why"))
    assert (eyes.blind is None) == (state is RunState.RUNNING)


@pytest.mark.parametrize(
    ("now_s", "age_ms", "is_live", "sees"),
    [
        pytest.param(10.4, 0.0, True, True, id="fresh"),
        pytest.param(10.6, 0.0, True, False, id="silent"),
        pytest.param(10.4, 200.0, True, False, id="an old picture"),
        pytest.param(99.0, 0.0, False, True, id="a file"),
    ],
)
def test_robot_does_not_move_on_old_news(now_s: float, age_ms: float, is_live: bool, sees: bool):
    now = [10.0]
    eyes = _example("robot_loop").Eyes(clock=lambda: now[0])
    eyes.is_live = is_live
    eyes.on_status(Status(RunState.RUNNING))
    eyes.on_result(Result(0.0, 0, (), age_ms=age_ms))
    now[0] = now_s
    assert (eyes.blind is None) == sees


def test_robot_halts_at_the_start_of_a_no_until_the_end_of_a_please():
    module = _example("robot_loop")
    robot = module.Robot()
    halted = None
    told = []
    for label, phase in (
        ("coffee", EventPhase.START),
        ("no", EventPhase.START),
        ("no", EventPhase.END),
        ("please", EventPhase.START),
        ("hello", EventPhase.END),
        ("please", EventPhase.END),
        ("coffee", EventPhase.END),
    ):
        end_ms = 1.0 if phase is EventPhase.END else None
        halted = module.react(robot, Event(label, phase, 0.0, end_ms, 0.9), halted)
        told.append(halted is not None)
    assert told == [False, True, True, True, True, False, False]
    assert robot.order == ["coffee"]


def test_robot_loop_ticks_whether_or_not_anything_is_seen():
    """No result ever comes; it holds at every tick, and ends when asked to."""
    module = _example("robot_loop")
    stop, ticks = threading.Event(), list[str]()

    class Counting(module.Robot):  # type: ignore[misc, name-defined]
        def hold(self, reason: str) -> None:
            ticks.append(reason)
            if len(ticks) == 5:
                stop.set()

    robot = Counting()
    module.control(robot, module.Eyes(), stop)
    assert ticks == ["starting"] * 5
    assert robot.steps == 0


# ---- multi_camera -----------------------------------------------------------------------------


def test_events_of_two_cameras_come_in_order_and_a_third_may_fail(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    sources = [f"left={short}", f"right={short}", f"gone={tmp_path / 'none.mp4'}"]
    assert _example("multi_camera").main([*sources, *SMALL_MODEL]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("gone: failed: ")
    shown = [re.match(r" *([\d.]+) s  (left|right) +(start|end) +(\S+)", x) for x in lines[1:]]
    found = [match.groups() for match in shown if match is not None]
    assert len(found) == len(lines) - 1
    assert [float(time_s) for time_s, *_ in found] == sorted(float(time_s) for time_s, *_ in found)
    left, right = (
        [(t, phase, label) for t, name, phase, label in found if name == side]
        for side in ("left", "right")
    )
    assert left == right
    assert {"tea", "no", "small"} <= {label for _, _, label in left}


def test_a_camera_that_fails_in_the_middle_does_not_end_the_others(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A video of a gray wall is an error at its end: nobody is in it."""
    _needs_camera()
    import cv2

    wall = tmp_path / "wall.avi"
    writer = cv2.VideoWriter(str(wall), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (160, 120))
    for _ in range(3):
        writer.write(np.full((120, 160, 3), 90, np.uint8))
    writer.release()
    assert _example("multi_camera").main([f"wall={wall}", str(short), *SMALL_MODEL]) == 3
    text = capsys.readouterr().out
    assert "wall: failed: " in text
    assert "no person found" in text
    assert re.search(r"camera 1 +end +small", text)


def test_a_silent_camera_does_not_hold_up_the_others_for_long():
    module = _example("multi_camera")
    now = [0.0]
    merged = module.MergedEvents(clock=lambda: now[0])
    merged.add("a", module.HOLD_BACK_S)
    merged.add("b", module.HOLD_BACK_S)
    event = Event("tea", EventPhase.START, 50.0, None, 0.9)
    merged.put("a", 100.0, [event])
    merged.put("b", 90.0, [event])
    assert [(t, name) for t, name, _ in merged.ready()] == [(90.0, "b")]
    now[0] = module.HOLD_BACK_S + 0.1
    merged.put("a", 1200.0, [])
    assert [(t, name) for t, name, _ in merged.ready()] == [(100.0, "a")]
    assert merged.ready() == []


def test_two_cameras_of_one_name_are_a_contradiction(
    short: Path, capsys: pytest.CaptureFixture[str]
):
    assert _example("multi_camera").main([f"a={short}", f"a={short}", *SMALL_MODEL]) == 2
    assert "two sources named 'a'" in capsys.readouterr().err


# ---- train_your_own ---------------------------------------------------------------------------


def _clips(folder: Path) -> None:
    """Two clips each of two signs, and ten pictures of a video as a third."""
    import cv2

    session = load_session(SESSIONS[0])
    for label in ("small", "muffin"):
        true: Sequence[TrueEvent] = [t for t in session.truth if t.label == label]
        for number, sign in enumerate(true):
            path = folder / label / f"{number}.bhar-session"
            save_session(path, Session(_cut(session, sign.start_ms, sign.end_ms)))
    source = cv2.VideoCapture(str(VIDEO))
    pictures = [source.read()[1] for _ in range(10)]
    (folder / "ambulance").mkdir()
    path = folder / "ambulance" / "one.mp4"
    code = cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), code, 30.0, pictures[0].shape[1::-1])
    for picture in pictures:
        writer.write(picture)
    writer.release()


def test_a_model_is_trained_on_ones_own_clips_and_recognizes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    for module in ("torch", "onnx", "mediapipe", "cv2"):
        pytest.importorskip(module, reason="needs the extras 'train', 'export' and 'camera'")
    _clips(tmp_path / "videos")
    out = tmp_path / "mine"
    arguments = [str(tmp_path / "videos"), str(out), "--epochs", "1", "--draws", "0", "--jobs", "1"]
    assert _example("train_your_own").main(arguments) == 0
    text = capfd.readouterr().out
    for step in ("1. Joints", "2. Training", "3. Export", "4. Recognizing"):
        assert step in text
    assert "1 clips written" in text
    assert "5 clips, 3 labels: ambulance muffin small" in text
    assert re.findall(r"^   (\w+) +-> ", text, re.MULTILINE) == ["ambulance", "muffin", "small"]
    assert (out / "mine.bhar").is_file()
    from bharsdk import Recognizer

    assert Recognizer(out / "mine.bhar").labels == ("-", "ambulance", "muffin", "small")


def test_a_folder_without_videos_is_bad_input(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    pytest.importorskip("tqdm", reason="needs the extra 'train'")
    assert _example("train_your_own").main([str(tmp_path), str(tmp_path / "out")]) == 3
    assert "got no videos, expected <label>/<video>" in capfd.readouterr().err


def test_recorded_sessions_alone_are_enough_without_a_landmarker(
    short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder, clips = tmp_path / "videos" / "tea", tmp_path / "clips"
    folder.mkdir(parents=True)
    shutil.copy(short, folder)
    (folder / ".DS_Store").touch()
    assert _example("train_your_own").landmarks(tmp_path / "videos", clips, None) == 0
    assert (clips / "tea" / short.name).read_bytes() == short.read_bytes()
    assert "bhar-train" not in capsys.readouterr().out


def test_a_model_is_not_made_among_its_own_videos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert _example("train_your_own").main([str(tmp_path), str(tmp_path)]) == 2
    assert "which holds the videos" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# ---- jetson -----------------------------------------------------------------------------------


def test_jetson_without_tensorrt_runs_the_kernels_and_says_why_in_a_line(
    short: Path, capsys: pytest.CaptureFixture[str]
):
    assert _example("jetson").main([MODEL, str(short)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("jetson: no TensorRT, the native backend runs: ")
    assert lines[2].startswith("jetson: native int8")
    assert any(re.match(r"end +small", line) for line in lines)
    assert any(re.match(r"\d+ frames, 0 dropped", line) for line in lines)


def test_jetson_without_its_camera_says_what_it_needs(capsys: pytest.CaptureFixture[str]):
    _needs_camera()
    assert _example("jetson").main([MODEL]) == 9
    assert "csi camera 0: cannot be opened, expected a Jetson" in capsys.readouterr().err
