"""Cut the test fixtures from the recordings: ``make_fixture.py words.npz letters_hands.npz``.

Writes, beside this file, ``words.npz`` (six labels, two signers, a few clips of every recording
block), ``frames/`` (three clips of one label in the ``<label>/<sequence>/<frame>.npy`` layout) and
``letters.npz`` (hands alone, 126 values a frame: all 28 labels, one clip of each of two signers;
``-`` was recorded by one signer only, so twice by that one).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

LABELS = ("-", "coffee", "hello", "no", "please", "tea")
SIGNERS = ("s1", "s2")
PER_LABEL = 4
HERE = Path(__file__).parent


def main(words: Path, letters: Path) -> None:
    """Write all fixtures from the full recordings."""
    cut_words(words)
    cut_letters(letters)


def cut_words(source: Path) -> None:
    """Write ``words.npz`` and ``frames/``."""
    words = _load(source)
    chosen: list[int] = []
    for signer in SIGNERS:
        for label in LABELS:
            found = np.flatnonzero((words["label"] == label) & (words["signer"] == signer))
            # Evenly spread, so that several recording blocks occur.
            chosen += found[np.linspace(0, len(found) - 1, PER_LABEL).astype(int)].tolist()
    np.savez_compressed(HERE / "words.npz", **{name: a[chosen] for name, a in words.items()})
    for sequence, clip in enumerate(words["landmarks"][words["label"] == "hello"][:3]):
        folder = HERE / "frames" / "hello" / str(sequence)
        folder.mkdir(parents=True, exist_ok=True)
        for frame, values in enumerate(clip):
            np.save(folder / f"{frame}.npy", values.astype(np.float32))


def cut_letters(source: Path) -> None:
    """Write ``letters.npz``."""
    letters = _load(source)
    chosen: list[int] = []
    for label in np.unique(letters["label"]):
        found = np.flatnonzero(letters["label"] == label)
        signers = sorted(set(letters["signer"][found]))
        # Early in one signer's clips, late in the other's: two blocks where both are the same.
        for signer, at in ((signers[0], 1 / 4), (signers[-1], 3 / 4)):
            mine = found[letters["signer"][found] == signer]
            chosen.append(int(mine[int(at * len(mine))]))
    np.savez_compressed(HERE / "letters.npz", **{name: a[chosen] for name, a in letters.items()})


def _load(source: Path) -> dict[str, np.ndarray]:
    with np.load(source, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
