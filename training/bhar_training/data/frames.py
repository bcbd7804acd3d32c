"""Read recordings in folders, one folder a label.

A clip has one of two forms; both may stand in one folder::

    <label>/<sequence>/<frame>.npy  one array a frame: 258 values, 1,662 or 1,692 with the face,
                                    126 for hands alone; frames numbered without a gap from 0 or 1
    <label>/<name>.bhar-session     a recorded session, which ``bhar-train extract`` writes

Many public sign recordings use the first form. It stores no time. Nothing in it is trusted: the
size of a file is checked before it is read, and pickles are refused. Hidden files and folders are
passed over.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bhar_training.console.progress import progress_bar
from bhar_training.data.clip_check import accept
from bhar_training.data.clip_set import ClipSet
from bhar_training.data.labels import checked_labels
from bhar_training.data.npz import read_header
from bhar_training.data.ranges import read_ranges
from bharsdk.errors import InputError
from bharsdk.files.untrusted import reason_of
from bharsdk.landmarks.landmarks import FLAT_SIZES, LandmarkSequence
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import SUFFIX, load_session

__all__ = ["read_folder"]

LAYOUTS = f"<label>/<sequence>/<frame>.npy or <label>/<name>{SUFFIX}"
SIZES = " or ".join(str(size) for size in sorted(FLAT_SIZES))
MAX_FRAME_BYTES = max(FLAT_SIZES) * 8 + 1024
"""The longer form in double precision, and its npy header."""
FIRST_FRAMES = (0, 1)
NPY: Any = np.lib.format
"""Typed in some numpy releases and not in others."""


def read_folder(path: Path, *, fps: float, aspect: float) -> ClipSet:
    """Read every clip below ``path``, sorted by label and name.

    A ``ranges.csv`` says which parts of the clips count (:mod:`bhar_training.data.ranges`). fps and
    aspect hold for frames in single arrays. Signers are not known. Each recording is a block of its
    own where it has several parts, else its block is -1. Raises InputError naming the file or
    folder that cannot be used.
    """
    found = [(label.name, clip) for label in _folders(path) for clip in _clips(label)]
    if not found:
        raise InputError(f"{path}: got no recordings, expected {LAYOUTS}")
    bar = progress_bar(found, desc="read", unit="clip", leave=False, delay=1.0)
    sizes: set[int] = set()
    names = checked_labels([label for label, _ in found], [str(clip.parent) for _, clip in found])
    ranges = read_ranges(path)
    ranges.check_clips(clip for _, clip in found)
    parts = [ranges.parts(clip, label, _read_clip(clip, fps, aspect, sizes)) for label, clip in bar]
    # Several parts of one recording are a block: training and validation must not share it.
    blocks = [-1 if len(of_one) == 1 else i for i, of_one in enumerate(parts) for _ in of_one]
    sequences = tuple(part for of_one in parts for part in of_one)
    labels = [label for label, of_one in zip(names, parts, strict=True) for _ in of_one]
    clips = ClipSet(sequences, tuple(labels), ("",) * len(labels), tuple(blocks))
    sessions = sum(clip.is_file() for _, clip in found)
    return accept(clips, path, sizes, fps=fps, aspect=aspect, sessions=sessions)


def _clips(label: Path) -> list[Path]:
    """The sequence folders and session files of one label, sorted."""
    sessions = [
        entry for entry in label.glob(f"*{SUFFIX}") if entry.is_file() and entry.name[0] != "."
    ]
    clips = sorted([*_folders(label), *sessions], key=_natural)
    if not clips:
        raise InputError(f"{label}: got a label without recordings, expected {LAYOUTS}")
    return clips


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _natural(path: Path) -> tuple[int, str]:
    """Sequence 2 before sequence 10; names that are no number after them."""
    number = path.name.zfill(20) if path.name.isdecimal() else path.name
    return (not path.name.isdecimal(), number)


def _read_clip(
    path: Path, fps: float, aspect: float, sizes: set[int]
) -> Session | LandmarkSequence:
    """sizes: gets how many values a frame has, where frames are single files."""
    if path.is_file():
        return load_session(path)
    frames: list[npt.NDArray[np.float32]] = []
    for file in _frame_files(path):
        frames.append(_read_frame(file))
        if len(frames[-1]) != len(frames[0]):
            raise InputError(
                f"{file}: got {len(frames[-1])} values after frames of {len(frames[0])}, expected"
                " one count in a sequence"
            )
    sizes.add(len(frames[0]))
    return LandmarkSequence.from_flat(np.stack(frames), fps=fps, aspect=aspect, where=str(path))


def _frame_files(sequence: Path) -> list[Path]:
    """The frames in order of their numbers, which leave no gap."""
    files: dict[int, Path] = {}
    for file in sorted(sequence.glob("*.npy")):
        if file.name.startswith("."):
            continue
        if not (file.stem.isascii() and file.stem.isdecimal()):
            raise InputError(f"{file}: got a frame named {file.stem!r}, expected its number")
        number = int(file.stem)
        if number in files:
            raise InputError(f"{file}: got frame {number} twice, also as {files[number].name}")
        files[number] = file
    if not files:
        raise InputError(f"{sequence}: got a sequence without frames, expected <frame>.npy")
    first = min(files) if min(files) in FIRST_FRAMES else FIRST_FRAMES[0]
    for number in range(first, first + len(files)):
        if number not in files:
            raise InputError(
                f"{sequence}: got frames up to {max(files)} without {number}.npy, expected every"
                " number: record the sequence again or remove it"
            )
    return [files[number] for number in sorted(files)]


def _read_frame(path: Path) -> npt.NDArray[np.float32]:
    """One frame, float32 [126, 258, 1662 or 1692], finite."""
    size = path.stat().st_size
    if not 0 < size <= MAX_FRAME_BYTES:
        raise InputError(f"{path}: got {size} bytes, expected one frame of {SIZES} values")
    try:
        values = _read_array(path.read_bytes())
    except Exception as error:  # whatever numpy raises at a damaged or hostile file
        raise InputError(
            f"{path}: not a readable .npy without pickles ({reason_of(error)})"
        ) from error
    if values.ndim != 1 or values.size not in FLAT_SIZES:
        raise InputError(
            f"{path}: got {values.size} values, shape {list(values.shape)}, expected {SIZES} of"
            " MediaPipe Holistic"
        )
    if values.dtype.kind not in "fiu":
        raise InputError(f"{path}: got values of type {values.dtype}, expected numbers")
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite: refused
        frame: npt.NDArray[np.float32] = values.astype(np.float32)
    if not np.isfinite(frame).all():
        raise InputError(f"{path}: got NaN or infinite values, expected 0 for 'not detected'")
    return frame


def _read_array(data: bytes) -> npt.NDArray[Any]:
    """The array of a .npy file that takes no more memory than the file has bytes."""
    file = io.BytesIO(data)
    shape, dtype = read_header(file)
    if math.prod(shape) * dtype.itemsize > len(data):
        raise ValueError(f"the header says {list(shape)}, which the file is too short for")
    file.seek(0)
    values: npt.NDArray[Any] = NPY.read_array(file, allow_pickle=False)
    return values
