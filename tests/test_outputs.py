"""No command writes over what it reads: refused before anything is opened, with exit code 2."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from bhar_export import cli as export_cli
from bhar_training import cli as training_cli
from bharsdk import Recognizer
from bharsdk import cli as run_cli
from bharsdk.errors import UsageError
from bharsdk.files.outputs import check_outputs, is_same_file
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recognition.drawing import AnnotatedVideo
from bharsdk.recognizer import bundle_path
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import load_session, save_session
from bharsdk.sources.opening import open_source
from bharsdk.values.declared import Use

ROOT = Path(__file__).parents[1]
VIDEO = ROOT / "examples/data/videos/yo_001.mp4"
MODEL = "asl-coffee-prgcn"
CLIS = {"bhar": run_cli, "bhar-train": training_cli, "bhar-export": export_cli}
WORDS = ROOT / "tests/data/words.npz"


@pytest.fixture
def folder(tmp_path: Path, recording: LandmarkSequence, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where commands start, with one recording under several names."""
    save_session(tmp_path / "x.bhar-session", Session(recording))
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.bhar-session").symlink_to("x.bhar-session")
    (tmp_path / "hard.bhar-session").hardlink_to(tmp_path / "x.bhar-session")
    (tmp_path / "there").symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below ``folder``, and when it was written."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _refused(capfd: pytest.CaptureFixture[str], command: str, *arguments: str | Path) -> str:
    """Run, expect exit code 2, one line and nothing changed; that line."""
    before = _content(Path.cwd())
    assert CLIS[command].main([str(argument) for argument in arguments]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{command}: error: ")
    assert _content(Path.cwd()) == before
    return lines[0]


SPELLINGS = (
    *("x.bhar-session", "./sub/../x.bhar-session", "not/there/../../x.bhar-session"),
    *("link.bhar-session", "hard.bhar-session", "there/x.bhar-session"),
)


@pytest.mark.parametrize("output", SPELLINGS)
def test_a_recording_is_not_recorded_over_itself(
    folder: Path, capfd: pytest.CaptureFixture[str], output: str
) -> None:
    """By the same path, another spelling, a link, a hard link, a linked folder, a full path."""
    for source in ("x.bhar-session", folder / "x.bhar-session", f"file://{folder}/x.bhar-session"):
        said = _refused(capfd, "bhar", "run", source, "--record", output, "--model", MODEL)
        assert "--record: got " in said and "would overwrite the input source" in said
    _refused(capfd, "bhar", "record", "link.bhar-session", output, "--model", MODEL)


def test_a_video_is_not_drawn_over_itself(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nor a link to it, nor a name that would be a hard link's."""
    shutil.copy(VIDEO, "a.mp4")
    Path("b.mp4").symlink_to("a.mp4")
    Path("c.mp4").hardlink_to("a.mp4")
    for output in ("a.mp4", "b.mp4", "c.mp4", folder / "sub/../a.mp4"):
        said = _refused(capfd, "bhar", "run", "a.mp4", "--save", output, "--model", MODEL)
        assert "--save: got " in said


def test_what_a_recording_holds_meanwhile_is_an_output_too(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The journal beside it, ``NAME.part.bhar-session``."""
    shutil.copy("x.bhar-session", "new.part.bhar-session")
    _refused(capfd, "bhar", "record", "new.part.bhar-session", "new.bhar-session")


def test_two_outputs_are_two_files(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Also where one is a link to where the other will be."""
    Path("a.mp4").symlink_to("b.bhar-session")
    outputs = ["--save", "a.mp4", "--record", "b.bhar-session"]
    said = _refused(capfd, "bhar", "run", "x.bhar-session", *outputs, "--model", MODEL)
    assert "expected a file for each" in said
    reports = ["--confusion", "a.csv", "--recalls", "sub/../a.csv"]
    _refused(capfd, "bhar-train", "eval", "run", "--data", "d", *reports)
    _refused(capfd, "bhar-export", "run", "--output", "a.bhar", "--plot", "./a.bhar")


def test_the_model_is_an_input(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever it is called."""
    shutil.copy(bundle_path(MODEL), "model.mp4")
    _refused(capfd, "bhar", "run", "x.bhar-session", "--model", "model.mp4", "--save", "model.mp4")


def test_a_bundle_is_enrolled_in_place_and_a_clip_is_not_written_over(
    folder: Path, capfd: pytest.CaptureFixture[str], recording: LandmarkSequence
) -> None:
    """The one update in place: it is read whole, and replaced in one step."""
    clips = [f"clip{number}.bhar-session" for number in range(3)]
    for clip in clips:
        save_session(clip, Session(recording))
    shutil.copy(bundle_path(MODEL), "mine.bhar")
    said = _refused(capfd, "bhar", "enroll", "mine.bhar", "wave", *clips, "--output", clips[1])
    assert "the input clips" in said
    in_place = ["enroll", "mine.bhar", "wave", *clips, "--output", "mine.bhar"]
    check_outputs(run_cli.program().parse(in_place).files)
    said = _refused(capfd, "bhar", "enroll", MODEL, "wave", *clips, "--output", bundle_path(MODEL))
    assert "stays as it is" in said
    shutil.copytree(folder / "sub", "bundle")
    (folder / "bundle/model.onnx").write_bytes(b"weights")
    inside = "bundle/model.onnx"
    assert "a file of the input bundle" in _refused(
        capfd, "bhar", "enroll", "bundle", "wave", *clips, "--output", inside
    )


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("bhar-train", ["extract", "sub", "--out", "./sub"]),
        ("bhar-train", ["extract", "sub", "there/sub", "--out", "sub"]),
        ("bhar-train", ["fit", "--model", "pr-gcn", "--data", "sub", "--out", "there/sub"]),
        ("bhar-train", ["fit", "--model", "pr-gcn", "--data", "d", "--out", "r", "--teacher", "r"]),
        ("bhar-train", ["qat", "sub", "--data", "d", "--out", "sub"]),
        ("bhar-train", ["qat", "sub/checkpoint", "--data", "d", "--out", "sub"]),
        ("bhar-train", ["reproduce", "utd-mhad", "--data-root", "sub", "--out", "./sub"]),
        ("bhar-train", ["enrollment", "--row", "words", "--data-root", "sub", "--out", "sub"]),
        ("bhar-train", ["eval", "sub", "--data", "d", "--confusion", "sub/curves.csv"]),
        ("bhar-train", ["eval", "r", "--data", "sub", "--recalls", "sub/data.npz"]),
        ("bhar-train", ["eval", "sub", "--data", "d.npz", "--recalls", "./d.npz"]),
        ("bhar-export", ["sub", "--output", "sub"]),
        ("bhar-export", ["r", "--output", "a.bhar", "--calib", "d.npz", "--plot", "d.npz"]),
        ("bhar-export", ["r", "--output", "a.bhar", "--eval", "d.npz", "--plot", "there/d.npz"]),
        ("bhar-export", ["r", "--output", "a.bhar", "--decoder", "d.json", "--plot", "d.json"]),
        ("bhar-export", ["sub", "--output", "sub/checkpoint/model.json"]),
    ],
)
def test_training_and_export_refuse_it_too(
    folder: Path, capfd: pytest.CaptureFixture[str], command: str, arguments: Sequence[str]
) -> None:
    """Data in the folder to fill, a teacher that is the pupil, a file that a run needs."""
    for name in ("curves.csv", "data.npz", "checkpoint/model.json"):
        (folder / "sub" / name).parent.mkdir(exist_ok=True)
        (folder / "sub" / name).write_text("mine")
    _refused(capfd, command, *arguments)


def test_reports_pictures_and_bundles_may_go_into_the_run(folder: Path) -> None:
    """Also a second time, and a folder beside the clips may be a run's."""
    for name in ("run/confusion.csv", "run/a.bhar", "run/a.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("of before")
    reports = ["--confusion", "run/confusion.csv", "--recalls", "run/a.png"]
    parse = training_cli.program().parse
    check_outputs(parse(["eval", "run", "--data", "d", *reports]).files)
    fit = ["fit", "--model", "pr-gcn", "--data", "out/clips", "--out", "out/run"]
    check_outputs(parse(fit).files)
    check_outputs(export_cli.program().parse(["run", "--output", "run/a.bhar"]).files)


@pytest.mark.parametrize("program", CLIS)
def test_every_path_of_a_command_is_declared(program: str) -> None:
    """Read, written, updated, or of no command that writes: a new option cannot be forgotten."""
    for name, command, _ in CLIS[program].program().commands():
        options = command.all_options()
        for option in options:
            assert option.kind is not Path or option.cli.file is not None, (name, option.name)
        free = {option.name for option in options if option.cli.file is Use.FREE}
        assert free <= {"session", "checkpoint", "--data"}, name
        if name != "bhar-train enrollment":  # with a checkpoint it writes nothing
            writes = any(option.cli.file in (Use.WRITE, Use.UPDATE) for option in options)
            assert not (free and writes), name


# ---- in Python ---------------------------------------------------------------------------------


def test_a_run_does_not_record_over_its_source(folder: Path, recording: LandmarkSequence) -> None:
    """UsageError, and the recording is what it was."""
    recognizer = Recognizer(MODEL)
    for source in ("x.bhar-session", Path("link.bhar-session"), folder / "x.bhar-session"):
        with pytest.raises(UsageError, match=r"record: got .* would overwrite the input source"):
            recognizer.run(source, record="sub/../x.bhar-session")
    assert len(load_session("x.bhar-session")) == len(recording)
    assert not Path("x.part.bhar-session").exists()


def test_a_recording_in_memory_may_be_saved_where_it_came_from(folder: Path) -> None:
    """It is read whole, and replaced in one step; so is a bundle."""
    session = load_session("x.bhar-session")
    save_session("x.bhar-session", session)
    assert len(load_session("x.bhar-session")) == len(session)
    shutil.copy(bundle_path(MODEL), "mine.bhar")
    Recognizer("mine.bhar").save("mine.bhar")
    assert Recognizer("mine.bhar").labels == Recognizer(MODEL).labels


def test_a_video_that_is_read_is_not_drawn_over(folder: Path) -> None:
    """Whichever of the two is opened first."""
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    from bharsdk.cameras.video import Video

    shutil.copy(VIDEO, "a.mp4")
    Path("b.mp4").hardlink_to("a.mp4")
    with Video("a.mp4"), pytest.raises(UsageError, match="being read"):
        AnnotatedVideo("b.mp4", 15.0)
    with AnnotatedVideo("b.mp4", 15.0), pytest.raises(UsageError, match="being written over"):
        open_source("a.mp4")
    Video("a.mp4")  # forgotten without being closed
    gc.collect()
    AnnotatedVideo("b.mp4", 15.0).__exit__(None, None, None)
    assert Path("a.mp4").read_bytes() == VIDEO.read_bytes()
    assert os.listdir("sub") == []  # noqa: PTH208 nothing was left anywhere


def test_names_that_no_file_can_have_are_compared_as_they_are(tmp_path: Path) -> None:
    """What is wrong with them says whoever opens them."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert is_same_file(Path("x\0y"), Path("x\0y"))
    assert not is_same_file(tmp_path / "a", Path("x" * 9999))
