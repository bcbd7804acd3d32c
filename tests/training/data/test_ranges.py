from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bhar_training.data.clip_set import ClipSet
from bhar_training.data.clips import load_clips
from bhar_training.data.ranges import RANGES_FILE
from bharsdk.errors import InputError
from bharsdk.recordings.session import Session, TrueEvent
from bharsdk.recordings.session_file import save_session


@pytest.fixture
def folder(words: ClipSet, tmp_path: Path) -> Path:
    """Sessions "tea/one", "tea/two" and "no/one", 20 frames at 15 a second each."""
    for name, clip in zip(("tea/one", "tea/two", "no/one"), words.sequences, strict=False):
        save_session(tmp_path / f"{name}.bhar-session", Session(clip))
    return tmp_path


def test_a_range_says_which_part_of_a_recording_counts(folder: Path) -> None:
    """With or without the suffix; what is not named is whole; two parts of one are a block."""
    (folder / RANGES_FILE).write_text(
        "clip,start_s,end_s\ntea/one, 0.2,0.6\n\ntea/one.bhar-session,0.8,1.2\nno/one,0.1,9\n"
    )
    clips = load_clips(folder)
    assert clips.labels == ("no", "tea", "tea", "tea")
    assert [len(clip) for clip in clips.sequences] == [18, 7, 7, 20]
    np.testing.assert_allclose(clips.sequences[1].timestamps_ms[[0, -1]], [200, 600])
    assert clips.blocks[0] == clips.blocks[3] == -1
    assert clips.blocks[1] == clips.blocks[2] >= 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tea/one,2,1", "line 1: got 2 to 1 s, expected .* 0 <= start < end"),
        ("clip,start_s,end_s\ntea/one,1", "line 2: got 'tea/one,1', expected clip,start_s,end_s"),
        ("tea/one,a,b", "line 1: got 'tea/one,a,b', expected clip,start_s,end_s"),
        ("tea/one,nan,1", "line 1: got nan to 1 s"),
        ("tea/one,0,1\ntea/one,0.5,1.2", "line 2: overlaps line 1"),
        ("tea/one,0,1\ntea/three,0,1", "line 2: got 'tea/three', expected a recording in"),
        ("tea/one,0,1\ntea/two,5,6", "line 2: got 5 to 6 s of a clip of 1.27 s"),
        ('tea/"one,0,1\n"x', "not readable as text in columns"),
        ("\x80", "not readable as text in columns"),
    ],
)
def test_a_bad_range_is_an_error_that_names_file_and_line(
    folder: Path, text: str, message: str
) -> None:
    path = folder / RANGES_FILE
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message) as error:
        load_clips(folder)
    assert str(error.value).startswith(str(path))


def test_events_of_its_label_that_a_session_names_are_its_clips(
    words: ClipSet, tmp_path: Path
) -> None:
    """Those of other labels are none of them; a line of ranges.csv goes first."""
    truth = (TrueEvent("no", 0, 150), TrueEvent("tea", 200, 600), TrueEvent("tea", 800, 1200))
    save_session(tmp_path / "tea" / "one.bhar-session", Session(words.sequences[0], truth))
    assert [len(clip) for clip in load_clips(tmp_path).sequences] == [7, 7]
    (tmp_path / RANGES_FILE).write_text("tea/one,0,1\n")
    assert [len(clip) for clip in load_clips(tmp_path).sequences] == [16]


def test_an_npz_may_hold_ranges(words: ClipSet, tmp_path: Path) -> None:
    """NaN for a whole clip; a range that is none names the file and the clip."""
    path = tmp_path / "words.npz"
    flat = np.stack([clip.to_flat() for clip in words.sequences[:3]])
    arrays = {"landmarks": flat, "label": np.array(["a", "b", "c"])}
    nan = np.nan
    np.savez(path, **arrays, start_s=np.array([nan, 0.2, 0.0]), end_s=np.array([nan, 0.6, 1.0]))
    assert [len(clip) for clip in load_clips(path).sequences] == [20, 7, 16]
    np.savez(path, **arrays, start_s=np.array([nan, 0.2, 0.0]), end_s=np.array([nan, 0.6, nan]))
    with pytest.raises(InputError, match=r"words.npz: clip 2: got 0 to nan s"):
        load_clips(path)
    np.savez(path, **arrays, start_s=np.zeros(3))
    with pytest.raises(InputError, match=r"words.npz: got start_s \(3,\) and end_s \(0,\)"):
        load_clips(path)
