"""A session while it is being recorded: appended to frame by frame, readable at any moment.

::

    BHARJRNL                    8 bytes
    H  length  crc  JSON        {"format_version": 1, "model": ..., "options": {...}}
    F  length  crc  frame       float64 time_ms, float64 aspect, uint8 people, then for each
                                body float32 [33, 4] and hands float32 [2, 21, 3]
    E  length  crc  JSON        an event that came with the frame before
    S  length  crc  JSON        {"skeletons": [body, hands]}, before the first person, where these
                                are not MediaPipe's: frames then have as many joints as these

Little endian. A record that is torn, by a full disk or a lost process, ends the journal: what lies
before it counts. What cannot be read again is not written (:mod:`bharsdk.files.limits`).
"""

from __future__ import annotations

import enum
import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bharsdk.errors import InputError
from bharsdk.events import Event
from bharsdk.files.codec import check_version, from_json_dict, to_json_dict
from bharsdk.files.leftovers import Lock, is_ours, lock
from bharsdk.files.limits import MAX_EVENTS, MAX_PERSON_FRAMES, MAX_RECORD_BYTES
from bharsdk.files.untrusted import parse_json, reading
from bharsdk.landmarks.frame import Frame
from bharsdk.landmarks.landmarks import SKELETONS
from bharsdk.process.closeable import Closing
from bharsdk.recordings.extent import Extent, frames_worth, person_values
from bharsdk.recordings.journal_frames import JournalFrames, packed, people_in
from bharsdk.recordings.session import Session

__all__ = [
    "JournalState",
    "JournalWriter",
    "is_journal",
    "journal_state",
    "read_journal",
]

MAGIC = b"BHARJRNL"
FORMAT_VERSION = 1
HEADER, FRAME, EVENT, JOINTS = b"H", b"F", b"E", b"S"
RECORD = struct.Struct("<cII")
READ_AHEAD = 256 << 10
HEADER_EXTRA, EVENT_EXTRA = 1024, 8
"""Bytes more that a session's header may take than the JSON records of its journal."""


@dataclass(frozen=True)
class _Header:
    format_version: int
    model: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Joints:
    skeletons: tuple[str, str]


