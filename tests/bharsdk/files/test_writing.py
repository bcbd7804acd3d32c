"""Writers leave the file of before, or the whole new one, whatever the disk or the process does."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bharsdk import Recognizer
from bharsdk.cli import main
from bharsdk.errors import InputError, UsageError
from bharsdk.files.leftovers import remove_leftovers
from bharsdk.files.writing import (
    Replacement,
    check_room,
    mark_read,
    write_atomically,
    write_text,
    write_together,
)
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import save_session

LIMIT = 20_000


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process grows beyond LIMIT: the system refuses, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_appears_whole_under_its_name(tmp_path: Path) -> None:
    """Nothing is left beside it, and it is as readable as any new file."""
    write_text(tmp_path / "a.txt", "é")
    (tmp_path / "plain").write_text("")
    assert _content(tmp_path) == {"a.txt": "é".encode(), "plain": b""}
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_who_might_read_the_file_of_before_may_read_the_new_one(tmp_path: Path) -> None:
    """And nobody else: a private recording stays private."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o600)
    write_text(path, "new")
    assert path.stat().st_mode & 0o777 == 0o600


def test_of_a_link_what_it_leads_to_is_written(tmp_path: Path) -> None:
    """The link stays."""
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to("there/a.txt")
    write_text(link, "new")
    assert link.is_symlink()
    assert _content(tmp_path / "there") == {"a.txt": b"new"}


