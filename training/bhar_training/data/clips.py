"""Load labeled landmark clips.

:func:`load_clips` reads three layouts:

- ``words.npz``: arrays landmarks [clip, T, 258] (126 for hands alone, 1,662 or 1,692 with the face)
  and label; optionally signer, block, start_s and end_s (:mod:`bhar_training.data.ranges`);
- a folder ``<label>/<sequence>/<frame>.npy`` (:mod:`bhar_training.data.frames`);
- a folder ``<label>/<name>.bhar-session``, which ``bhar-train extract`` writes.

The log says at INFO what was assumed, and as a warning what looks odd
(:mod:`bhar_training.data.notes`). Data that is certainly something else is refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bhar_training.data.clip_check import accept
from bhar_training.data.clip_set import ClipSet
from bhar_training.data.frames import read_folder
from bhar_training.data.labels import checked_labels
from bhar_training.data.npz import array_names, numbers_of, read_arrays, texts_of
from bhar_training.data.ranges import parts_of_arrays
from bharsdk.errors import InputError
from bharsdk.files.untrusted import reading
from bharsdk.landmarks.landmarks import DEFAULT_ASPECT, LandmarkSequence

__all__ = ["WORDS_FPS", "load_clips", "read_npz"]

WORDS_FPS = 15.0
"""Frame rate assumed for layouts that store no time: webcam recordings of a Python loop."""

MAX_CLIPS = 1_000_000
ARRAYS = ("landmarks", "label", "signer", "block", "start_s", "end_s")


def load_clips(path: Path, *, fps: float = WORDS_FPS, aspect: float = DEFAULT_ASPECT) -> ClipSet:
    """Read the recordings at ``path``.

    fps and aspect hold for layouts that store neither. Raises InputError naming the path when it is
    missing, empty or of no known layout.
    """
    with reading(path, expected="recordings that can be read"):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder, expected recordings")
        if path.is_file():
            if path.suffix != ".npz":
                raise InputError(f"{path}: got a {path.suffix or 'plain'} file, expected .npz")
            return read_npz(path, fps=fps, aspect=aspect)
        return read_folder(path, fps=fps, aspect=aspect)


def read_npz(path: Path, *, fps: float = WORDS_FPS, aspect: float = DEFAULT_ASPECT) -> ClipSet:
    """Read the packed layout: landmarks [clip, T, 126, 258, 1662 or 1692], label, signer, block.

    A block of -1 is not known. Raises InputError naming the path and the clip when they cannot be
    used.
    """
    names = array_names(path)
    missing = {"landmarks", "label"} - set(names)
    if missing:
        raise InputError(
            f"{path}: array {sorted(missing)[0]!r} is missing, got {sorted(names)}; for a public"
            " skeleton data set, name its --protocol"
        )
    arrays = read_arrays(path, ARRAYS)
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
    if blocks.size and blocks.min() < -1:
        raise InputError(
            f"{path}: got block {blocks.min()}, expected numbers from 0, or -1 for 'not known'"
        )
    sequences = [
        LandmarkSequence.from_flat(clip, fps=fps, aspect=aspect, where=f"{path}: clip {i}")
        for i, clip in enumerate(landmarks)
    ]
    clips = ClipSet(
        parts_of_arrays(arrays, sequences, str(path)),
        checked_labels(texts_of(labels, f"{path}: label"), str(path)),
        texts_of(signers, f"{path}: signer"),
        numbers_of(blocks, f"{path}: block"),
    )
    unread = set(names) - set(ARRAYS)
    return accept(clips, path, {landmarks.shape[2]}, fps=fps, aspect=aspect, unread=unread)
