"""Read what a Matroska or WebM file says about its pictures: codec and rotation.

Only the elements before and in ``Tracks`` are read; the rest is passed over.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import BinaryIO

from bharsdk.cameras.container import UPRIGHT, Container, Orientation
from bharsdk.files.limits import MAX_VIDEO_BOXES, MAX_VIDEO_INDEX_BYTES

__all__ = ["read_matroska"]

SEGMENT, CLUSTER, TRACKS, TRACK = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE
TYPE, CODEC, VIDEO = 0x83, 0x86, 0xE0
WIDTH, HEIGHT, PROJECTION = 0xB0, 0xBA, 0x7670
KIND, YAW, PITCH, ROLL = 0x7671, 0x7673, 0x7674, 0x7675
IS_VIDEO = 1


def read_matroska(file: BinaryIO, size: int) -> Container:
    """Return what ``file`` of ``size`` bytes says of its first video track."""
    at, end = 0, size
    for _ in range(MAX_VIDEO_BOXES):
        if at >= end:
            break
        file.seek(at)
        header = _header(file.read(12))
        if header is None:
            break
        name, head, length = header
        if name == SEGMENT:
            at += head
            continue
        if length is None:  # a live recording does not know how long its parts are
            break
        if name == TRACKS and length <= MAX_VIDEO_INDEX_BYTES:
            file.seek(at + head)
            return _tracks(file.read(length))
        at += head + length
    return Container()


def _header(data: bytes) -> tuple[int, int, int | None] | None:
    """(name, bytes of the header, length of the content, None where unknown); None at nonsense."""
    name_bytes = _width(data[:1])
    size_bytes = _width(data[name_bytes : name_bytes + 1])
    if not 1 <= name_bytes <= 4 or not size_bytes or len(data) < name_bytes + size_bytes:
        return None
    raw = int.from_bytes(data[name_bytes : name_bytes + size_bytes], "big")
    mask = (1 << (7 * size_bytes)) - 1
    length = raw & mask
    head = name_bytes + size_bytes
    return int.from_bytes(data[:name_bytes], "big"), head, None if length == mask else length


def _width(first: bytes) -> int:
    """Bytes of a number that begins with ``first``: as many as it has leading zeros, and one."""
    return 0 if first in (b"", b"\0") else 9 - first[0].bit_length()


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(name, content) of the elements in ``data``, as far as they are whole."""
    at = 0
    for _ in range(MAX_VIDEO_BOXES):
        header = _header(data[at : at + 12])
        if header is None:
            return
        name, head, length = header
        if length is None or at + head + length > len(data):
            return
        yield name, data[at + head : at + head + length]
        at += head + length


def _tracks(data: bytes) -> Container:
    for name, track in _elements(data):
        parts = dict(_elements(track)) if name == TRACK else {}
        if int.from_bytes(parts.get(TYPE, b""), "big") == IS_VIDEO:
            video = dict(_elements(parts.get(VIDEO, b"")))
            width, height = (int.from_bytes(video.get(key, b""), "big") for key in (WIDTH, HEIGHT))
            return Container(
                parts.get(CODEC, b"").decode("latin-1").strip("\0 ") or None,
                _orientation(dict(_elements(video.get(PROJECTION, b"")))),
                (width, height) if width and height else None,
            )
    return Container()


def _orientation(projection: dict[int, bytes]) -> Orientation:
    """Roll turns counter-clockwise, after a yaw of 180 degrees, which is a mirror; as FFmpeg 7."""
    yaw, pitch, roll = (_number(projection.get(key, b"")) for key in (YAW, PITCH, ROLL))
    is_flat = not any(projection.get(KIND, b""))
    if not is_flat or pitch != 0 or abs(yaw) not in (0, 180) or not math.isfinite(roll):
        return UPRIGHT
    is_mirrored = yaw != 0
    angle = math.radians(-roll if is_mirrored else roll)
    cosine, sine = math.cos(angle), math.sin(angle)
    sign = -1 if is_mirrored else 1
    matrix = (sign * cosine, -sine, sign * sine, cosine)
    return Orientation.of_matrix(matrix) or UPRIGHT


def _number(data: bytes) -> float:
    if len(data) not in (4, 8):
        return 0.0
    return float(struct.unpack(">f" if len(data) == 4 else ">d", data)[0])
