from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bhar_training.data.clips import load_clips
from bhar_training.data.labels import checked_labels, label_doubts, training_doubts
from bharsdk.errors import InputError

ENOUGH = 5


def _many(*labels: str) -> list[str]:
    return [label for label in labels for _ in range(ENOUGH)]


def test_what_is_no_label_is_refused_with_its_place() -> None:
    """A comma separates labels on command lines, a slash cannot be in a folder's name."""
    assert checked_labels(["a", "thank-you", "-", "a"], "x.npz") == ("a", "thank-you", "-", "a")
    for wrong in ("a,b", "a/b", "", " a", "a\n", ".a"):
        with pytest.raises(InputError, match=r"x\.npz: clip 1: got the label"):
            checked_labels(["a", wrong], "x.npz")
    with pytest.raises(InputError, match="here/a,b: got the label 'a,b'"):
        checked_labels(["a,b"], ["here/a,b"])


def test_labels_are_checked_as_they_are_read(tmp_path: Path) -> None:
    """Packed, and as names of folders."""
    hands = np.random.default_rng(0).random((2, 3, 126), np.float32)
    np.savez(tmp_path / "x.npz", landmarks=hands, label=["a", "b/c"])
    with pytest.raises(InputError, match=r"x\.npz: clip 1: got the label 'b/c'"):
        load_clips(tmp_path / "x.npz")
    folder = tmp_path / "set"
    (folder / "a,b" / "0").mkdir(parents=True)
    np.save(folder / "a,b" / "0" / "0.npy", hands[0, 0])
    with pytest.raises(InputError, match="set/a,b: got the label 'a,b'"):
        load_clips(folder)


def test_labels_that_differ_in_writing_only_are_a_doubt() -> None:
    """They would be learnt as different signs."""
    (doubt,) = label_doubts(["-", "Hello", "hello", "thank you", "thank-you ".strip(), "tea"] * 2)[
        :1
    ]
    assert "'Hello', 'hello'" in doubt
    assert len(label_doubts(["Hello", "hello", "thank you", "thank-you", "-", "_"])) == 2
    assert label_doubts(["-", "a", "b", "1", "11"]) == []


def test_one_label_is_a_doubt() -> None:
    """Whatever is learnt, it is right: top-1 says nothing."""
    (doubt,) = training_doubts(_many("wave"), "-")
    assert "got one label, 'wave'" in doubt
    assert training_doubts(_many("wave"), "-", added=True) == []
    assert training_doubts(_many("wave", "-"), "-") == []


@pytest.mark.parametrize("name", ["none", "None", "idle", "NULL", "no sign", "no_sign", "other"])
def test_a_background_of_another_name_is_a_hint(name: str) -> None:
    """It would be learnt, and reported, as a sign."""
    (doubt,) = training_doubts(_many("wave", name), "-")
    assert f"label {name!r}" in doubt
    assert f"--background {name}" in doubt
    assert training_doubts(_many("wave", name), name) == []


def test_few_clips_of_a_label_are_a_doubt() -> None:
    """The first of them are named, the rest counted."""
    (doubt,) = training_doubts([*_many("a", "b"), "c"], "-")
    assert "fewer than 4 clips of 'c':" in doubt
    (doubt,) = training_doubts([*_many("a"), *"bcdefghi"], "-")
    assert "'b', 'c', 'd', 'e', 'f' and 3 more" in doubt


def test_a_label_that_is_very_rare_is_a_doubt() -> None:
    """Drawn more often, and still hardly seen."""
    (doubt,) = training_doubts(["a"] * 501 + ["b"] * 10, "-")
    assert "501 clips of 'a' and 10 of 'b'" in doubt
