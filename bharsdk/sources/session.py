"""Recorded landmark sessions: ``NAME.bhar-session``, a zip of a JSON header and four arrays.

::

    session.json       format_version, frames, aspect, truth [{label, start_ms, end_ms}], note,
                       licence
    timestamps_ms.npy  float64 [T]
    body.npy           float16 or float32 [33, 4, T]
    hands.npy          float16 or float32 [2, 21, 3, T]

Time is the last axis: each coordinate then lies beside its own past and deflates a fifth smaller.
Values come back exactly as stored; NaN means "not detected". Names, sizes and array headers are
checked before anything is decompressed or parsed; there is no pickle.
"""

from __future__ import annotations

import io
import json
import math
import os
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from bharsdk.codec import check_version, from_json_dict, to_json_dict
from bharsdk.errors import InputError, UsageError
from bharsdk.landmarks import BODY_SHAPE, DEFAULT_ASPECT, HANDS_SHAPE, LandmarkSequence

__all__ = ["SUFFIX", "Session", "TrueEvent", "load_session", "save_session"]

SUFFIX = ".bhar-session"
FORMAT_VERSION = 1
HEADER = "session.json"
MAX_HEADER_BYTES = 4 << 20
MAX_FRAMES = 1_000_000
"""Nine hours at 30 frames a second; more is a damaged header."""
NPY_HEADER_BYTES = 1024
FLOATS = (np.dtype("<f2"), np.dtype("<f4"))
NPY: Any = np.lib.format
"""Typed in some numpy releases and not in others."""
FIXED_DATE = (1980, 1, 1, 0, 0, 0)
"""Zip's earliest: the same session gives the same bytes whenever it is saved."""


@dataclass(frozen=True)
class TrueEvent:
    """What really happened: a sign between two capture times, milliseconds."""

    label: str
    start_ms: float
    end_ms: float

    def __post_init__(self) -> None:
        if not (0 <= self.start_ms < self.end_ms < math.inf):
            raise InputError(
                f"session: got {self.label!r} from {self.start_ms} to {self.end_ms} ms, expected"
                " 0 <= start < end"
            )


@dataclass(frozen=True, eq=False)
class Session:
    """A recording: its frames and, where known, what happened in it.

    truth: in time order; empty where nobody noted it. note: where the frames come from.
    """

    sequence: LandmarkSequence
    truth: tuple[TrueEvent, ...] = ()
    note: str = ""
    licence: str = ""


@dataclass(frozen=True)
class _Header:
    format_version: int
    frames: int
    aspect: float = DEFAULT_ASPECT
    truth: tuple[TrueEvent, ...] = ()
    note: str = ""
    licence: str = ""


def save_session(path: str | Path, session: Session, *, dtype: npt.DTypeLike = np.float32) -> Path:
    """Write ``session`` to ``path``, under a temporary name until it is whole.

    dtype: float32 keeps every bit; float16 halves the file and keeps coordinates to 1/2048 of the
    image. Returns the path. Raises UsageError on another suffix or dtype, OSError from the disk.
    """
    path, stored = Path(path), np.dtype(dtype).newbyteorder("<")
    if path.suffix != SUFFIX or stored not in FLOATS:
        raise UsageError(
            f"session: got {path.name!r} as {stored}, expected NAME{SUFFIX} as float16 or float32"
        )
    sequence = session.sequence
    header = _Header(
        FORMAT_VERSION,
        len(sequence),
        sequence.aspect,
        session.truth,
        session.note,
        session.licence,
    )
    members = {
        HEADER: json.dumps(to_json_dict(header), indent=1, allow_nan=False).encode(),
        "timestamps_ms.npy": _npy_bytes(sequence.timestamps_ms, np.dtype("<f8")),
        "body.npy": _npy_bytes(np.moveaxis(sequence.body, 0, -1), stored),
        "hands.npy": _npy_bytes(np.moveaxis(sequence.hands, 0, -1), stored),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            for name, data in members.items():
                info = zipfile.ZipInfo(name, FIXED_DATE)
                archive.writestr(info, data, zipfile.ZIP_DEFLATED, compresslevel=9)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def load_session(path: str | Path) -> Session:
    """Read a session. Raises InputError naming the file when it is missing, damaged or no session.

    Raises IncompatibleError when it was written by a later format version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: got no such file, expected a recorded session NAME{SUFFIX}")
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(path, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError, ValueError) as error:
        raise InputError(
            f"{path}: damaged or no session ({error}), expected a file that bhar wrote: copy or"
            " record it again"
        ) from error


def _read(path: Path, archive: zipfile.ZipFile) -> Session:
    names = ["timestamps_ms.npy", "body.npy", "hands.npy"]
    if sorted(archive.namelist()) != sorted([HEADER, *names]):
        raise InputError(f"{path}: got members {archive.namelist()}, expected {[HEADER, *names]}")
    if archive.getinfo(HEADER).file_size > MAX_HEADER_BYTES:
        raise InputError(f"{path}: got a {HEADER} above {MAX_HEADER_BYTES} bytes, no session")
    data = json.loads(archive.read(HEADER))
    check_version(data, FORMAT_VERSION, str(path), "use the bharsdk version that wrote it")
    header = from_json_dict(_Header, data, f"{path}: {HEADER}")
    if not 1 <= header.frames <= MAX_FRAMES:
        raise InputError(f"{path}: got {header.frames} frames, expected 1 to {MAX_FRAMES}")
    shapes = ((), BODY_SHAPE, HANDS_SHAPE)
    dtypes = ((np.dtype("<f8"),), FLOATS, FLOATS)
    times, body, hands = (
        _read_array(path, archive, name, (*shape, header.frames), allowed)
        for name, shape, allowed in zip(names, shapes, dtypes, strict=True)
    )
    try:
        sequence = LandmarkSequence(
            times,
            np.moveaxis(body, -1, 0).astype(np.float32),
            np.moveaxis(hands, -1, 0).astype(np.float32),
            header.aspect,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return Session(sequence, header.truth, header.note, header.licence)


def _npy_bytes(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> bytes:
    buffer = io.BytesIO()
    array = np.ascontiguousarray(values, dtype)
    NPY.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _read_array(
    path: Path,
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtypes: Sequence[np.dtype[Any]],
) -> npt.NDArray[Any]:
    """One member, its size and npy header checked against the session's before it is read."""
    allowed = {math.prod(shape) * dtype.itemsize: dtype for dtype in dtypes}
    size = archive.getinfo(name).file_size
    if not any(0 < size - count <= NPY_HEADER_BYTES for count in allowed):
        raise InputError(f"{path}: got {name} of {size} bytes, expected {list(shape)} values")
    with archive.open(name) as member:
        got_shape, fortran, dtype = _npy_header(member)
        if got_shape != shape or fortran or dtype not in dtypes:
            raise InputError(
                f"{path}: got {name} {dtype} {list(got_shape)}, expected {list(shape)}"
            )
        # One more byte than there is makes zipfile verify the checksum.
        data = member.read(math.prod(shape) * dtype.itemsize + 1)
    return np.frombuffer(data, dtype).reshape(shape)


def _npy_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    if NPY.read_magic(member) != (1, 0):
        raise ValueError("npy version is not 1.0")
    header = NPY.read_array_header_1_0(member, max_header_size=NPY_HEADER_BYTES)
    shape, fortran, dtype = header
    return tuple(shape), bool(fortran), dtype
