"""The archive inside a bundle: a stored zip with exactly one form for given files.

Any unzip program reads it. :func:`unpack` accepts only what :func:`pack` writes: stored entries,
one after another, without flags, extra fields, comments or gaps. So nothing is decompressed,
nothing can hide, and every changed bit is noticed.

Format: PKWARE APPNOTE 6.3, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.16 (end).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping

from bharsdk.errors import BundleError
from bharsdk.files.limits import MAX_BUNDLE_FILES

__all__ = ["check_name", "pack", "unpack"]

_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_LOCAL_MAGIC, _ENTRY_MAGIC, _END_MAGIC = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"

_VERSION = 20
_UNIX_FILE = (3 << 8) | _VERSION
_MODE = 0o100644 << 16
_STORED, _ENCRYPTED = 0, 1
_TIME, _DATE = 0, (1 << 5) | 1
"""1 January 1980, the zip epoch: the same files give the same bytes on any day."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){0,3}")


def check_name(name: str, where: str) -> str:
    """Return ``name`` if it is a plain relative path; else raise BundleError."""
    if len(name) > 100 or not _NAME.fullmatch(name):
        raise BundleError(
            f"{where}: got a file named {name[:100]!r}, expected a plain relative path; the bundle"
            " cannot be trusted"
        )
    return name


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return the archive of ``files`` in their order. The same files give the same bytes."""
    body, directory = bytearray(), bytearray()
    for name, data in files.items():
        encoded = name.encode("ascii")
        facts = (_STORED, _TIME, _DATE, zlib.crc32(data), len(data), len(data), len(encoded), 0)
        directory += _ENTRY.pack(
            _ENTRY_MAGIC, _UNIX_FILE, _VERSION, 0, *facts, 0, 0, 0, _MODE, len(body)
        )
        directory += encoded
        body += _LOCAL.pack(_LOCAL_MAGIC, _VERSION, 0, *facts) + encoded + data
    count = len(files)
    end = _END.pack(_END_MAGIC, 0, 0, count, count, len(directory), len(body), 0)
    return bytes(body + directory + end)


def unpack(data: bytes, where: str) -> dict[str, bytes]:
    """Return the files of an archive by name, in order.

    Takes time and memory in proportion to ``len(data)``. Raises BundleError, starting with
    ``where``, on anything that :func:`pack` would not write.
    """
    if not data.startswith(_LOCAL_MAGIC):
        raise BundleError(f"{where}: got a file that is not a zip, expected a .bhar bundle")
    files: dict[str, bytes] = {}
    at = 0
    while data[at : at + 4] == _LOCAL_MAGIC:
        name, start, size = _local_header(data, at, where)
        if name in files:
            raise BundleError(f"{where}: got {name!r} twice, expected every file once")
        if len(files) == MAX_BUNDLE_FILES:
            raise BundleError(
                f"{where}: got more than {MAX_BUNDLE_FILES} files, the bundle is corrupt"
            )
        at = start + size
        if at > len(data):
            raise BundleError(f"{where}: {name} is cut off; fetch or export the bundle again")
        files[name] = data[start:at]
    if pack(files) != data:
        raise BundleError(
            f"{where}: the archive is damaged, or was written by another program than bharsdk;"
            " fetch or export it again, or unzip it and use the folder"
        )
    return files


def _local_header(data: bytes, at: int, where: str) -> tuple[str, int, int]:
    """The entry at byte ``at``: its name, first data byte and size."""
    if at + _LOCAL.size > len(data):
        raise BundleError(f"{where}: the archive is cut off; fetch or export the bundle again")
    _, _, flags, method, _, _, _, size, _, name_size, extra_size = _LOCAL.unpack_from(data, at)
    start = at + _LOCAL.size + name_size
    name = check_name(data[start - name_size : start].decode("latin-1"), where)
    if flags & _ENCRYPTED:
        raise BundleError(f"{where}: {name} is encrypted, expected a plain stored zip")
    if method != _STORED:
        raise BundleError(
            f"{where}: {name} is compressed, expected a stored zip; unzip it and use the folder"
        )
    return name, start + extra_size, size
