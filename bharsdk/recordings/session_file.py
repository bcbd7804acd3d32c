"""Recorded landmark sessions: ``NAME.bhar-session``, a zip of a JSON header and a few arrays.

::

    session.json       format_version, frames, aspect, truth [{label, start_ms, end_ms}], note,
                       license; of a recognized session also persons, events, model, options
    timestamps_ms.npy  float64 [T]
    body.npy           float16 or float32 [33, 4, T]
    hands.npy          float16 or float32 [2, 21, 3, T]
    body-1.npy ...     of the second person, and so on
    aspects.npy        float64 [T], where the picture changed its shape

Landmarks of another skeleton than MediaPipe's have as many joints as it names. The header then says
``skeletons``: the names of body and hands. Files of MediaPipe's landmarks stay as they were.

Time is the last axis: each coordinate then lies beside its own past and deflates a fifth smaller.
Values come back exactly as stored; NaN means "not detected". Names, sizes and array headers are
checked before anything is decompressed or parsed; there is no pickle. While a session is being
recorded it is a journal (:mod:`bharsdk.recordings.journal`), which :func:`load_session` reads too.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError, UsageError
from bharsdk.events import Event
from bharsdk.files.codec import KEY, check_version, from_json_dict, to_json_dict
from bharsdk.files.limits import MAX_HEADER_BYTES
from bharsdk.files.untrusted import parse_json, reading, reason_of
from bharsdk.files.writing import write_atomically
from bharsdk.landmarks.landmarks import (
    DEFAULT_ASPECT,
    SKELETONS,
    LandmarkSequence,
    shapes_of,
)
from bharsdk.recordings.extent import Extent, frames_worth
from bharsdk.recordings.journal import is_journal, read_journal
from bharsdk.recordings.session import Session, TrueEvent
from bharsdk.recordings.session_arrays import (
    FLOATS,
    npy_bytes,
    open_archive,
    read_landmarks,
    read_values,
)
from bharsdk.values.checks import as_path, typed

__all__ = ["SUFFIX", "load_session", "save_session"]

SUFFIX = ".bhar-session"
FORMAT_VERSION = 3
"""The lowest that holds the session, so that older versions can read it. 2 brought several people,
events and changing shapes; 3 brought skeletons."""
HEADER, TIMES, ASPECTS = "session.json", "timestamps_ms.npy", "aspects.npy"
EXPECTED = "a file that bhar wrote: copy or record it again"
FIXED_DATE = (1980, 1, 1, 0, 0, 0)
"""Zip's earliest: the same session gives the same bytes whenever it is saved."""


@dataclass(frozen=True)
class _Header:
    format_version: int
    frames: int
    aspect: float = DEFAULT_ASPECT
    truth: tuple[TrueEvent, ...] = ()
    note: str = ""
    license: str = field(default="", metadata={KEY: "licence"})
    persons: int | None = None
    events: tuple[Event, ...] | None = None
    model: str | None = None
    options: dict[str, Any] | None = None
    skeletons: tuple[str, str] | None = None

    @property
    def names(self) -> list[str]:
        """The members that hold landmarks, person by person."""
        suffixes = ["", *(f"-{person}" for person in range(1, self.persons or 1))]
        return [f"{name}{suffix}.npy" for suffix in suffixes for name in ("body", "hands")]


def save_session(path: str | Path, session: Session, *, dtype: npt.DTypeLike = np.float32) -> Path:
    """Write ``session`` to ``path``, under a temporary name until it is whole.

    dtype: float32 keeps every bit; float16 halves the file and keeps coordinates to 1/2048 of the
    image. Returns the path, which may be the one that it was loaded from. Raises UsageError on
    another suffix or dtype, InputError on a session that could not be read again, and when it
    cannot be written; the file of before then stays.
    """
    path = as_path(path, "session: got the path")
    typed(Session, session, "session: got")
    stored = np.dtype(dtype).newbyteorder("<")
    if path.suffix != SUFFIX or stored not in FLOATS:
        raise UsageError(
            f"session: got {path.name!r} as {stored}, expected NAME{SUFFIX} as float16 or float32"
        )
    sequence, f8 = session.sequence, np.dtype("<f8")
    of_version_2 = (session.events, session.aspects, session.model, session.options)
    later = session.others or any(part is not None for part in of_version_2)
    other_joints = sequence.skeletons != SKELETONS
    header = _Header(
        FORMAT_VERSION if other_joints else 2 if later else 1,
        len(sequence),
        sequence.aspect,
        session.truth,
        session.note,
        session.license,
        1 + len(session.others) if later else None,
        session.events,
        session.model if later else None,
        session.options if later else None,
        sequence.skeletons if other_joints else None,
    )
    members = {HEADER: _header_bytes(header), TIMES: npy_bytes(sequence.timestamps_ms, f8)}
    parts = [part for one in (sequence, *session.others) for part in (one.body, one.hands)]
    for name, part in zip(header.names, parts, strict=True):
        members[name] = npy_bytes(np.moveaxis(part, 0, -1), stored)
    if session.aspects is not None:
        members[ASPECTS] = npy_bytes(session.aspects, f8)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, FIXED_DATE)
            archive.writestr(info, data, zipfile.ZIP_DEFLATED, compresslevel=9)
    write_atomically(path, packed.getvalue(), parents=True)
    return path


