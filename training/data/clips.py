"""Labelled landmark clips in memory, and where they come from.

:func:`load_clips` reads what it is pointed at:

- ``words.npz``: arrays landmarks [clip, T, 258], or [clip, T, 126] of hands alone, label, and
  optionally signer and block;
- a folder ``<label>/<sequence>/<frame>.npy`` (see :mod:`bhar_training.data.frames`);
- a folder ``<label>/<name>.bhar-session``, what ``bhar-train extract`` writes.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError
from bharsdk.landmarks import DEFAULT_ASPECT, LandmarkSequence

__all__ = ["WORDS_FPS", "ClipSet", "load_clips", "read_npz"]

WORDS_FPS = 15.0
"""Frame rate assumed for layouts that store no time: webcam recordings of a Python loop."""

MAX_CLIPS = 1_000_000


@dataclass(frozen=True, eq=False)
class ClipSet:
    """N labelled clips. signers and blocks are "" and -1 where the recording does not say.

    A block is one stretch of recording: clips of one block must not be split over train and test.
    """

    sequences: tuple[LandmarkSequence, ...]
    labels: tuple[str, ...]
    signers: tuple[str, ...]
    blocks: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that occur, sorted."""
        return tuple(sorted(set(self.labels)))

    @property
    def people(self) -> tuple[str, ...]:
        """Who is known to have signed, sorted."""
        return tuple(sorted({signer for signer in self.signers if signer}))

    def take(self, indices: Sequence[int]) -> ClipSet:
        """The clips at ``indices``, in that order."""
        return ClipSet(
            tuple(self.sequences[i] for i in indices),
            tuple(self.labels[i] for i in indices),
            tuple(self.signers[i] for i in indices),
            tuple(self.blocks[i] for i in indices),
        )

    def where(self, keep: Callable[[int], bool]) -> ClipSet:
        """The clips whose index ``keep`` accepts."""
        return self.take([i for i in range(len(self)) if keep(i)])

    def of_signers(self, signers: Sequence[str]) -> ClipSet:
        """The clips of these signers. Raises InputError naming the known ones."""
        unknown = sorted(set(signers) - set(self.signers))
        if unknown:
            known = sorted(set(self.signers))
            raise InputError(f"signers: got {unknown[0]!r}, expected some of {known}")
        return self.where(lambda i: self.signers[i] in signers)


def load_clips(path: Path, *, fps: float = WORDS_FPS, aspect: float = DEFAULT_ASPECT) -> ClipSet:
    """Read ``path`` (see the module). fps and aspect hold for layouts that store neither.

    Raises InputError naming the path when it is missing, empty or of no known layout.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder, expected recordings")
    if path.is_file():
        if path.suffix != ".npz":
            raise InputError(f"{path}: got a {path.suffix or 'plain'} file, expected .npz")
        return read_npz(path, fps=fps, aspect=aspect)
    from bhar_training.data.frames import read_folder

    return read_folder(path, fps=fps, aspect=aspect)


def read_npz(path: Path, *, fps: float = WORDS_FPS, aspect: float = DEFAULT_ASPECT) -> ClipSet:
    """Read the packed layout: landmarks [clip, T, 126, 258 or 1662], label, signer, block.

    Raises InputError naming the path, and the clip, when they cannot be used.
    """
    arrays = _arrays(path)
    missing = {"landmarks", "label"} - set(arrays)
    if missing:
        raise InputError(
            f"{path}: array {sorted(missing)[0]!r} is missing, got {sorted(arrays)}; for a public"
            " skeleton data set, name its --protocol"
        )
    landmarks, labels = arrays["landmarks"], arrays["label"]
    count = labels.size
    if landmarks.ndim != 3 or labels.shape != landmarks.shape[:1] or not 0 < count <= MAX_CLIPS:
        raise InputError(
            f"{path}: got landmarks {landmarks.shape} for {count} labels, expected"
            " [clips, frames, values]"
        )
    signers = arrays.get("signer", np.full(count, ""))
    blocks = arrays.get("block", np.full(count, -1))
    if signers.shape != (count,) or blocks.shape != (count,) or blocks.dtype.kind not in "iu":
        raise InputError(
            f"{path}: got signer {signers.shape} and block {blocks.dtype} {blocks.shape}, expected"
            f" a name and a whole number for each of {count} labels"
        )
    return ClipSet(
        tuple(
            LandmarkSequence.from_flat(clip, fps=fps, aspect=aspect, where=f"{path}: clip {i}")
            for i, clip in enumerate(landmarks)
        ),
        tuple(str(label) for label in labels),
        tuple(str(signer) for signer in signers),
        tuple(int(block) for block in blocks),
    )


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    damaged = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
    try:
        with zipfile.ZipFile(path):  # np.load would also open what is no archive
            pass
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except damaged as error:
        raise InputError(f"{path}: not a readable .npz without pickles ({error})") from error
