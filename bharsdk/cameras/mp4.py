"""Read what an MP4 or QuickTime file says about its pictures (ISO/IEC 14496-12).

Boxes before the index are passed over by their sizes. The index (``moov``) is read whole if it has
at most ``limits.MAX_VIDEO_INDEX_BYTES``. What is damaged or larger counts as unknown, and OpenCV
decides.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from bharsdk.cameras.container import UPRIGHT, Container, Orientation
from bharsdk.files.limits import MAX_VIDEO_BOXES, MAX_VIDEO_INDEX_BYTES, MAX_VIDEO_PICTURES

__all__ = ["read_mp4"]

IDENTITY = (1.0, 0.0, 0.0, 1.0)
NOTHING_SHOWN = -1
"""The media time of an edit that shows nothing for a while."""


def read_mp4(file: BinaryIO, size: int) -> Container:
    """Return what ``file`` of ``size`` bytes says of its first video track."""
    is_cut, index = False, None
    at = 0
    for _ in range(MAX_VIDEO_BOXES):
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            break
        length, name = struct.unpack_from(">I4s", header)
        head = 8
        if length == 1 and len(header) == 16:
            length, head = struct.unpack_from(">Q", header, 8)[0], 16
        length = length or size - at
        if length < head:
            break
        is_cut |= at + length > size
        if name == b"moov" and index is None and length <= MAX_VIDEO_INDEX_BYTES:
            file.seek(at + head)
            index = file.read(length - head)
        at += length
        if at >= size:
            break
    try:
        found = Container() if index is None else _movie(index)
    except (struct.error, ValueError, IndexError, OverflowError):
        found = Container()  # damaged; whether it plays is for OpenCV to find out
    return replace(found, is_cut=is_cut)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, content) of the boxes in ``data``, as far as they are whole."""
    at = 0
    for _ in range(MAX_VIDEO_BOXES):
        if at + 8 > len(data):
            return
        length, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1:
            length, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        length = length or len(data) - at
        if length < head or at + length > len(data):
            return
        yield name, data[at + head : at + length]
        at += length


def _inside(data: bytes, *names: bytes) -> bytes | None:
    """The content of the first box at that path; None where there is none."""
    content: bytes | None = data
    for name in names:
        if content is None:
            return None
        content = next((inner for found, inner in _boxes(content) if found == name), None)
    return content


def _movie(data: bytes) -> Container:
    header = _inside(data, b"mvhd") or b""
    for name, track in _boxes(data):
        handler = _inside(track, b"mdia", b"hdlr") if name == b"trak" else None
        if handler is not None and handler[8:12] == b"vide":
            table = _inside(track, b"mdia", b"minf", b"stbl") or b""
            codec, size = _format(_inside(table, b"stsd") or b"")
            is_fragmented = _inside(data, b"mvex") is not None
            return Container(
                codec,
                _orientation(header, _inside(track, b"tkhd") or b""),
                size,
                None if is_fragmented else _shown(header, track, table),
            )
    return Container()


def _format(stsd: bytes) -> tuple[str | None, tuple[int, int] | None]:
    """Codec and picture size of a sample description."""
    if len(stsd) < 44:
        return None, None
    width, height = struct.unpack_from(">HH", stsd, 8 + 32)
    return stsd[12:16].decode("latin-1"), (width, height) if width and height else None


def _orientation(mvhd: bytes, tkhd: bytes) -> Orientation:
    """The track's matrix, and after it the movie's."""
    movie = _matrix(mvhd, 36, 48)
    track = _matrix(tkhd, 40, 52)
    a, b, c, d = track
    e, f, g, h = movie
    both = (a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h)
    return Orientation.of_matrix(both) or UPRIGHT


def _matrix(box: bytes, short_at: int, long_at: int) -> tuple[float, float, float, float]:
    """(a, b, c, d) of the matrix in ``box``, whose version says where it stands."""
    at = long_at if box[:1] == b"\x01" else short_at
    if len(box) < at + 36:
        return IDENTITY
    a, b, _, c, d = struct.unpack_from(">5i", box, at)
    return a, b, c, d


def _shown(mvhd: bytes, track: bytes, table: bytes) -> int | None:
    """How many pictures a player shows: those that the edit list leaves, all without one."""
    times = _times(table)
    edits = _edits(_inside(track, b"edts", b"elst") or b"")
    if times is None or not edits:
        return None if times is None else len(times)
    movie_scale = _timescale(mvhd)
    media_scale = _timescale(_inside(track, b"mdia", b"mdhd") or b"")
    shown = 0
    for duration, media_time in edits:
        if media_time == NOTHING_SHOWN:
            continue
        end = media_time + duration * media_scale / movie_scale if duration else np.inf
        shown += int(np.count_nonzero((times >= media_time) & (times < end)))
    return shown


def _timescale(header: bytes) -> int:
    """Units a second of an mvhd or mdhd."""
    (scale,) = struct.unpack_from(">I", header, 20 if header[:1] == b"\x01" else 12)
    if scale == 0:
        raise ValueError("a time scale of 0")
    return int(scale)


def _edits(elst: bytes) -> list[tuple[int, int]]:
    """(duration in the movie's time, start in the track's) of each edit; empty where unknown."""
    if len(elst) < 8:
        return []
    (count,) = struct.unpack_from(">I", elst, 4)
    form = ">Qqi" if elst[:1] == b"\x01" else ">Iii"
    step = struct.calcsize(form)
    if count > MAX_VIDEO_BOXES or len(elst) < 8 + count * step:
        return []
    entries = [struct.unpack_from(form, elst, 8 + i * step) for i in range(count)]
    return [(duration, start) for duration, start, _ in entries]


def _times(table: bytes) -> npt.NDArray[np.int64] | None:
    """When each picture is shown, in the track's time, int64 [pictures]; None where unknown."""
    steps = _runs(_inside(table, b"stts"))
    if steps is None:
        return None
    begins = np.concatenate([[0], np.cumsum(steps[:-1])]) if len(steps) else steps
    offsets = _runs(_inside(table, b"ctts"))
    if offsets is None or len(offsets) < len(begins):
        return begins
    # Version 0 holds unsigned offsets, and is written with negative ones all the same.
    shown: npt.NDArray[np.int64] = begins + offsets[: len(begins)].astype(np.int32)
    return shown


def _runs(box: bytes | None) -> npt.NDArray[np.int64] | None:
    """The values of a table of (count, value), one for each picture."""
    if box is None or len(box) < 8:
        return None
    (entries,) = struct.unpack_from(">I", box, 4)
    if len(box) < 8 + 8 * entries:
        return None
    pairs = np.frombuffer(box, ">u4", 2 * entries, 8).reshape(-1, 2).astype(np.int64)
    if int(pairs[:, 0].sum()) > MAX_VIDEO_PICTURES:
        return None
    return np.repeat(pairs[:, 1], pairs[:, 0])