class JournalWriter(Closing):
    """Writes a new journal; what :meth:`add` returned from has left the process.

    Raises InputError on what could not be read again, RecordingFullError where there is no room for
    more, and OSError from the disk: the journal then ends with the last whole record.
    """

    def __init__(
        self, path: Path, model: str = "", options: Mapping[str, Any] | None = None
    ) -> None:
        header = _record(HEADER, _encoded(_Header(FORMAT_VERSION, model, dict(options or {}))))
        self._extent = Extent(text_bytes=len(header) + HEADER_EXTRA)
        self._last_ms = -math.inf
        self._skeletons: tuple[str, str] | None = None
        self._file = path.open("xb", buffering=0)
        # The lock says to others that somebody is recording; it goes however the process ends.
        if not is_ours(path, self._file.fileno()):
            self._file.close()
            raise FileExistsError(f"{path}: another process was faster")
        try:
            self._size = 0
            self._append(MAGIC + header)
        except BaseException:
            self._file.close()
            path.unlink(missing_ok=True)
            raise

    def add(self, frame: Frame, events: Sequence[Event]) -> None:
        """One frame and the events that came with it."""
        if not frame.timestamp_ms > self._last_ms:
            raise InputError(
                f"recording: got the frame of {frame.timestamp_ms} ms after that of"
                f" {self._last_ms} ms, expected times that increase"
            )
        skeletons = frame.people[0].skeletons if frame.people else self._skeletons
        begin = b""
        if skeletons != self._skeletons:
            if self._skeletons is not None:
                raise InputError(
                    f"recording: got joints of {skeletons} after {self._skeletons}, expected one"
                    " pair of skeletons in a recording"
                )
            if skeletons is not None and skeletons != SKELETONS:
                begin = _record(JOINTS, _encoded(_Joints(skeletons)))
        records = [_encoded(event) for event in events]
        extent = self._with(records)
        extent = replace(
            extent,
            frames=extent.frames + 1,
            people=max(extent.people, len(frame.people)),
        )
        # As whoever reads it counts: all frames are as large as the skeletons make them.
        worth = frames_worth(skeletons or SKELETONS)
        replace(extent, frames=extent.frames * worth).check()
        self._append(begin + _record(FRAME, packed(frame)) + _event_records(records))
        self._extent, self._last_ms = extent, frame.timestamp_ms
        self._skeletons = skeletons

    def add_events(self, events: Sequence[Event]) -> None:
        """Events that the end of the source brought."""
        records = [_encoded(event) for event in events]
        extent = self._with(records)
        extent.check()
        self._append(_event_records(records))
        self._extent = extent

    def _with(self, events: Sequence[bytes]) -> Extent:
        text_bytes = sum(len(event) + EVENT_EXTRA for event in events)
        return replace(
            self._extent,
            events=self._extent.events + len(events),
            text_bytes=self._extent.text_bytes + text_bytes,
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


class JournalState(enum.Enum):
    """What was found at the place of a journal."""

    RECORDING = "is going on"
    FRAMES = "was cut off"
    EMPTY = "was cut off before its first frame"


def journal_state(path: Path, *, remove_empty: bool = False) -> JournalState:
    """Whether somebody writes the journal ``path``, and whether it holds frames.

    What is no journal counts as FRAMES. remove_empty: if it is EMPTY. Raises OSError.
    """
    with path.open("rb+") as file:  # for writing: some systems lock no other file
        held = lock(file.fileno())
        if held is Lock.HELD or not is_ours(path, file.fileno()):
            return JournalState.RECORDING
        is_begun = MAGIC.startswith(file.read(len(MAGIC)))
        if held is Lock.UNKNOWN or not is_begun or any(k != HEADER for k, _ in _records(path)):
            return JournalState.FRAMES
        if remove_empty:
            path.unlink()
    return JournalState.EMPTY


def read_journal(path: Path) -> Session:
    """Everything before the first torn record: one sequence for each place in the lists of people.

    Raises InputError naming the file when that is no frame, when it is larger than a recording can
    be, or when a record holds what none can, IncompatibleError when a later version wrote it.
    """
    with reading(path, expected="a journal that bhar wrote"):
        extent, skeletons = _extent_of(path)
        worth = frames_worth(skeletons)
        replace(extent, frames=extent.frames * worth).check()
        frames = JournalFrames(extent.frames, extent.people, skeletons)
        events: list[Event] = []
        header = _Header(FORMAT_VERSION)
        for number, (kind, data) in enumerate(_records(path)):
            if (kind == HEADER) != (number == 0):
                raise InputError(f"damaged: got record {number} of kind {kind!r}")
            if kind == HEADER:
                fields = parse_json(data, "header")
                check_version(fields, FORMAT_VERSION, str(path), "use the bharsdk that wrote it")
                header = from_json_dict(_Header, fields, "header")
            elif kind == FRAME and frames.is_full:
                break  # it has grown meanwhile
            elif kind == FRAME:
                frames.add(data)
            elif kind == JOINTS:
                pass  # read by _extent_of
            elif kind == EVENT:
                events.append(from_json_dict(Event, parse_json(data, "event"), "event"))
            else:
                raise InputError(f"damaged: got a record of kind {kind!r}")
        first, others, aspects = frames.finish()
        return Session(
            first,
            others=others,
            aspects=aspects,
            events=tuple(events),
            model=header.model,
            options=header.options,
        )


def _encoded(value: _Header | _Joints | Event) -> bytes:
    """``value`` as JSON that can be read again."""
    with reading("recording", expected="what JSON can hold"):
        data = json.dumps(to_json_dict(value), allow_nan=False).encode()
        if len(data) > MAX_RECORD_BYTES:
            raise InputError(
                f"got options or an event of {len(data)} bytes, expected at most {MAX_RECORD_BYTES}"
            )
        from_json_dict(type(value), parse_json(data, "recording"), "recording")
        return data


def _event_records(events: Sequence[bytes]) -> bytes:
    return b"".join(_record(EVENT, event) for event in events)


def _record(kind: bytes, data: bytes) -> bytes:
    return RECORD.pack(kind, len(data), zlib.crc32(data)) + data


def _records(path: Path) -> Iterator[tuple[bytes, bytes]]:
    with path.open("rb", READ_AHEAD) as file:
        file.seek(len(MAGIC))
        while len(head := file.read(RECORD.size)) == RECORD.size:
            kind, length, crc = RECORD.unpack(head)
            if length > MAX_RECORD_BYTES:
                return
            data = file.read(length)
            if len(data) != length or zlib.crc32(data) != crc:
                return
            yield kind, data


def _extent_of(path: Path) -> tuple[Extent, tuple[str, str]]:
    """How large the session will be, at most, by the heads of the records; and its skeletons.

    Ends where it is too large, whatever the size of the file.
    """
    frames = people = events = text_bytes = 0
    skeletons = SKELETONS
    size = path.stat().st_size
    with path.open("rb", READ_AHEAD) as file:
        at = len(MAGIC)
        file.seek(at)
        while frames <= MAX_PERSON_FRAMES and events <= MAX_EVENTS:
            head = file.read(RECORD.size)
            if len(head) != RECORD.size:
                break
            kind, length, _ = RECORD.unpack(head)
            at += RECORD.size + length
            if length > MAX_RECORD_BYTES or at > size:
                break
            if kind == FRAME:
                frames += 1
                people = max(people, people_in(length, skeletons))
            elif kind == JOINTS and text_bytes and not people and skeletons == SKELETONS:
                data = parse_json(file.read(length), "skeletons")
                skeletons = from_json_dict(_Joints, data, "skeletons").skeletons
                person_values(skeletons)  # refuses unknown ones
            elif kind == EVENT or not text_bytes:
                events += kind == EVENT
                text_bytes += length
            else:
                break  # no record that may stand here
            file.seek(at)
    return Extent(frames, people, events, text_bytes), skeletons
