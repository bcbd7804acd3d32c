from __future__ import annotations

import builtins
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bharsdk.cameras.source_config import Backpressure, SourceConfig
from bharsdk.errors import BackendMissingError, InputError, SourceError
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.process.silence import STDERR, quiet_outputs
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import save_session
from bharsdk.sources.opening import open_source
from bharsdk.sources.source import Source

VIDEOS = Path(__file__).parents[3] / "examples" / "data" / "videos"
NO_CAMERA = 97


class Blind:
    """A landmarker that never finds anybody."""

    closed = 0

    def detect(self, image: np.ndarray, timestamp_ms: float) -> tuple[Landmarks, ...]:
        return ()

    def close(self) -> None:
        self.closed += 1


def _gray_video(path: Path, frames: int = 12) -> Path:
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (160, 120))
    for _ in range(frames):
        writer.write(np.full((120, 160, 3), 128, np.uint8))
    writer.release()
    return path


def _blocked(name: str, error: Callable[[], ImportError]) -> Callable[..., object]:
    """An ``import_module`` for which ``name`` cannot be imported."""
    import importlib

    original = importlib.import_module

    def import_module(wanted: str, package: str | None = None) -> object:
        if wanted == name:
            raise error()
        return original(wanted, package)

    return import_module


def test_a_recording_is_the_same_as_file_path_text_session_and_sequence(
    recording: LandmarkSequence, tmp_path: Path
):
    path = save_session(tmp_path / "a.bhar-session", Session(recording))
    for source in (path, str(path), Session(recording), recording, recording.frames()):
        with open_source(source) as frames:
            times = [frame.landmarks.timestamp_ms for frame in frames]
        assert times == list(recording.timestamps_ms)


def test_a_session_knows_its_rate_and_length(recording: LandmarkSequence):
    with open_source(recording) as source:
        assert source.frame_count == len(recording)
        assert source.fps == pytest.approx(15.0)


def test_an_opened_source_passes_through():
    source = Source(iter([]))
    assert open_source(source) is source


def test_another_type_is_refused():
    with pytest.raises(InputError, match="got float"):
        open_source(1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("index", [NO_CAMERA, str(NO_CAMERA)])
def test_a_camera_that_does_not_exist_is_one_clear_line(
    index: int | str, capfd: pytest.CaptureFixture[str]
):
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    with pytest.raises(SourceError, match=f"camera {NO_CAMERA}: cannot be opened"):
        open_source(index, Blind())
    assert capfd.readouterr().err == ""


def test_a_camera_that_stops_is_a_lost_source(monkeypatch: pytest.MonkeyPatch):
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")

    class Failing:
        pictures = 3

        def __init__(self, _: int) -> None: ...
        def isOpened(self) -> bool:  # noqa: N802, OpenCV's name
            return True

        def set(self, *_: object) -> bool:
            return True

        def read(self) -> tuple[bool, np.ndarray | None]:
            self.pictures -= 1
            return self.pictures >= 0, np.zeros((48, 64, 3), np.uint8)

        def release(self) -> None: ...

    monkeypatch.setattr(cv2, "VideoCapture", Failing)
    times: list[float] = []
    config = SourceConfig(Backpressure.WAIT, reconnect_for_s=0)
    source = open_source(0, Blind(), config)
    with source, pytest.raises(SourceError, match="stopped delivering"):
        times.extend(frame.landmarks.timestamp_ms for frame in source)
    assert len(times) == Failing.pictures
    assert (np.diff(times) > 0).all()


def test_a_video_without_any_person_is_bad_input(tmp_path: Path):
    path, landmarker = _gray_video(tmp_path / "gray.mp4"), Blind()
    with (
        open_source(path, landmarker) as source,
        pytest.raises(InputError, match="no person found in 12 frames"),
    ):
        list(source)
    assert landmarker.closed == 0, "a landmarker that was passed in belongs to the caller"


def test_mediapipe_finds_nobody_in_gray(tmp_path: Path):
    pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
    with (
        open_source(_gray_video(tmp_path / "gray.mp4", 4)) as source,
        pytest.raises(InputError, match="no person found in 4 frames"),
    ):
        list(source)


def test_mediapipe_finds_the_signer_of_a_real_clip_in_silence():
    """In a process of its own: what MediaPipe says, it says once per process."""
    pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
    program = (
        "import sys, numpy as np\n"
        "from bharsdk.sources.opening import open_source\n"
        "with open_source(sys.argv[1]) as source:\n"
        "    frames = [frame for _, frame in zip(range(20), source)]\n"
        "marks = [frame.landmarks for frame in frames]\n"
        "hands = np.stack([m.hands for m in marks])\n"
        "nose, hip = marks[-1].body[0], marks[-1].body[23]\n"
        "left, right = marks[-1].body[11], marks[-1].body[12]\n"
        "print(sum(m.has_body for m in marks), bool(nose[1] < hip[1]), bool(left[0] > right[0]),\n"
        "      bool((~np.isnan(hands[..., 0, 0])).any()), round(marks[0].aspect, 2),\n"
        "      all(frame.landmarks_ms > 1 for frame in frames))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(VIDEOS / "yo_001.mp4")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    # The person faces the camera: the left shoulder is on the right side of the picture.
    assert result.stdout.split() == ["20", "True", "True", "True", "1.78", "True"], result.stderr
    assert result.stderr == ""


@pytest.mark.parametrize("module", ["cv2", "mediapipe"])
def test_a_missing_extra_names_the_pip_install(
    module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    path = _gray_video(tmp_path / "gray.mp4")
    blocked = _blocked(module, lambda: ModuleNotFoundError(f"No module {module}", name=module))
    monkeypatch.setattr("bharsdk.cameras.opencv.importlib.import_module", blocked)
    with pytest.raises(
        BackendMissingError, match=rf"{module} is not installed: run  pip install 'bharsdk\[camera"
    ):
        open_source(path)


def test_a_missing_system_library_names_the_debian_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    path = _gray_video(tmp_path / "gray.mp4")
    loader = "libGL.so.1: cannot open shared object file: No such file or directory"
    blocked = _blocked("cv2", lambda: ImportError(loader))
    monkeypatch.setattr("bharsdk.cameras.opencv.importlib.import_module", blocked)
    with pytest.raises(BackendMissingError, match=r"libGL\.so\.1.*libgl1 libglib2\.0-0"):
        open_source(path)


def test_sessions_need_neither_opencv_nor_mediapipe(
    monkeypatch: pytest.MonkeyPatch, recording: LandmarkSequence, tmp_path: Path
):
    original = builtins.__import__

    def refuse(name: str, *rest: object, **keys: object) -> object:
        assert name.split(".")[0] not in {"cv2", "mediapipe"}
        return original(name, *rest, **keys)  # type: ignore[arg-type]

    path = save_session(tmp_path / "a.bhar-session", Session(recording))
    monkeypatch.setattr(builtins, "__import__", refuse)
    with open_source(path) as source:
        assert len(list(source)) == len(recording)


def test_quiet_outputs_silences_a_descriptor_for_its_block_only(
    capfd: pytest.CaptureFixture[str],
):
    with quiet_outputs(STDERR):
        os.write(2, b"noise")
    os.write(2, b"signal")
    assert capfd.readouterr().err == "signal"


def test_quiet_outputs_lets_errors_through(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(ValueError, match="kept"), quiet_outputs(STDERR):
        raise ValueError("kept")
    os.write(2, b"signal")
    assert capfd.readouterr().err == "signal"