def _header_bytes(header: _Header) -> bytes:
    """``header`` as JSON. Raises InputError where its session could not be read again."""
    with reading("session", expected="what JSON can hold"):
        _extent_of(header).check()
        fields = to_json_dict(header)
        data = json.dumps(fields, indent=1, allow_nan=False).encode()
        if len(data) > MAX_HEADER_BYTES:
            data = json.dumps(fields, allow_nan=False).encode()
        Extent(text_bytes=len(data)).check()
        from_json_dict(_Header, parse_json(data, HEADER, max_bytes=MAX_HEADER_BYTES), HEADER)
        return data


def load_session(path: str | Path) -> Session:
    """Read a session, or what there is of one whose recording was cut off.

    Takes at most 1 GB and 10 s, whatever the file says (:mod:`bharsdk.files.limits`). Raises
    InputError naming the file when it is missing, damaged, too large or no session,
    IncompatibleError when it was written by a later format version.
    """
    path = as_path(path, "session: got the path")
    if not path.is_file():
        raise InputError(f"{path}: got no such file, expected a recorded session NAME{SUFFIX}")
    with reading(path, expected=EXPECTED):
        if is_journal(path):
            return read_journal(path)
        try:
            with open_archive(path) as archive:
                return _read(path, archive)
        except (zipfile.BadZipFile, EOFError) as error:
            raise InputError(
                f"{path}: damaged or no session ({reason_of(error)}), expected {EXPECTED}"
            ) from error


def _read(path: Path, archive: zipfile.ZipFile) -> Session:
    names = archive.namelist()
    header = _read_header(path, archive)
    has_aspects = ASPECTS in names
    expected = [HEADER, TIMES, *header.names, *([ASPECTS] if has_aspects else [])]
    if sorted(names) != sorted(expected):
        raise InputError(f"got members {names}, expected {expected}")
    timestamps = read_values(archive, TIMES, header.frames)
    aspects = read_values(archive, ASPECTS, header.frames) if has_aspects else None
    skeletons = SKELETONS if header.skeletons is None else header.skeletons
    body_shape, hands_shape = shapes_of(skeletons)
    first, *others = (
        LandmarkSequence(
            timestamps,
            read_landmarks(archive, body, body_shape, header.frames),
            read_landmarks(archive, hands, hands_shape, header.frames),
            header.aspect,
            skeletons,
        )
        for body, hands in zip(header.names[::2], header.names[1::2], strict=True)
    )
    return Session(
        first,
        header.truth,
        header.note,
        header.license,
        tuple(others),
        aspects,
        header.events,
        header.model,
        header.options,
    )


def _read_header(path: Path, archive: zipfile.ZipFile) -> _Header:
    if HEADER not in archive.namelist():
        raise InputError(f"got members {archive.namelist()[:9]}, expected {HEADER}")
    if archive.getinfo(HEADER).file_size > MAX_HEADER_BYTES:
        raise InputError(f"got a {HEADER} above {MAX_HEADER_BYTES} bytes, no session")
    data = parse_json(archive.read(HEADER), HEADER, max_bytes=MAX_HEADER_BYTES)
    if not isinstance(data, dict) or data.get("format_version") not in (1, 2):
        check_version(data, FORMAT_VERSION, str(path), "use the bharsdk version that wrote it")
    header = from_json_dict(_Header, data, HEADER)
    if header.frames < 1 or (header.persons is not None and header.persons < 1):
        raise InputError(
            f"got {header.frames} frames of {header.persons} persons, expected at least 1"
        )
    _extent_of(header).check()
    return header


def _extent_of(header: _Header) -> Extent:
    # Larger skeletons take more memory: a frame of theirs counts several times.
    frames = header.frames * frames_worth(header.skeletons or SKELETONS)
    return Extent(frames, header.persons or 1, len(header.events or ()))
