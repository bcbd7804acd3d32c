"""Nothing of a folder of labels is left out without a word."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from bhar_training.cli import main
from bhar_training.data.clip_files import find_videos
from bharsdk.cameras.file_kind import FileKind, kind_of_bytes
from bharsdk.errors import InputError, UsageError
from bharsdk.recordings.session_file import load_session

cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
ROOT = Path(__file__).parents[3]
VIDEO = min((ROOT / "examples" / "data" / "videos").glob("*.mp4"))
CASES = ROOT.parent / "shared" / "cases" / "video"
needs_camera = pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None,
    reason="needs the extra 'camera': pip install 'bharsdk[camera]'",
)
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """The first pictures of a real clip."""
    capture = cv2.VideoCapture(str(VIDEO))
    found = [cv2.resize(capture.read()[1], (480, 270)) for _ in range(4)]
    capture.release()
    return found


def _write(path: Path, pictures: list[np.ndarray], code: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 30.0, (480, 270))
    assert writer.isOpened(), path
    for picture in pictures:
        writer.write(picture)
    writer.release()


def _frames(folder: Path, pictures: list[np.ndarray], suffix: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"f{number}{suffix}"), picture)


@needs_camera
def test_every_clip_becomes_a_recording_or_is_named_and_counted(
    pictures: list[np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """yolov5 #146: videos of any name, folders of pictures, frames right in a label's folder."""
    root, out = tmp_path / "videos", tmp_path / "clips"
    _write(root / "film" / "a.m4v.mp4", pictures, "mp4v")
    (root / "film" / "a.m4v.mp4").rename(root / "film" / "a.m4v")
    _write(root / "film" / "b.mkv", pictures, "MJPG")
    (root / "film" / "b.mkv").rename(root / "film" / "b")
    _frames(root / "frames" / "take.1", pictures, ".jpg")
    (root / "frames" / "take.1" / "readme.md").write_text("hello")
    _frames(root / "loose", pictures, ".png")
    (root / "loose" / ".DS_Store").write_bytes(b"\0")
    (root / "odd").mkdir()
    (root / "odd" / "model.bin").write_bytes(bytes(range(256)) * 9)
    (root / "empty").mkdir()
    (root / "labels.csv").write_text("a,b")
    assert main(["extract", str(root), "--out", str(out), "--jobs", "1", "--fps", "10"]) == 0

    written = sorted(str(path.relative_to(out)) for path in out.rglob("*.bhar-session"))
    assert written == [
        "film/a.bhar-session",
        "film/b.bhar-session",
        "frames/take.1.bhar-session",
        "loose/loose.bhar-session",
    ]
    for name in written[2:]:
        times = load_session(out / name).sequence.timestamps_ms
        np.testing.assert_allclose(times, [0, 100, 200, 300])
    printed = capsys.readouterr()
    assert "4 clips written, 0 there before, 0 videos could not be used, 3 files left out" in (
        printed.out
    )
    for said in (
        "left out: " + str(root / "labels.csv") + ": text, no video",
        "left out: " + str(root / "frames" / "take.1" / "readme.md") + ": no picture, in a folder",
        "left out: " + str(root / "odd" / "model.bin") + ": data of an unknown kind, no video",
        "warning: label 'odd': no clip could be made",
        "warning: label 'empty': no clip could be made",
    ):
        assert said in printed.err
    assert ".DS_Store" not in printed.err


@needs_camera
@pytest.mark.long
@pytest.mark.skipif(not CASES.is_dir(), reason="needs the videos of ../shared/cases")
def test_the_videos_of_the_report_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """b.m4v and b.gif beside an mp4, and AV1, which is named."""
    for name in ("b.m4v", "b.gif", "av1.mp4"):
        target = tmp_path / "videos" / name.partition(".")[2]
        target.mkdir(parents=True)
        shutil.copy(CASES / name, target / name)
    out = tmp_path / "clips"
    assert main(["extract", str(tmp_path / "videos"), "--out", str(out)]) == 0
    assert {path.parent.name for path in out.rglob("*.bhar-session")} >= {"m4v", "gif"}


