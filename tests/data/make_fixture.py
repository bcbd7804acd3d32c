"""Cut the test fixture from the words recordings: ``python make_fixture.py words.npz``.

Writes, beside this file, ``words.npz`` (six labels, two signers, a few clips of every recording
block) and ``frames/`` (three clips of one label in the ``<label>/<sequence>/<frame>.npy`` layout).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

LABELS = ("-", "coffee", "hello", "no", "please", "tea")
SIGNERS = ("s1", "s2")
PER_LABEL = 4


def main(source: Path) -> None:
    """Write both fixtures from the full recordings at ``source``."""
    here = Path(__file__).parent
    with np.load(source, allow_pickle=False) as archive:
        words = {name: archive[name] for name in archive.files}
    chosen: list[int] = []
    for signer in SIGNERS:
        for label in LABELS:
            found = np.flatnonzero((words["label"] == label) & (words["signer"] == signer))
            # Evenly spread, so that several recording blocks occur.
            chosen += found[np.linspace(0, len(found) - 1, PER_LABEL).astype(int)].tolist()
    np.savez_compressed(here / "words.npz", **{name: a[chosen] for name, a in words.items()})
    for sequence, clip in enumerate(words["landmarks"][words["label"] == "hello"][:3]):
        folder = here / "frames" / "hello" / str(sequence)
        folder.mkdir(parents=True, exist_ok=True)
        for frame, values in enumerate(clip):
            np.save(folder / f"{frame}.npy", values.astype(np.float32))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
