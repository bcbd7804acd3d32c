"""Tell what a file holds by its first bytes; its name may be wrong (``b.m4v``, ``clip``)."""

from __future__ import annotations

import enum
from pathlib import Path

__all__ = ["HEAD_BYTES", "FileKind", "is_junk", "kind_of", "kind_of_bytes"]

HEAD_BYTES = 4096
JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx", "ehthumbs.db", "icon\r"})
"""What file managers leave in folders. Hidden files are junk too."""
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof", b"styp")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis")
AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ")
SIGNATURES = (
    b"GIF87a",
    b"GIF89a",
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"\x00\x00\x01\xb0",  # MPEG-4 video
    b"\x00\x00\x00\x01\x67",  # H.264
    b"\x00\x00\x00\x01\x40\x01",  # HEVC
    b"\x06\x0e\x2b\x34",  # MXF
    b"YUV4MPEG2 ",
    b"DKIF",
    b".RMF",
)
TRANSPORT_PACKET, TRANSPORT_SYNC = 188, 0x47


class FileKind(enum.Enum):
    """What the first bytes say; the value is what one would call it."""

    MP4 = "an MP4 or QuickTime file"
    AVI = "an AVI file"
    MATROSKA = "a Matroska or WebM file"
    VIDEO = "a video"
    PICTURE = "a picture"
    HEIF = "a HEIC or AVIF picture"
    AUDIO = "audio"
    TEXT = "text"
    EMPTY = "an empty file"
    UNKNOWN = "data of an unknown kind"

    @property
    def is_video(self) -> bool:
        """Return whether it is certainly a video."""
        return self in (FileKind.MP4, FileKind.AVI, FileKind.MATROSKA, FileKind.VIDEO)


def is_junk(path: Path) -> bool:
    """Return whether nobody put the file there as data: it is hidden, or a file manager made it."""
    return path.name.startswith(".") or path.name.lower() in JUNK


def kind_of(path: Path) -> FileKind:
    """Return what the file at ``path`` holds. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        return kind_of_bytes(file.read(HEAD_BYTES))


def kind_of_bytes(head: bytes) -> FileKind:
    """Return what a file holds that begins with ``head``."""
    if not head:
        return FileKind.EMPTY
    if head[4:8] in MP4_BOXES:
        return _kind_of_brand(head)
    if head[:4] == b"RIFF":
        forms = {b"AVI ": FileKind.AVI, b"WEBP": FileKind.PICTURE, b"WAVE": FileKind.AUDIO}
        return forms.get(head[8:12], FileKind.UNKNOWN)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return FileKind.MATROSKA
    if head.startswith(SIGNATURES) or _is_transport_stream(head):
        return FileKind.VIDEO
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")) or (
        head[:2] == b"BM" and head[6:10] == bytes(4)
    ):
        return FileKind.PICTURE
    if head.startswith((b"ID3", b"fLaC")):
        return FileKind.AUDIO
    return FileKind.TEXT if _is_text(head) else FileKind.UNKNOWN


def _kind_of_brand(head: bytes) -> FileKind:
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand in HEIF_BRANDS:
        return FileKind.HEIF
    return FileKind.AUDIO if brand in AUDIO_BRANDS else FileKind.MP4


def _is_transport_stream(head: bytes) -> bool:
    """MPEG-TS, whose packets begin alike; before each of Blu-ray's stand four bytes of time."""
    for first, step in ((0, TRANSPORT_PACKET), (4, TRANSPORT_PACKET + 4)):
        marks = head[first::step]
        if len(marks) > 2 and set(marks) == {TRANSPORT_SYNC}:
            return True
    return False


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and len(head) == HEAD_BYTES  # cut inside a character
    return True