def test_what_is_no_clip_is_named_with_its_reason(tmp_path: Path) -> None:
    """By content; never by a guess at the name alone."""
    folder = tmp_path / "sign"
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "deep" / "deeper" / "a.mp4").touch()
    (folder / "hollow").mkdir()
    (folder / "voice.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    (folder / "photo.heic").write_bytes(b"\0\0\0\x20ftypheic")
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (folder / "nothing.dat").touch()
    (folder / "old.bhar-session").write_bytes(b"PK")
    (folder / "link.mp4").symlink_to(tmp_path / "gone.mp4")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "unknown.bin").write_bytes(b"\0\1\2\3" * 99)
    (folder / "clip.dat").write_bytes(b"\0\0\0\x20ftypisom")
    (tmp_path / "README").write_text("text")
    (tmp_path / "Thumbs.db").write_bytes(b"\0")
    (tmp_path / "__MACOSX").mkdir()
    found = find_videos([tmp_path])
    assert [(job.video.name, job.is_certain) for job in found.jobs] == [
        ("clip.dat", True),
        ("unknown.bin", False),
    ]
    why = {one.path.name: one.why for one in found.left_out}
    assert why.keys() == {
        *("README", "deep", "hollow", "voice.m4a", "photo.heic", "photo.jpg", "nothing.dat"),
        *("old.bhar-session", "link.mp4", "pipe.mp4"),
    }
    assert "with 1 files and no picture right in it" in why["deep"]
    assert why["hollow"] == "an empty folder"
    assert why["voice.m4a"] == "audio, no video"
    assert "save it as JPEG" in why["photo.heic"]
    assert "expected the pictures of a clip in sign/<clip>/" in why["photo.jpg"]
    assert "copy it to the clips" in why["old.bhar-session"]
    assert why["link.mp4"] == "a link to a file that is not there"
    assert why["pipe.mp4"] == "no regular file"


def test_pictures_in_a_label_s_folder_are_a_clip_only_if_they_are_numbered(tmp_path: Path) -> None:
    """Others are photos: as frames of one clip they would show no gesture."""
    for label, names in (
        ("frames", ("f_1.png", "f_2.png", "f_10.png")),
        ("photos", ("anna.png", "ben.png")),
        ("mixed", ("a1.png", "b1.png")),
        ("one", ("f1.png",)),
    ):
        (tmp_path / label).mkdir()
        for name in names:
            (tmp_path / label / name).write_bytes(PNG)
    found = find_videos([tmp_path])
    assert [job.video for job in found.jobs] == [tmp_path / "frames"]
    assert len(found.left_out) == 5
    assert found.labels == ("frames", "mixed", "one", "photos")


def test_a_file_of_an_unknown_kind_does_not_stand_in_a_video_s_way(tmp_path: Path) -> None:
    """Annotations are often called as their video is."""
    (tmp_path / "sign").mkdir()
    (tmp_path / "sign" / "a.bin").write_bytes(b"\0\1\2\3" * 99)
    (tmp_path / "sign" / "a.mp4").touch()
    found = find_videos([tmp_path])
    assert [job.video.name for job in found.jobs] == ["a.mp4"]
    assert [one.path.name for one in found.left_out] == ["a.bin"]


def test_a_folder_of_pictures_can_be_given_by_itself(tmp_path: Path) -> None:
    (tmp_path / "take").mkdir()
    with pytest.raises(UsageError, match="a folder with --label and no picture"):
        find_videos([tmp_path / "take"], "hello")
    (tmp_path / "take" / "1.png").write_bytes(PNG)
    (job,) = find_videos([tmp_path / "take"], "hello").jobs
    assert job.output(Path("out")) == Path("out/hello/take.bhar-session")


def test_a_folder_whose_name_is_no_label_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a,b").mkdir()
    with pytest.raises(InputError, match=r"a,b: got the label 'a,b', expected 1 to 100"):
        find_videos([tmp_path])


@pytest.mark.parametrize("fps", ["0", "-1", "nan", "many"])
def test_a_rate_that_is_none_is_a_usage_error(
    fps: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["extract", str(tmp_path), "--out", str(tmp_path / "out"), f"--fps={fps}"])
    assert ended.value.code == 2
    assert "frames a second, above 0, up to 1000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x1cftypqt  ", FileKind.MP4),
        (b"\0\0\0\x08wide\0\0\0\0mdat", FileKind.MP4),
        (b"RIFF\0\0\0\0AVI LIST", FileKind.AVI),
        (b"RIFF\0\0\0\0WAVEfmt ", FileKind.AUDIO),
        (b"RIFF\0\0\0\0WEBPVP8 ", FileKind.PICTURE),
        (b"\x1a\x45\xdf\xa3\x01", FileKind.MATROSKA),
        (b"GIF89a", FileKind.VIDEO),
        (b"\x00\x00\x01\xba\x44", FileKind.VIDEO),
        ((b"\x47" + bytes(187)) * 4, FileKind.VIDEO),
        ((bytes(4) + b"\x47" + bytes(187)) * 4, FileKind.VIDEO),
        (PNG, FileKind.PICTURE),
        (b"ID3\x04", FileKind.AUDIO),
        ("größe".encode(), FileKind.TEXT),
        (b"a" * 4095 + b"\xc3", FileKind.TEXT),
        (b"\xff\xfe\x00", FileKind.UNKNOWN),
        (b"", FileKind.EMPTY),
    ],
)
def test_a_file_s_first_bytes_say_what_it_is(head: bytes, kind: FileKind) -> None:
    assert kind_of_bytes(head) is kind
