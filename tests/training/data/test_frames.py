from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest

from bhar_training.data.clips import load_clips
from bharsdk.errors import InputError
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import save_session

FIXTURE = Path(__file__).parents[2] / "data" / "frames"
FULL_SAMPLE = Path(__file__).parents[4] / "shared/data/traduttore/MP_Data_sample"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two labels: "hello" with a sequence of three frames, "tea" with one of two and faces."""
    for label, frames, size in (("hello", 3, 258), ("tea", 2, 1662)):
        (tmp_path / label / "0").mkdir(parents=True)
        for frame in range(frames):
            np.save(tmp_path / label / "0" / f"{frame}.npy", np.full(size, 0.5 + frame))
    return tmp_path


def test_recorded_frames_become_clips_in_order() -> None:
    """The real recordings of the fixture: three clips of twenty frames, exactly as stored."""
    clips = load_clips(FIXTURE, fps=15, aspect=1.5)
    assert clips.labels == ("hello",) * 3
    assert clips.signers == ("",) * 3
    assert clips.blocks == (-1,) * 3
    clip = clips.sequences[2]
    stored = [np.load(FIXTURE / "hello" / "2" / f"{frame}.npy") for frame in range(20)]
    np.testing.assert_array_equal(clip.to_flat(), np.stack(stored))
    np.testing.assert_allclose(clip.timestamps_ms, np.arange(20) * 1000 / 15)
    assert clip.aspect == 1.5


@pytest.mark.skipif(not FULL_SAMPLE.is_dir(), reason="the full public sample is not here")
def test_the_full_public_sample_reads() -> None:
    """All 36 clips of its six labels."""
    clips = load_clips(FULL_SAMPLE)
    assert len(clips) == 36
    assert len(clips.classes) == 6
    assert {len(clip) for clip in clips.sequences} == {20}


def test_both_sizes_are_detected(folder: Path) -> None:
    """Each sequence on its own."""
    clips = load_clips(folder)
    assert clips.labels == ("hello", "tea")
    assert [len(clip) for clip in clips.sequences] == [3, 2]


def test_sessions_and_frames_may_stand_side_by_side(folder: Path) -> None:
    """What extract writes is read, time and aspect as stored; others are numbered first."""
    own = LandmarkSequence.from_flat(np.full((4, 258), 0.25), fps=30, aspect=1.25)
    save_session(folder / "tea" / "mine.bhar-session", Session(own))
    (folder / "tea" / ".cache").mkdir()
    (folder / "tea" / "notes.txt").write_text("ignored")
    clips = load_clips(folder)
    assert clips.labels == ("hello", "tea", "tea")
    np.testing.assert_array_equal(clips.sequences[2].body, own.body)
    assert clips.sequences[2].aspect == 1.25
    assert clips.sequences[2].timestamps_ms[1] == pytest.approx(1000 / 30)


def test_numbers_sort_as_numbers(folder: Path) -> None:
    """Frame 10 after frame 9, sequence 10 after sequence 9."""
    shutil.rmtree(folder / "tea")
    for name in ("10", "9"):
        shutil.copytree(folder / "hello" / "0", folder / "hello" / name)
    for frame in range(3, 12):
        np.save(folder / "hello" / "10" / f"{frame}.npy", np.full(258, 0.5 + frame))
    clips = load_clips(folder)
    assert [len(clip) for clip in clips.sequences] == [3, 3, 12]
    np.testing.assert_array_equal(clips.sequences[2].body[:, 0, 0], np.arange(12) + 0.5)


def test_frames_may_count_from_one(folder: Path) -> None:
    """As some recorders do."""
    (folder / "hello" / "0" / "0.npy").rename(folder / "hello" / "0" / "3.npy")
    clip = load_clips(folder).sequences[0]
    np.testing.assert_array_equal(clip.body[:, 0, 0], [1.5, 2.5, 0.5])


def _save(values: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=True)
    return buffer.getvalue()


WITH_NAN = np.where(np.arange(258) == 7, np.nan, 1.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_save(np.ones(300)), "got 300 values"),
        (_save(np.ones((258, 1))), r"shape \[258, 1\], expected 126 or 258 or 1662"),
        (_save(np.ones(0)), "got 0 values"),
        (_save(np.ones(1662)), "got 1662 values after frames of 258"),
        (_save(WITH_NAN), "got NaN or infinite"),
        (_save(WITH_NAN * np.inf), "got NaN or infinite"),
        (_save(np.full(258, 1e300)), "got NaN or infinite"),
        (_save(np.array([{}] * 258, dtype=object)), "without pickles"),
        (_save(np.full(258, "x")), "expected numbers"),
        (_save(np.ones(258))[:-9], "not a readable"),
        (b"", "got 0 bytes"),
        (b"no array", "not a readable"),
        (bytes(20_000), "got 20000 bytes"),
    ],
)
def test_a_frame_that_cannot_be_used_is_refused_with_its_path(
    folder: Path, content: bytes, message: str
) -> None:
    """The wrong count, NaN, pickles, damage: the file is named."""
    path = folder / "hello" / "0" / "1.npy"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        load_clips(folder)
    assert str(path) in str(error.value)


def test_a_missing_frame_is_refused(folder: Path) -> None:
    """A gap would play the sign too fast; sequence and number are named."""
    (folder / "hello" / "0" / "1.npy").unlink()
    with pytest.raises(InputError, match=r"hello/0: got frames up to 2 without 1\.npy"):
        load_clips(folder)


def test_a_sequence_that_begins_late_is_refused(folder: Path) -> None:
    """Frames count from 0 or 1."""
    for frame in range(3):
        path = folder / "hello" / "0" / f"{frame}.npy"
        path.rename(path.with_name(f"{frame + 5}.npy"))
    with pytest.raises(InputError, match=r"without 0\.npy"):
        load_clips(folder)


@pytest.mark.parametrize(("name", "message"), [("first", "'first'"), ("01", "frame 1 twice")])
def test_a_frame_name_that_is_no_new_number_is_refused(
    folder: Path, name: str, message: str
) -> None:
    """Order would be a guess."""
    np.save(folder / "hello" / "0" / f"{name}.npy", np.ones(258))
    with pytest.raises(InputError, match=message):
        load_clips(folder)


def test_empty_folders_are_refused(tmp_path: Path) -> None:
    """At every level, with the layouts that would do."""
    with pytest.raises(InputError, match=r"expected <label>/<sequence>/<frame>\.npy or"):
        load_clips(tmp_path)
    (tmp_path / "hello").mkdir()
    with pytest.raises(InputError, match="hello: got a label without recordings"):
        load_clips(tmp_path)
    (tmp_path / "hello" / "0").mkdir()
    with pytest.raises(InputError, match="hello/0: got a sequence without frames"):
        load_clips(tmp_path)


def test_a_damaged_session_is_refused_with_its_path(folder: Path) -> None:
    """As everywhere sessions are read."""
    (folder / "tea" / "x.bhar-session").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"x\.bhar-session: damaged"):
        load_clips(folder)
