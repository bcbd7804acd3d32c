"""Tiny videos written by OpenCV and changed in their bytes, as phones and cutters write them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEIGHT = 64, 48
CORNERS = {(0, 0): (255, 0, 0), (1, 0): (0, 255, 0), (0, 1): (0, 0, 255), (1, 1): (255, 255, 255)}
"""(right?, bottom?) -> the color of that quarter of the stored picture."""
PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def quartered() -> np.ndarray:
    """A picture with a color in each quarter, uint8 [HEIGHT, WIDTH, 3]."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for (right, bottom), color in CORNERS.items():
        rows = slice(HEIGHT // 2, None) if bottom else slice(HEIGHT // 2)
        columns = slice(WIDTH // 2, None) if right else slice(WIDTH // 2)
        image[rows, columns] = color
    return image


def write(path: Path, images: Sequence[np.ndarray], code: str = "mp4v", fps: float = 25.0) -> Path:
    """A video of ``images`` through OpenCV."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, images[0].shape[1::-1])
    assert writer.isOpened()
    for image in images:
        writer.write(image)
    writer.release()
    return path


def changed(data: bytes, change: Callable[[bytes, bytes], bytes]) -> bytes:
    """``data`` with the content of each box as ``change(name, content)`` returns it.

    The index must stand behind the pictures, as OpenCV writes it: it may then change its length.
    """
    parts, at = [], 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + length]
        if name in PARENTS:
            content = changed(content, change)
        content = change(name, content)
        parts.append(struct.pack(">I4s", 8 + len(content), name) + content)
        at += length
    return b"".join(parts)


def box(name: bytes, content: bytes) -> bytes:
    """One box of an MP4."""
    return struct.pack(">I4s", 8 + len(content), name) + content


def with_matrix(path: Path, matrix: Sequence[int]) -> Path:
    """The file with the display matrix (a, b, c, d), in whole numbers, of its track."""
    a, b, c, d = (value << 16 for value in matrix)
    numbers = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)

    def change(name: bytes, content: bytes) -> bytes:
        return content[:40] + numbers + content[76:] if name == b"tkhd" else content

    path.write_bytes(changed(path.read_bytes(), change))
    return path


def with_edits(path: Path, edits: Sequence[tuple[int, int]]) -> Path:
    """The file with an edit list: (duration in ms, start in ms; -1 for a pause)."""
    scales: dict[bytes, int] = {}

    def look(name: bytes, content: bytes) -> bytes:
        if name in (b"mvhd", b"mdhd"):
            scales[name] = struct.unpack_from(">I", content, 12)[0]
        return content

    data = changed(path.read_bytes(), look)
    entries = [
        struct.pack(
            ">IiI",
            duration * scales[b"mvhd"] // 1000,
            start if start < 0 else start * scales[b"mdhd"] // 1000,
            1 << 16,
        )
        for duration, start in edits
    ]
    table = box(b"elst", struct.pack(">II", 0, len(entries)) + b"".join(entries))

    def change(name: bytes, content: bytes) -> bytes:
        if name == b"trak":
            content = _without(content, b"edts") + box(b"edts", table)
        return content

    path.write_bytes(changed(data, change))
    return path


def with_pixel_aspect(path: Path, across: int, down: int) -> Path:
    """The file with pixels of that width : height."""
    added = box(b"pasp", struct.pack(">II", across, down))

    def change(name: bytes, content: bytes) -> bytes:
        if name != b"stsd":
            return content
        (length,) = struct.unpack_from(">I", content, 8)
        entry = _pasp_free(content[12 : 8 + length]) + added
        return content[:8] + struct.pack(">I", 4 + len(entry)) + entry

    path.write_bytes(changed(path.read_bytes(), change))
    return path


def with_codec(path: Path, code: bytes) -> Path:
    """The file with another name of its codec, and without what else gives it away."""

    def change(name: bytes, content: bytes) -> bytes:
        if name != b"stsd":
            return content
        return content[:12] + code + content[16:].replace(b"esds", b"free")

    path.write_bytes(changed(path.read_bytes(), change))
    return path


def _without(data: bytes, unwanted: bytes) -> bytes:
    parts, at = [], 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name != unwanted:
            parts.append(data[at : at + length])
        at += length
    return b"".join(parts)


def _pasp_free(entry: bytes) -> bytes:
    """A sample entry (without its length) and its boxes, without the pixel aspect."""
    return entry[:82] + _without(entry[82:], b"pasp")


def element(name: int, content: bytes) -> bytes:
    """One element of a Matroska file."""
    size = (1 << 56 | len(content)).to_bytes(8, "big")
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + size + content


def matroska_with(path: Path, projection: dict[int, Any]) -> Path:
    """The file with a projection (name -> float) in its video track."""
    data = path.read_bytes()
    at = data.rindex(b"\x16\x54\xae\x6b")  # the first one is in the table of contents
    tracks, end = _content(data, at, 4)
    tracks = tracks[tracks.index(b"\xae") :]  # without its checksum
    track, track_end = _content(tracks, 0, 1)
    video_at = track.index(b"\xe0", track.index(b"V_"))
    video, video_end = _content(track, video_at, 1)
    added = b"".join(element(name, struct.pack(">d", value)) for name, value in projection.items())
    video += element(0x7670, added)
    track = track[:video_at] + element(0xE0, video) + track[video_end:]
    tracks = element(0xAE, track) + tracks[track_end:]
    whole = data[:at] + element(0x1654AE6B, tracks) + data[end:]
    segment = whole.index(b"\x18\x53\x80\x67") + 4
    path.write_bytes(whole[:segment] + b"\x01" + b"\xff" * 7 + whole[segment + 8 :])
    return path


def _content(data: bytes, at: int, name_bytes: int) -> tuple[bytes, int]:
    """The content of the element at ``at``, and where it ends."""
    first = data[at + name_bytes]
    width = 9 - first.bit_length()
    raw = int.from_bytes(data[at + name_bytes : at + name_bytes + width], "big")
    begin = at + name_bytes + width
    end = begin + (raw & ((1 << (7 * width)) - 1))
    return data[begin:end], end
