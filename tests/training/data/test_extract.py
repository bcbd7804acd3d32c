from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest

from bhar_training.cli import main
from bhar_training.data import extract as module
from bhar_training.data.clip_set import ClipSet
from bhar_training.data.clips import load_clips
from bhar_training.data.extract import Job, Summary, extract, find_videos
from bhar_training.data.looks import table
from bharsdk.errors import BackendMissingError, InputError, UsageError
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recordings.session_file import load_session

VIDEO = min((Path(__file__).parents[3] / "examples/data/videos").glob("*.mp4"))
FRAMES = 6
needs_camera = pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None,
    reason="needs the extra 'camera': pip install 'bharsdk[camera]'",
)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels "sign" (the start of a real clip, a file that is none) and "wall" (nobody in it)."""
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
    folder = tmp_path_factory.mktemp("videos")
    source = cv2.VideoCapture(str(VIDEO))
    pictures = [source.read()[1] for _ in range(FRAMES)]
    source.release()
    gray = [np.full((120, 160, 3), 90, np.uint8)] * 3
    for name, images in (("sign/one.mp4", pictures), ("wall/gray.avi", gray)):
        path = folder / name
        path.parent.mkdir()
        code = cv2.VideoWriter_fourcc(*("mp4v" if path.suffix == ".mp4" else "MJPG"))
        writer = cv2.VideoWriter(str(path), code, 30.0, images[0].shape[1::-1])
        for image in images:
            writer.write(image)
        writer.release()
    (folder / "sign" / "text.mp4").write_text("no video")
    (folder / "sign" / "notes.txt").write_text("passed over")
    (folder / ".cache").mkdir()
    return folder


@needs_camera
def test_good_videos_become_clips_and_bad_ones_are_reported(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0 with one clip out of three; a second run has nothing to do for it."""
    command = ["extract", str(videos), "--out", str(tmp_path), "--jobs", "2"]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert (
        "1 clips written, 0 there before, 2 videos could not be used, 1 files left out"
        in printed.out
    )
    assert f"left out: {videos / 'sign' / 'notes.txt'}: text, no video" in printed.err
    assert "warning: label 'wall': no clip could be made" in printed.err
    assert "text.mp4: cannot be read as a video" in printed.err
    assert "gray.avi: no person found in 3 frames" in printed.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / "sign" / "one.bhar-session"]

    session = load_session(files[0])
    assert len(session.sequence) == FRAMES
    assert session.note == "landmarks of one.mp4"
    assert session.sequence.aspect == pytest.approx(16 / 9, rel=0.01)
    assert np.isfinite(session.sequence.body).all()
    clips = load_clips(tmp_path)
    assert clips.labels == ("sign",)

    written = files[0].stat().st_mtime_ns
    assert main([*command[:3], str(tmp_path)]) == 0
    assert "0 clips written, 1 there before" in capsys.readouterr().out
    assert files[0].stat().st_mtime_ns == written


@needs_camera
def test_without_any_clip_the_exit_code_is_3(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is written, not even a folder."""
    out = tmp_path / "out"
    bad = str(videos / "sign" / "text.mp4")
    assert main(["extract", bad, "--label", "sign", "--out", str(out)]) == 3
    assert "bhar-train: error: got 1 videos and no clip" in capsys.readouterr().err
    assert not out.exists()


@needs_camera
def test_an_interrupt_leaves_nothing_half_written(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a video: exit code 130, no traceback, no file, no process."""
    out = tmp_path / "out"
    command = ["extract", str(VIDEO), "--label", "sign", "--out", str(out)]
    program = f"import sys; from bhar_training.cli import main; sys.exit(main({command!r}))"
    ours, theirs = pty.openpty()  # the bar, which says when it begins, is for terminals
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", program], stderr=theirs, text=True, start_new_session=True
    )
    os.close(theirs)
    said = ""
    while "extract:" not in said:
        said += os.read(ours, 1000).decode()
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
        while part := os.read(ours, 10_000):
            said += part.decode()
    os.close(ours)
    assert "interrupted; the same command goes on where it stopped" in said
    assert "Traceback" not in said
    assert not out.exists()


