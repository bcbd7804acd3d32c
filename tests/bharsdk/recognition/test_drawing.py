from __future__ import annotations

import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bharsdk.cli import main
from bharsdk.errors import InputError, UsageError
from bharsdk.events import Event, EventPhase
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.recognition.drawing import AnnotatedVideo, draw_landmarks
from bharsdk.recognition.results import Person, Result

cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
END = Event("tea", EventPhase.END, 1000.0, 2500.0, 0.875)


def _result(landmarks: Landmarks, **changes: object) -> Result:
    person = Person(0, landmarks, "tea", 0.9, END, (END,), (), None)
    return Result(landmarks.timestamp_ms, 0, (person,), landmarks.aspect, **changes)  # type: ignore[arg-type]


@pytest.fixture
def frame(recording: LandmarkSequence) -> Landmarks:
    return next(recording.frames())


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _write_and_raise(path: Path, frame: Landmarks, error: BaseException) -> None:
    with AnnotatedVideo(path, 25.0) as video:
        video.write(_result(frame))
        video.write(_result(frame))
        raise error


def _frames_in(path: Path) -> int:
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


def test_plot_draws_on_a_copy(frame: Landmarks):
    image = np.full((360, 640, 3), 50, np.uint8)
    drawn = _result(frame, image=image).plot()
    assert (image == 50).all()
    assert drawn.shape == image.shape
    assert (drawn != image).any(axis=2).mean() > 0.01


def test_plot_without_a_picture_draws_on_black_of_the_same_aspect(frame: Landmarks):
    drawn = _result(frame).plot()
    assert drawn.shape[1] / drawn.shape[0] == pytest.approx(frame.aspect, rel=0.01)
    assert drawn.any()


def test_what_was_not_detected_is_not_drawn():
    canvas = np.zeros((120, 160, 3), np.uint8)
    draw_landmarks(canvas, Landmarks.empty(0.0))
    assert not canvas.any()


def test_joints_far_outside_the_picture_do_no_harm(frame: Landmarks):
    body = frame.body.copy()
    body[:, :2] *= 1e8
    body[0, :2] = 2.0
    draw_landmarks(np.zeros((120, 160, 3), np.uint8), Landmarks(0.0, body, frame.hands))


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 4)])
def test_another_kind_of_picture_is_refused(frame: Landmarks, shape: tuple[int, ...]):
    with pytest.raises(InputError, match="expected uint8"):
        _result(frame).plot(np.zeros(shape, np.uint8))


def test_a_video_appears_whole_with_every_frame(frame: Landmarks, tmp_path: Path):
    path = tmp_path / "new folder" / "a.mp4"
    with AnnotatedVideo(path, 25.0) as video:
        for _ in range(6):
            video.write(_result(frame))
        video.write(_result(frame, is_final=True))
        assert not path.exists()
    assert _names(path.parent) == ["a.mp4"]
    assert _frames_in(path) == 6


def test_an_error_leaves_no_video_and_an_older_one_whole(frame: Landmarks, tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.write_text("older")
    with pytest.raises(InputError, match="lost"):
        _write_and_raise(path, frame, InputError("lost"))
    assert _names(tmp_path) == ["a.mp4"]
    assert path.read_text() == "older"


def test_ctrl_c_keeps_a_readable_video(frame: Landmarks, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        _write_and_raise(tmp_path / "a.mp4", frame, KeyboardInterrupt())
    assert _frames_in(tmp_path / "a.mp4") == 2


def test_ctrl_c_before_the_first_picture_keeps_the_video_of_before(
    frame: Landmarks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A header alone is no video: no player opens it."""
    writer = cv2.VideoWriter

    class Interrupted:
        """Not derived from OpenCV's own, which crashes when a subclass of it is collected."""

        def __init__(self, *arguments: object) -> None:
            self._writer = writer(*arguments)
            self.isOpened, self.release = self._writer.isOpened, self._writer.release

        def write(self, _image: np.ndarray) -> None:
            raise KeyboardInterrupt

    (tmp_path / "a.mp4").write_bytes(b"before")
    monkeypatch.setattr(cv2, "VideoWriter", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        _write_and_raise(tmp_path / "a.mp4", frame, AssertionError("not interrupted"))
    assert _names(tmp_path) == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"before"


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process grows beyond 20 KB: the system refuses, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


def _draw(path: Path, recording: LandmarkSequence, count: int = 60) -> None:
    with AnnotatedVideo(path, 25.0) as video:
        for frame in list(recording.frames())[:count]:
            video.write(_result(frame))


def test_a_full_disk_is_an_error_and_leaves_the_video_of_before(
    recording: LandmarkSequence, tmp_path: Path, small_disk: None
):
    """OpenCV says nothing: what was written is read again before it gets its name."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"before")
    with pytest.raises(InputError, match=r"cannot be read again.*a file of before stays"):
        _draw(path, recording)
    assert _names(tmp_path) == ["a.mp4"]
    assert path.read_bytes() == b"before"


def test_a_disk_that_fills_up_keeps_what_was_drawn_until_then(
    recording: LandmarkSequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """While there is room for the index that players need; the video of before stays."""
    path, free = tmp_path / "a.mp4", iter([1 << 40, 1 << 40, 1 << 20])
    path.write_bytes(b"before")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=next(free)))
    with pytest.raises(InputError, match=r"got 1 MB .*a\.part\.mp4 holds the first 60 frames"):
        _draw(path, recording, 100)
    assert sorted(_names(tmp_path)) == ["a.mp4", "a.part.mp4"]
    assert path.read_bytes() == b"before"
    assert _frames_in(tmp_path / "a.part.mp4") == 60


def test_a_full_disk_ends_bhar_run_with_its_own_code(
    recording: LandmarkSequence, tmp_path: Path, small_disk: None, capfd: pytest.CaptureFixture[str]
):
    """Exit code 3 and a line; yesterday's video stays."""
    (tmp_path / "a.mp4").write_bytes(b"before")
    session = Path(__file__).parents[3] / "examples/data/sessions/s2-a.bhar-session"
    arguments = ["run", str(session), "--model", "asl-coffee-prgcn", "--max-frames", "60"]
    assert main([*arguments, "--save", str(tmp_path / "a.mp4")]) == 3
    assert "cannot be read again" in capfd.readouterr().err
    assert (tmp_path / "a.mp4").read_bytes() == b"before"


def test_a_source_without_frames_leaves_no_video(tmp_path: Path):
    with AnnotatedVideo(tmp_path / "a.mp4", 25.0):
        pass
    assert _names(tmp_path) == []


def test_pictures_that_change_size_are_fitted(frame: Landmarks, tmp_path: Path):
    with AnnotatedVideo(tmp_path / "a.mp4", 25.0) as video:
        for shape in ((48, 64, 3), (96, 128, 3)):
            video.write(_result(frame, image=np.zeros(shape, np.uint8)))
    assert _frames_in(tmp_path / "a.mp4") == 2


def test_a_name_or_folder_that_cannot_be_written_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"ends in \.mp4"):
        AnnotatedVideo(tmp_path / "a.gif", 25.0)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        AnnotatedVideo(tmp_path / "file" / "a.mp4", 25.0)
