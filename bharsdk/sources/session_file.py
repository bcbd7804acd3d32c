"""Recorded landmark sessions: ``NAME.bhar-session``, a zip of a JSON header and a few arrays.

::

    session.json       format_version, frames, aspect, truth [{label, start_ms, end_ms}], note,
                       licence; of a recognised session also persons, events, model, options
    timestamps_ms.npy  float64 [T]
    body.npy           float16 or float32 [33, 4, T]
    hands.npy          float16 or float32 [2, 21, 3, T]
    body-1.npy ...     of the second person, and so on
    aspects.npy        float64 [T], where the picture changed its shape

Time is the last axis: each coordinate then lies beside its own past and deflates a fifth smaller.
Values come back exactly as stored; NaN means "not detected". Names, sizes and array headers are
checked before anything is decompressed or parsed; there is no pickle. While a session is being
recorded it is a journal (:mod:`bharsdk.sources.journal`), which :func:`load_session` reads too.
"""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import tempfile
import tokenize
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
from bharsdk.events import Event
from bharsdk.landmarks import (
    BODY_SHAPE,
    DEFAULT_ASPECT,
    HANDS_SHAPE,
    LandmarkSequence,
    check_aspect,
)
from bharsdk.sources.journal import Journal, is_journal, read_journal
from bharsdk.sources.session import Session, TrueEvent

__all__ = ["SUFFIX", "load_session", "save_session"]

SUFFIX = ".bhar-session"
FORMAT_VERSION = 2
"""1 where a session uses nothing that came with 2: several people, events, changing shapes."""
HEADER, TIMES, ASPECTS = "session.json", "timestamps_ms.npy", "aspects.npy"
MAX_HEADER_BYTES = 4 << 20
MAX_PERSONS = 16
MAX_FRAMES = 1_000_000
"""Nine hours at 30 frames a second; more is a damaged header."""
NPY_HEADER_BYTES = 1024
METHODS, ENCRYPTED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), 0x1
FLOATS = (np.dtype("<f2"), np.dtype("<f4"))
NPY: Any = np.lib.format
"""Typed in some numpy releases and not in others."""
FIXED_DATE = (1980, 1, 1, 0, 0, 0)
"""Zip's earliest: the same session gives the same bytes whenever it is saved."""


@dataclass(frozen=True)
class _Header:
    format_version: int
    frames: int
    aspect: float = DEFAULT_ASPECT
    truth: tuple[TrueEvent, ...] = ()
    note: str = ""
    licence: str = ""
    persons: int | None = None
    events: tuple[Event, ...] | None = None
    model: str | None = None
    options: dict[str, Any] | None = None

    @property
    def names(self) -> list[str]:
        """The members that hold landmarks, person by person."""
        suffixes = ["", *(f"-{person}" for person in range(1, self.persons or 1))]
        return [f"{name}{suffix}.npy" for suffix in suffixes for name in ("body", "hands")]


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
    sequence, f8 = session.sequence, np.dtype("<f8")
    later = session.others or session.events is not None or session.aspects is not None
    header = _Header(
        FORMAT_VERSION if later else 1,
        len(sequence),
        sequence.aspect,
        session.truth,
        session.note,
        session.licence,
        1 + len(session.others) if later else None,
        session.events,
        session.model if later else None,
        session.options if later else None,
    )
    members = {
        HEADER: json.dumps(to_json_dict(header), indent=1, allow_nan=False).encode(),
        TIMES: _npy_bytes(sequence.timestamps_ms, f8),
    }
    parts = [part for one in (sequence, *session.others) for part in (one.body, one.hands)]
    for name, part in zip(header.names, parts, strict=True):
        members[name] = _npy_bytes(np.moveaxis(part, 0, -1), stored)
    if session.aspects is not None:
        members[ASPECTS] = _npy_bytes(session.aspects, f8)
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
    """Read a session, or what there is of one whose recording was cut off.

    Raises InputError naming the file when it is missing, damaged or no session, IncompatibleError
    when it was written by a later format version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: got no such file, expected a recorded session NAME{SUFFIX}")
    if is_journal(path):
        return _of_journal(read_journal(path))
    try:
        with zipfile.ZipFile(path) as archive:
            _check_methods(archive)
            return _read(path, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path}: damaged or no session ({error}), expected a file that bhar wrote: copy or"
            " record it again"
        ) from error


def _check_methods(archive: zipfile.ZipFile) -> None:
    """Raise ValueError on what no session has: other compressions bring errors of their own."""
    for member in archive.infolist():
        if member.compress_type not in METHODS or member.flag_bits & ENCRYPTED:
            raise ValueError(f"{member.filename} is encrypted, or compressed in another way")


def _of_journal(journal: Journal) -> Session:
    """Frames side by side: one sequence for each place in the frames' lists of people."""
    times = np.array([frame.timestamp_ms for frame in journal.frames])
    aspects = np.array([frame.aspect for frame in journal.frames])
    persons = max(1, *(len(frame.people) for frame in journal.frames))
    body = np.full((persons, len(times), *BODY_SHAPE), np.nan, np.float32)
    hands = np.full((persons, len(times), *HANDS_SHAPE), np.nan, np.float32)
    for t, frame in enumerate(journal.frames):
        for person, landmarks in enumerate(frame.people):
            body[person, t], hands[person, t] = landmarks.body, landmarks.hands
    first, *others = (
        LandmarkSequence(times, *parts, float(aspects[0]))
        for parts in zip(body, hands, strict=True)
    )
    changes = bool((aspects != aspects[0]).any())
    return Session(
        first,
        others=tuple(others),
        aspects=aspects if changes else None,
        events=journal.events,
        model=journal.model,
        options=journal.options,
    )