@needs_camera
def test_a_video_that_crashes_its_process_is_reported(tmp_path: Path) -> None:
    """The other videos go on in a new process."""
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from bhar_training.data import extract\n"
        "from bharsdk.errors import InputError\n"
        "def landmarks(video, fps, landmarker):\n"
        "    if video.name == 'crash.mp4': os._exit(11)\n"
        "    return InputError(f'{video.name}: refused')\n"
        "extract._landmarks = landmarks\n"
        "if __name__ == '__main__':\n"
        "    jobs = [extract.Job(Path(n), 'x') for n in ('crash.mp4', 'b.mp4', 'c.mp4')]\n"
        "    found = extract.extract(jobs, Path('out'), processes=1)\n"
        "    print([reason for _, reason in found.failures])\n"
    )
    (tmp_path / "program.py").write_text(program)
    result = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "crash.mp4: crashed the decoder or MediaPipe (exit code 11)" in result.stdout
    assert "b.mp4: refused" in result.stdout
    assert "c.mp4: refused" in result.stdout


@needs_camera
def test_clips_are_extracted_with_a_landmarker_of_ones_own(tmp_path: Path) -> None:
    """An object serves, and a name that nobody knows is refused before any process is started."""
    program = (
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from bhar_training.data import extract\n"
        "from bharsdk import Landmarks\n"
        "class Mine:\n"
        "    def detect(self, image, timestamp_ms):\n"
        "        return (Landmarks.of_body(timestamp_ms, np.full((17, 4), 0.5, 'f4'), 'coco17'),)\n"
        "    def close(self): ...\n"
        "if __name__ == '__main__':\n"
        f"    jobs = [extract.Job(Path({str(VIDEO)!r}), 'x')]\n"
        "    print(extract.extract(jobs, Path('out'), landmarker=Mine()).written)\n"
    )
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "1\n", done.stderr
    (made,) = (tmp_path / "out/x").iterdir()
    assert load_session(made).sequence.skeletons == ("coco17", "mediapipe_hand21")
    with pytest.raises(UsageError, match="expected one of body-hands, holistic"):
        extract([Job(VIDEO, "sign")], tmp_path, landmarker="nobody")


@pytest.mark.parametrize("name", ["mediapipe", "cv2"])
def test_without_mediapipe_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """Exit code 8, before any process is started."""
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendMissingError, match=rf"{name} .*pip install 'bharsdk\[camera\]'"):
        extract([Job(VIDEO, "sign")], tmp_path)


