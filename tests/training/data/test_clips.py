from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bhar_training.data.clips import load_clips
from bharsdk.errors import InputError

DATA = Path(__file__).parents[2] / "data"
WORDS = DATA / "words.npz"


def test_the_packed_words_read_as_they_are_stored() -> None:
    """48 clips of six labels by two signers, each with its recording block."""
    clips = load_clips(WORDS)
    with np.load(WORDS) as stored:
        assert clips.labels == tuple(stored["label"])
        assert clips.signers == tuple(stored["signer"])
        assert clips.blocks == tuple(stored["block"])
        np.testing.assert_array_equal(clips.sequences[5].to_flat(), stored["landmarks"][5])
    assert clips.classes == ("-", "coffee", "hello", "no", "please", "tea")


def test_hands_alone_are_packed_the_same_way(tmp_path: Path) -> None:
    """126 values a frame: clips without a body."""
    hands = np.random.default_rng(0).random((2, 5, 126), np.float32)
    np.savez(tmp_path / "letters.npz", landmarks=hands, label=["a", "b"])
    clips = load_clips(tmp_path / "letters.npz")
    assert clips.labels == ("a", "b")
    np.testing.assert_array_equal(clips.sequences[1].hands.reshape(5, -1), hands[1])
    assert np.isnan(clips.sequences[1].body).all()


def test_the_packed_letters_are_hands_alone() -> None:
    """Every label of finger spelling, from strangers too; no body anywhere."""
    letters = load_clips(DATA / "letters.npz")
    assert letters.classes == ("-", *string.ascii_lowercase[:19], "space", *"tuvwxyz")
    for label in letters.classes:
        assert len(letters.where(lambda i, x=label: letters.labels[i] == x).people) == (
            1 if label == "-" else 2
        )
    assert all(np.isnan(clip.body).all() for clip in letters.sequences)
    seen = [~np.isnan(clip.hands[..., 0, 0]).all(axis=1) for clip in letters.sequences]
    assert np.mean(seen) > 0.95


def test_clips_can_be_chosen_by_signer() -> None:
    """An unknown signer is refused with the known ones."""
    clips = load_clips(WORDS)
    chosen = clips.of_signers(["s2"])
    assert len(chosen) == 24
    assert set(chosen.signers) == {"s2"}
    with pytest.raises(InputError, match=r"got 's9', expected some of \['s1', 's2'\]"):
        clips.of_signers(["s1", "s9"])


ONES: Any = np.ones((2, 5, 258), np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"landmarks": ONES}, "array 'label' is missing"),
        ({"landmarks": ONES, "label": ["a"]}, r"\(2, 5, 258\) for 1 labels"),
        ({"landmarks": ONES[0], "label": ["a", "b"]}, "expected"),
        ({"landmarks": ONES, "label": "a"}, "expected"),
        ({"landmarks": ONES[:0], "label": []}, "for 0 labels"),
        ({"landmarks": ONES[..., :200], "label": ["a", "b"]}, "clip 0: got 200 values"),
        ({"landmarks": ONES * np.nan, "label": ["a", "b"]}, "clip 0: got NaN"),
        ({"landmarks": ONES, "label": ["a", "b"], "block": [1]}, r"block int64 \(1,\)"),
        ({"landmarks": ONES, "label": ["a", "b"], "block": ["x", "y"]}, "whole number"),
        ({"landmarks": ONES, "label": ["a", "b"], "signer": ["x"]}, r"signer \(1,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_the_path(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    """One line with the file, what was got and what was expected."""
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message) as error:
        load_clips(path)
    assert str(path) in str(error.value)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    """Cut off, changed inside, a plain array, an empty file: InputError, no traceback."""
    path, whole = tmp_path / "bad.npz", WORDS.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 0xFF
    np.save(tmp_path / "plain.npy", np.ones(3))
    plain = (tmp_path / "plain.npy").read_bytes()
    for content in (whole[: len(whole) // 2], bytes(changed), plain, b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match="not a readable"):
            load_clips(path)


def test_pickles_are_refused(tmp_path: Path) -> None:
    """An array of objects could run code."""
    path = tmp_path / "bad.npz"
    np.savez(path, landmarks=ONES, label=np.array(["a", {}], dtype=object))
    with pytest.raises(InputError, match="without pickles"):
        load_clips(path)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    """A missing path, and a file of another kind."""
    with pytest.raises(InputError, match="no such file"):
        load_clips(tmp_path / "nowhere")
    (tmp_path / "words.csv").write_text("1,2")
    with pytest.raises(InputError, match=r"got a \.csv file, expected \.npz"):
        load_clips(tmp_path / "words.csv")