def _read(path: Path, archive: zipfile.ZipFile) -> Session:
    header = _read_header(path, archive)
    times, found = (header.frames,), set(archive.namelist())
    has_aspects = ASPECTS in found
    expected = [HEADER, TIMES, *header.names, *([ASPECTS] if has_aspects else [])]
    if sorted(archive.namelist()) != sorted(expected):
        raise InputError(f"{path}: got members {archive.namelist()}, expected {expected}")
    f8 = (np.dtype("<f8"),)
    timestamps = _read_array(path, archive, TIMES, times, f8)
    aspects = _read_array(path, archive, ASPECTS, times, f8) if has_aspects else None
    arrays = [
        np.moveaxis(_read_array(path, archive, name, (*shape, *times), FLOATS), -1, 0)
        for name, shape in zip(
            header.names, itertools.cycle((BODY_SHAPE, HANDS_SHAPE)), strict=False
        )
    ]
    try:
        for aspect in () if aspects is None else aspects:
            check_aspect(float(aspect))
        first, *others = (
            LandmarkSequence(
                timestamps, body.astype(np.float32), hands.astype(np.float32), header.aspect
            )
            for body, hands in zip(arrays[::2], arrays[1::2], strict=True)
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return Session(
        first,
        header.truth,
        header.note,
        header.licence,
        tuple(others),
        aspects,
        header.events,
        header.model,
        header.options,
    )


def _read_header(path: Path, archive: zipfile.ZipFile) -> _Header:
    if HEADER not in archive.namelist():
        raise InputError(f"{path}: got members {archive.namelist()[:9]}, expected {HEADER}")
    if archive.getinfo(HEADER).file_size > MAX_HEADER_BYTES:
        raise InputError(f"{path}: got a {HEADER} above {MAX_HEADER_BYTES} bytes, no session")
    data = json.loads(archive.read(HEADER))
    if not isinstance(data, dict) or data.get("format_version") != 1:
        check_version(data, FORMAT_VERSION, str(path), "use the bharsdk version that wrote it")
    header = from_json_dict(_Header, data, f"{path}: {HEADER}")
    if not 1 <= header.frames <= MAX_FRAMES:
        raise InputError(f"{path}: got {header.frames} frames, expected 1 to {MAX_FRAMES}")
    if not 1 <= (header.persons or 1) <= MAX_PERSONS:
        raise InputError(f"{path}: got {header.persons} persons, expected 1 to {MAX_PERSONS}")
    return header


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
    member = io.BytesIO(archive.read(name))  # its checksum is verified before it is parsed
    got_shape, fortran, dtype = _npy_header(member)
    if got_shape != shape or fortran or dtype not in dtypes:
        raise InputError(f"{path}: got {name} {dtype} {list(got_shape)}, expected {list(shape)}")
    return np.frombuffer(member.read(), dtype).reshape(shape)


def _npy_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    if NPY.read_magic(member) != (1, 0):
        raise ValueError("npy version is not 1.0")
    try:
        header = NPY.read_array_header_1_0(member, max_header_size=NPY_HEADER_BYTES)
    except (SyntaxError, tokenize.TokenError) as error:  # numpy reads it as Python's literals
        raise ValueError(f"npy header: {error}") from error
    shape, fortran, dtype = header
    return tuple(shape), bool(fortran), dtype
