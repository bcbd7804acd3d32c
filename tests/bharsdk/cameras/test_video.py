from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bharsdk.cameras.video import Video
from bharsdk.errors import InputError

cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
CLIP = Path(__file__).parents[3] / "examples" / "data" / "videos" / "yo_001.mp4"


def _write(path: Path, frames: int, fourcc: str, fps: float = 25.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), fps, (64, 48))
    assert writer.isOpened()
    noise = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(noise.integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    return path


def test_frames_come_with_the_container_s_times(tmp_path: Path):
    with Video(_write(tmp_path / "a.mp4", 12, "mp4v")) as video:
        assert (video.fps, video.frame_count) == (25.0, 12)
        pictures = list(video)
    np.testing.assert_allclose([p.timestamp_ms for p in pictures], np.arange(12) * 40.0, atol=1)
    assert pictures[0].image.shape == (48, 64, 3)
    assert all(p.capture_ms > 0 for p in pictures)


def test_a_real_video_has_strictly_increasing_times():
    with Video(CLIP) as video:
        times = [p.timestamp_ms for p in video]
    assert len(times) == video.frame_count
    assert (np.diff(times) > 0).all()


def test_without_container_times_frames_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with Video(_write(tmp_path / "a.mp4", 5, "mp4v")) as video:
        monkeypatch.setattr(video, "_capture", _Timeless(video._capture))
        assert [p.timestamp_ms for p in video] == [0.0, 40.0, 80.0, 120.0, 160.0]


class _Timeless:
    """A capture that knows no times, as some containers and backends."""

    def __init__(self, capture: object) -> None:
        self.read = capture.read  # type: ignore[attr-defined]
        self.release = capture.release  # type: ignore[attr-defined]

    def get(self, _: int) -> float:
        return 0.0


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"gone\.mp4: got nothing there"):
        Video(tmp_path / "gone.mp4")
    with pytest.raises(InputError, match="got a folder"):
        Video(tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path):
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(InputError, match="empty file"):
        Video(path)


def test_a_file_that_is_no_video_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "text.mp4"
    path.write_text("not a video " * 100)
    with pytest.raises(InputError, match="cannot be read as a video"):
        Video(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.97])
def test_a_video_cut_off_before_its_index_is_refused(
    tmp_path: Path, keep: float, capfd: pytest.CaptureFixture[str]
):
    data = CLIP.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(InputError, match="truncated"), Video(path) as video:
        list(video)
    assert capfd.readouterr().err == ""


def test_a_video_with_fewer_pictures_than_it_announces_is_refused(tmp_path: Path):
    """Its index comes first, so it opens and plays, and stops early."""
    data = bytearray(_write(tmp_path / "a.avi", 40, "MJPG").read_bytes())
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    with Video(tmp_path / "cut.avi") as video, pytest.raises(InputError, match="truncated: got"):
        list(video)
