"""A session while it is being recorded: appended to frame by frame, readable at any moment.

::

    BHARJRNL                    8 bytes
    H  length  crc  JSON        {"format_version": 1, "model": ..., "options": {...}}
    F  length  crc  frame       float64 time_ms, float64 aspect, uint8 people, then for each
                                body float32 [33, 4] and hands float32 [2, 21, 3]
    E  length  crc  JSON        an event that came with the frame before

Little endian. A record that is torn, by a full disk or a lost process, ends the journal: what lies
before it counts.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bharsdk.closing import Closing
from bharsdk.codec import check_version, from_json_dict, to_json_dict
from bharsdk.errors import InputError
from bharsdk.events import Event
from bharsdk.landmarks import BODY_SHAPE, HANDS_SHAPE, Landmarks
from bharsdk.sources.frame import Frame

__all__ = ["Journal", "JournalWriter", "is_journal", "read_journal"]

MAGIC = b"BHARJRNL"
FORMAT_VERSION = 1
HEADER, FRAME, EVENT = b"H", b"F", b"E"
RECORD = struct.Struct("<cII")
FRAME_HEAD = struct.Struct("<ddB")
F4 = np.dtype("<f4")
BODY_BYTES = int(np.prod(BODY_SHAPE)) * F4.itemsize
PERSON_BYTES = BODY_BYTES + int(np.prod(HANDS_SHAPE)) * F4.itemsize
MAX_RECORD_BYTES = 64 << 10
"""A frame of the most people that may be followed takes 17 KB."""


@dataclass(frozen=True, eq=False)
class Journal:
    """What a journal holds.

    model: sha256 of the bundle that recognised it, or empty. options: what was asked of it, as JSON
    values.
    """

    frames: tuple[Frame, ...]
    events: tuple[Event, ...]
    model: str
    options: dict[str, Any]


@dataclass(frozen=True)
class _Header:
    format_version: int
    model: str = ""
    options: dict[str, Any] = field(default_factory=dict)


class JournalWriter(Closing):
    """Writes a new journal; what :meth:`add` returned from has left the process.

    Raises OSError, and then the journal ends with the last whole record.
    """

    def __init__(
        self, path: Path, model: str = "", options: Mapping[str, Any] | None = None
    ) -> None:
        self._file = path.open("xb", buffering=0)
        try:
            self._size = 0
            header = _Header(FORMAT_VERSION, model, dict(options or {}))
            self._append(MAGIC + _record(HEADER, json.dumps(to_json_dict(header)).encode()))
        except BaseException:
            self._file.close()
            path.unlink(missing_ok=True)
            raise

    def add(self, frame: Frame, events: Sequence[Event]) -> None:
        """One frame and the events that came with it."""
        parts = [FRAME_HEAD.pack(frame.timestamp_ms, frame.aspect, len(frame.people))]
        for person in frame.people:
            parts += [person.body.astype(F4).tobytes(), person.hands.astype(F4).tobytes()]
        self._append(_record(FRAME, b"".join(parts)) + self._encoded(events))

    def add_events(self, events: Sequence[Event]) -> None:
        """Events that the end of the source brought."""
        self._append(self._encoded(events))

    def _encoded(self, events: Sequence[Event]) -> bytes:
        return b"".join(
            _record(EVENT, json.dumps(to_json_dict(event)).encode()) for event in events
        )

    def _append(self, data: bytes) -> None:
        """All of ``data`` or none of it."""
        try:
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) or 0 :]
        except BaseException:
            # A full disk takes the first part of a record.
            self._file.truncate(self._size)
            raise
        self._size += len(data)

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        self._file.close()


def is_journal(path: Path) -> bool:
    """Whether the file begins as a journal does."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_journal(path: Path) -> Journal:
    """Everything before the first torn record.

    Raises InputError naming the file when that is no frame, or a record holds what none can,
    IncompatibleError when a later version wrote it.
    """
    frames: list[Frame] = []
    events: list[Event] = []
    header = _Header(FORMAT_VERSION)
    for number, (kind, data) in enumerate(_records(path)):
        try:
            if (kind == HEADER) != (number == 0):
                raise InputError(f"got record {number} of kind {kind!r}")
            if kind == HEADER:
                fields = json.loads(data)
                check_version(fields, FORMAT_VERSION, str(path), "use the bharsdk that wrote it")
                header = from_json_dict(_Header, fields, "header")
            elif kind == FRAME:
                frames.append(_frame(data, len(frames)))
            elif kind == EVENT:
                events.append(from_json_dict(Event, json.loads(data), "event"))
            else:
                raise InputError(f"got a record of kind {kind!r}")
        except (InputError, ValueError) as error:
            raise InputError(
                f"{path}: damaged ({error}), expected a journal that bhar wrote"
            ) from error
    if not frames:
        raise InputError(f"{path}: got a recording without a whole frame, expected at least one")
    return Journal(tuple(frames), tuple(events), header.model, header.options)


def _record(kind: bytes, data: bytes) -> bytes:
    return RECORD.pack(kind, len(data), zlib.crc32(data)) + data


def _records(path: Path) -> Iterator[tuple[bytes, bytes]]:
    with path.open("rb") as file:
        file.seek(len(MAGIC))
        while len(head := file.read(RECORD.size)) == RECORD.size:
            kind, length, crc = RECORD.unpack(head)
            if length > MAX_RECORD_BYTES:
                return
            data = file.read(length)
            if len(data) != length or zlib.crc32(data) != crc:
                return
            yield kind, data


def _frame(data: bytes, number: int) -> Frame:
    if len(data) < FRAME_HEAD.size:
        raise InputError(f"got a frame of {len(data)} bytes")
    time_ms, aspect, count = FRAME_HEAD.unpack_from(data)
    if len(data) != FRAME_HEAD.size + count * PERSON_BYTES:
        raise InputError(f"got a frame of {len(data)} bytes for {count} people")
    people = []
    for person in range(count):
        at = FRAME_HEAD.size + person * PERSON_BYTES
        body = np.frombuffer(data, F4, BODY_BYTES // F4.itemsize, at)
        hands = np.frombuffer(data, F4, (PERSON_BYTES - BODY_BYTES) // F4.itemsize, at + BODY_BYTES)
        people.append(
            Landmarks(time_ms, body.reshape(BODY_SHAPE), hands.reshape(HANDS_SHAPE), aspect)
        )
    return Frame(time_ms, tuple(people), aspect, number=number)