def test_finished_videos_need_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An existing output is left alone, whatever is in it."""
    monkeypatch.setattr(module, "_require_camera_packages", lambda landmarker: None)
    job = Job(VIDEO, "sign")
    output = job.output(tmp_path)
    output.parent.mkdir()
    output.write_bytes(b"mine")
    assert extract([job], tmp_path) == Summary(0, 1, ())
    assert output.read_bytes() == b"mine"


def test_videos_are_found_by_label(videos: Path) -> None:
    """In order; what is no video is named with its reason, hidden folders are passed over."""
    found = find_videos([videos])
    assert [(job.label, job.video.name) for job in found.jobs] == [
        ("sign", "one.mp4"),
        ("sign", "text.mp4"),
        ("wall", "gray.avi"),
    ]
    assert [(one.path.name, one.why) for one in found.left_out] == [("notes.txt", "text, no video")]
    assert found.labels == ("sign", "wall")
    (single,) = find_videos([VIDEO], "hello").jobs
    assert single.output(Path("out")) == Path("out/hello") / f"{VIDEO.stem}.bhar-session"


def test_what_does_not_fit_is_refused(videos: Path, tmp_path: Path) -> None:
    """Missing paths, folders without videos, loose videos, labels that are no folder name."""
    with pytest.raises(InputError, match="no such file or folder"):
        find_videos([tmp_path / "none"])
    with pytest.raises(InputError, match="got no videos, expected <label>/<video>"):
        find_videos([tmp_path])
    with pytest.raises(InputError, match="got a video outside a label's folder"):
        find_videos([videos / "sign"])
    with pytest.raises(UsageError, match="a folder with --label"):
        find_videos([videos], "sign")
    with pytest.raises(UsageError, match="a file without --label"):
        find_videos([VIDEO])
    for label in ("a/b", "..", "", ".hidden"):
        with pytest.raises(UsageError, match="label: got"):
            find_videos([VIDEO], label)


def test_two_videos_are_not_written_to_one_place(tmp_path: Path) -> None:
    """One would be taken for the other when the run goes on."""
    (tmp_path / "sign").mkdir()
    for name in ("a.mp4", "a.avi"):
        (tmp_path / "sign" / name).touch()
    with pytest.raises(InputError, match=r"sign/a\.mp4: would be written to .* rename one"):
        find_videos([tmp_path])


def _extracted(
    monkeypatch: pytest.MonkeyPatch, jobs: list[Job], landmarks: list[LandmarkSequence], out: Path
) -> Summary:
    """As if MediaPipe had found these ``landmarks`` in the videos."""
    found = list(zip(jobs, landmarks, strict=True))
    monkeypatch.setattr(module, "_require_camera_packages", lambda landmarker: None)
    monkeypatch.setattr(module, "_results", lambda todo, count, fps, landmarker: iter(found))
    return extract(jobs, out)


def test_a_clip_in_which_nothing_happens_is_warned_of(
    words: ClipSet,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Named with its file; the table says what share of each label's clips shows hands."""
    clip = words.sequences[words.labels.index("hello")]
    still = clip.replaced(body=clip.body[[0] * 20].copy(), hands=np.full_like(clip.hands, np.nan))
    jobs = [Job(tmp_path / "v" / "hello" / f"{name}.mp4", "hello") for name in ("good", "empty")]
    summary = _extracted(monkeypatch, jobs, [clip, still], tmp_path / "out")
    said = capsys.readouterr().err
    assert said.count("warning") == 1
    assert f"{jobs[1].video}: got a clip in which no hand is seen and no wrist moves" in said
    lines = table(summary.looks).splitlines()
    assert lines[0].split() == ["label", "clips", "seconds", "hands", "movement"]
    assert lines[1].split()[:3] == ["hello", "2", "1.3"]
    assert lines[2:] == ["  empty.mp4: hands 0%, movement 0%"]
    assert load_clips(tmp_path / "out").labels == ("hello", "hello")


def test_ranges_of_videos_are_those_of_their_clips(
    words: ClipSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``ranges.csv`` beside the labels; a line of no video, or beyond its end, is named."""
    clip, videos = words.sequences[0], tmp_path / "videos"
    jobs = [Job(videos / "tea" / name, "tea") for name in ("a.mp4", "b.mov")]
    (videos / "tea").mkdir(parents=True)
    ranges = videos / "ranges.csv"
    ranges.write_text("clip,start_s,end_s\ntea/a.mp4,0.8,1.2\ntea/a.mp4,0.2,0.6\ntea/b,5,6\n")
    summary = _extracted(monkeypatch, jobs, [clip, clip], tmp_path / "out")
    ((video, reason),) = summary.failures
    assert video == jobs[1].video
    assert "ranges.csv: line 4: got 5 to 6 s of a clip of 1.27 s" in reason
    assert [len(part) for part in load_clips(tmp_path / "out").sequences] == [7, 7]
    ranges.write_text("tea/c.mp4,1,2\n")
    with pytest.raises(InputError, match=r"ranges.csv: line 1: got 'tea/c.mp4'"):
        _extracted(monkeypatch, jobs, [clip, clip], tmp_path / "again")
