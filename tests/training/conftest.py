"""Real clips that several tests train on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bhar_training.data.clips import ClipSet, load_clips


@pytest.fixture(scope="session")
def words() -> ClipSet:
    """The fixture: 48 clips, all six labels, two signers."""
    return load_clips(Path(__file__).parents[1] / "data" / "words.npz")


@pytest.fixture(scope="session")
def clips(words: ClipSet) -> ClipSet:
    """Every second clip of the fixture: 24, all six labels."""
    return words.take(range(0, len(words), 2))
