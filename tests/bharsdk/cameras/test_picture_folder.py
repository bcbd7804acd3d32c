"""A folder of pictures is a clip: in natural order, at a rate that the user says."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from bharsdk import Recognizer
from bharsdk.cameras.picture_folder import PictureFolder, pictures_in
from bharsdk.cameras.source_config import SourceConfig
from bharsdk.cli import main
from bharsdk.errors import InputError
from bharsdk.sources.opening import open_source

cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")


def _picture(path: Path, value: int, size: tuple[int, int] = (32, 24)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((size[1], size[0], 3), value, np.uint8))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures 0 to 11, each ten brighter, whose names sort wrongly as text; and junk."""
    for number in range(12):
        _picture(tmp_path / "clip" / f"f{number}.{'jpg' if number % 2 else 'PNG'}", 10 * number)
    (tmp_path / "clip" / ".DS_Store").write_bytes(b"\0\1")
    (tmp_path / "clip" / "Thumbs.db").write_bytes(b"\0\1")
    return tmp_path / "clip"


def test_pictures_come_in_natural_order_with_their_times(
    folder: Path, caplog: pytest.LogCaptureFixture
):
    with PictureFolder(folder, 20) as pictures:
        found = list(pictures)
        assert (pictures.fps, pictures.frame_count, pictures.is_live) == (20, 12, False)
    assert [round(p.image.mean() / 10) for p in found] == list(range(12))
    assert [p.timestamp_ms for p in found] == [50.0 * number for number in range(12)]
    assert not caplog.records, "hidden files and file managers' own are no news"


def test_what_is_no_picture_is_named_and_left_out(folder: Path, caplog: pytest.LogCaptureFixture):
    """By content: a text that is called a picture is none, a picture without a suffix is one."""
    (folder / "f2.PNG").rename(folder / "f2")
    (folder / "f3.jpg").write_text("no picture")
    (folder / "labels.csv").write_text("a,b")
    (folder / "more").mkdir()
    with caplog.at_level(logging.WARNING, "bharsdk"):
        found = [round(p.image.mean() / 10) for p in PictureFolder(folder)]
    assert found == [0, 1, 2, *range(4, 12)]
    (record,) = caplog.records
    assert record.getMessage().endswith("is no picture: f3.jpg, labels.csv, more")


def test_a_damaged_picture_is_named_and_the_others_keep_their_times(
    folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    for name in ("f3.jpg", "f4.PNG", "f5.jpg"):
        cv2.imwrite(str(folder / name), noise)
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: 8 if name == "f5.jpg" else len(data) // 2])
    with caplog.at_level(logging.WARNING, "bharsdk"):
        found = list(PictureFolder(folder, 10))
    assert [p.timestamp_ms for p in found] == [0, 100, 200, 600, 700, 800, 900, 1000, 1100]
    said = [record.getMessage() for record in caplog.records]
    assert [Path(text.split(": ")[0]).name for text in said] == ["f3.jpg", "f4.PNG", "f5.jpg"]
    assert all("left out: the picture is" in text for text in said)
    assert capfd.readouterr().err == ""


def test_pictures_of_another_size_fit_the_first_and_of_another_shape_are_refused(folder: Path):
    _picture(folder / "f12.png", 120, (64, 48))
    assert {p.image.shape for p in PictureFolder(folder)} == {(24, 32, 3)}
    _picture(folder / "f13.png", 130, (24, 32))
    with pytest.raises(InputError, match=r"f13\.png: got 24 x 32 pixels after .* 32 x 24"):
        list(PictureFolder(folder))


def test_a_photo_is_turned_as_its_camera_says(tmp_path: Path):
    """EXIF orientation 6: a quarter turn clockwise."""
    path = _picture(tmp_path / "a.jpg", 90)
    data = path.read_bytes()
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path.write_bytes(data[:2] + segment + data[2:])
    (picture,) = PictureFolder(tmp_path)
    assert picture.image.shape == (32, 24, 3)


def test_a_folder_without_a_readable_picture_is_bad_input(tmp_path: Path):
    with pytest.raises(InputError, match="a folder without a picture, expected a video, or"):
        open_source(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match="got 1 pictures of which none can be read"):
        list(PictureFolder(tmp_path))
    with pytest.raises(InputError, match="cannot be read"):
        pictures_in(tmp_path / "gone")


@pytest.mark.parametrize("fps", [0.0, -5.0, float("nan"), float("inf"), 1001.0])
def test_a_rate_that_is_none_is_refused(
    fps: float, folder: Path, capsys: pytest.CaptureFixture[str]
):
    """In Python and on the command line."""
    with pytest.raises(InputError, match="folder_fps"):
        SourceConfig(folder_fps=fps)
    with pytest.raises(SystemExit) as ended:
        main(["run", str(folder), f"--fps={fps}"])
    assert ended.value.code == 2
    assert "frames a second, above 0, up to 1000" in capsys.readouterr().err


def test_a_rate_without_a_folder_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    assert main(["run", "0", "--fps", "30"]) == 2
    assert "--fps: got it without a folder of pictures" in capsys.readouterr().err


def test_a_folder_of_a_real_clip_gives_the_landmarks_of_the_clip(tmp_path: Path):
    """As a source of a run: the person is found, and the times are those of the rate."""
    pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
    capture = cv2.VideoCapture(
        str(Path(__file__).parents[3] / "examples" / "data" / "videos" / "yo_001.mp4")
    )
    for number in range(8):
        cv2.imwrite(str(tmp_path / f"{number}.png"), capture.read()[1])
    capture.release()
    config = SourceConfig(folder_fps=25)
    with Recognizer("asl-coffee-prgcn").run(tmp_path, config=config) as run:
        results = list(run)
        assert (run.fps, run.frame_count) == (25, 8)
    assert [r.timestamp_ms for r in results] == [40.0 * number for number in range(8)]
    assert all(r.landmarks.has_body for r in results[1:])


def test_a_folder_without_any_person_is_bad_input(folder: Path):
    class Blind:
        def detect(self, image: np.ndarray, timestamp_ms: float) -> tuple[()]:
            return ()

        def close(self) -> None: ...

    with (
        open_source(folder, Blind()) as frames,
        pytest.raises(InputError, match="no person found in 12 frames"),
    ):
        list(frames)