def test_a_full_disk_leaves_the_file_of_before(tmp_path: Path, small_disk: None) -> None:
    """One line that says what was wanted and what stays."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=r"a\.bin: cannot be written .*; the file of before is"):
        write_atomically(path, bytes(LIMIT + 1))
    with pytest.raises(InputError, match=r"new\.bin: cannot be written .*; nothing was saved"):
        write_atomically(tmp_path / "new.bin", bytes(LIMIT + 1))
    assert _content(tmp_path) == {"a.bin": b"old"}


def test_files_that_belong_together_are_all_old_or_all_new(
    tmp_path: Path, small_disk: None
) -> None:
    """The second does not fit: the first is not replaced either."""
    a, b = tmp_path / "a", tmp_path / "b"
    write_together({a: b"old", b: b"old"})
    with pytest.raises(InputError, match="cannot be written"):
        write_together({a: b"new", b: bytes(LIMIT + 1)})
    assert _content(tmp_path) == {"a": b"old", "b": b"old"}


def test_a_check_that_fails_leaves_the_file_of_before(tmp_path: Path) -> None:
    """Whatever the check raises."""
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def refuse(written: Path) -> None:
        assert written.read_bytes() == b"new"
        raise InputError("not readable")

    replacement = Replacement(path)
    replacement.write(b"new")
    with pytest.raises(InputError, match="not readable"):
        replacement.keep(refuse)
    assert _content(tmp_path) == {"a": b"old"}


def test_room_is_asked_for_before_it_is_needed(tmp_path: Path, small_disk: None) -> None:
    """Without leaving anything."""
    check_room(tmp_path / "a", [LIMIT, LIMIT])
    with pytest.raises(InputError, match="cannot be written"):
        check_room(tmp_path / "a", [10, LIMIT + 1])
    assert _content(tmp_path) == {}


@pytest.mark.parametrize("name", ["", "gone/a", "file/a", "a\0b", "x" * 300])
def test_a_name_that_cannot_be_written_is_bad_input(tmp_path: Path, name: str) -> None:
    """A folder, a missing folder, a file for a folder, no name at all."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected"):
        write_text(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    """Root could: ``--plot /dev/null`` would break the machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="got a device or pipe, expected the name of a file"):
        write_text(pipe, "text")
    assert pipe.is_fifo()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write what is protected")
def test_a_write_protected_file_stays(tmp_path: Path) -> None:
    """Renaming would ask the folder alone."""
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o444)
    with pytest.raises(InputError, match="write-protected"):
        write_text(path, "new")


def test_what_is_being_read_is_not_replaced(tmp_path: Path) -> None:
    """Under any of its names, whichever of both begins first."""
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_text("old")
    link.hardlink_to(path)
    release = mark_read(path)
    with pytest.raises(UsageError, match="being read"):
        Replacement(link)
    release()
    replacement = Replacement(link)
    with pytest.raises(UsageError, match="being written over"):
        mark_read(path)
    replacement.discard()
    mark_read(path)()
    write_text(path, "new")


# ---- writers of bharsdk ------------------------------------------------------------------------


@pytest.fixture
def written(
    recording: LandmarkSequence, presence_bundle: Path
) -> dict[str, Callable[[Path], object]]:
    """What writes a file of a kind, larger than LIMIT, to a path."""
    model = Recognizer("asl-coffee-prgcn", backend="onnx")
    return {
        "a.bhar": model.save,
        "a.bhar-session": lambda path: save_session(path, Session(recording)),
    }


@pytest.mark.parametrize("name", ["a.bhar", "a.bhar-session"])
def test_bundles_and_sessions_survive_a_full_disk(
    tmp_path: Path,
    written: dict[str, Callable[[Path], object]],
    name: str,
    small_disk: None,
) -> None:
    """The older file stays, and nothing half-written."""
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(InputError, match=rf"{name}: cannot be written"):
        written[name](tmp_path / name)
    assert _content(tmp_path) == {name: b"old"}


def test_output_that_does_not_fit_is_exit_code_3(tmp_path: Path) -> None:
    """``bhar models`` into a full disk: one line, no second complaint at exit."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(
            [sys.executable, "-m", "bharsdk.cli", "models"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert found.returncode == 3, found.stderr
    assert found.stderr.count("\n") == 1 and "No space left" in found.stderr


# ---- temporary files of processes that are gone -------------------------------------------------

WRITES_AND_WAITS = """
import sys, time
from pathlib import Path
from bharsdk.files.writing import Replacement
replacement = Replacement(Path(sys.argv[1]))
replacement.write(b"half")
print(replacement.temporary.name, flush=True)
time.sleep(60)
"""


def _left(path: Path, *, killed: bool) -> tuple[str, subprocess.Popen[str]]:
    """A process in the middle of writing ``path``; the name of its temporary file."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES_AND_WAITS, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    if killed:
        process.kill()
        process.wait(30)
    return name, process


def test_what_a_killed_process_left_is_removed_by_the_next_writer(tmp_path: Path) -> None:
    """And only that: what a living one writes, and files of other names, stay."""
    dead, killed = _left(tmp_path / "a.mp4", killed=True)
    live, running = _left(tmp_path / "b.mp4", killed=False)
    try:
        assert dead.startswith(".a.") and dead.endswith(".mp4")
        (tmp_path / ".a.mp4").write_text("somebody's")
        write_text(tmp_path / "c.txt", "new")
        assert {path.name for path in tmp_path.iterdir()} == {live, ".a.mp4", "c.txt"}
    finally:
        running.kill()
        for process in (killed, running):
            process.communicate(timeout=30)
    assert remove_leftovers(tmp_path) == [tmp_path / live]


def test_what_another_machine_left_is_removed_after_a_day(tmp_path: Path) -> None:
    """On a shared disk its lock may not be seen."""
    old, new = (tmp_path / f".a.bhar-0123abcd-77-{end * 8}.mp4" for end in "ab")
    for path in (old, new):
        path.write_text("half")
    then = time.time() - 2 * 24 * 3600
    os.utime(old, (then, then))
    assert remove_leftovers(tmp_path) == [old]
    assert new.exists()


def test_bhar_removes_them_as_it_starts_to_write(tmp_path: Path, recording: LandmarkSequence):
    """A recording into the same folder is such a start."""
    session = save_session(tmp_path / "in" / "x.bhar-session", Session(recording))
    out = tmp_path / "out"
    out.mkdir()
    name, process = _left(out / "a.mp4", killed=True)
    process.communicate(timeout=30)
    assert (out / name).exists()
    target = out / "a.bhar-session"
    assert main(["record", str(session), str(target), "--model", "asl-coffee-prgcn"]) == 0
    assert [path.name for path in out.iterdir()] == [target.name]
