"""Real clips that several tests train on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bhar_training.data.clips import ClipSet, load_clips


@pytest.fixture(scope="session")
def clips() -> ClipSet:
    """Every second clip of the fixture: 24, all six labels."""
    words = load_clips(Path(__file__).parents[1] / "data" / "words.npz")
    return words.take(range(0, len(words), 2))
