"""Read arrays of an ``.npz`` file, and check their size before memory is taken for them.

numpy allocates whatever a header claims, and a zip of some megabytes can hold terabytes of zeros.
So sizes, types and names are read first, from the directory of the zip and the headers of the
arrays. Only the arrays that were asked for are read. Pickles are refused.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from bharsdk.errors import BharError, InputError
from bharsdk.files.limits import MAX_DATASET_BYTES
from bharsdk.files.untrusted import reason_of

__all__ = ["array_names", "numbers_of", "read_arrays", "read_header", "texts_of"]

Array = npt.NDArray[Any]
SUFFIX = ".npy"
MAX_MEMBERS = 1000
MAX_HEADER_BYTES = 4096
PLAIN = "biufUS"
"""Kinds of values that are neither objects nor records."""
METHODS, ENCRYPTED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), 0x1
NPY: Any = np.lib.format
"""Typed in some numpy releases and not in others."""


def array_names(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays in ``path``. Raises InputError when it is no ``.npz`` file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(_members(archive))
    except BharError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error


def read_arrays(path: Path, names: Collection[str]) -> dict[str, Array]:
    """Return the arrays ``names`` that ``path`` has.

    Raises InputError naming the file when it is damaged, holds objects, or needs more memory than
    ``MAX_DATASET_BYTES`` or than the machine has.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
            wanted = {name: members[name] for name in names if name in members}
            total = sum(_checked_size(archive, member) for member in wanted.values())
            if total > (most := min(MAX_DATASET_BYTES, _memory())):
                raise InputError(
                    f"{path}: got arrays of {total / 1e9:,.1f} GB, expected at most"
                    f" {most / 1e9:,.1f} GB here: split the data set, or use a larger machine"
                )
            return {name: _read(archive, member) for name, member in wanted.items()}
    except BharError:
        raise
    except Exception as error:  # whatever zipfile, zlib and numpy raise at a damaged file
        raise _unreadable(path, error) from error


def texts_of(values: Array, where: str) -> tuple[str, ...]:
    """Return names [N], text or whole numbers, as text. Raises InputError naming ``where``."""
    if values.ndim != 1 or values.dtype.kind not in "Uiu":
        raise InputError(
            f"{where}: got {values.dtype} {list(values.shape)}, expected one text or whole number a"
            " clip (numpy: astype(str))"
        )
    try:
        return tuple(str(value) for value in values)
    except (ValueError, SystemError) as error:  # numpy keeps any 32 bits as a character
        raise InputError(f"{where}: got no Unicode text ({reason_of(error)})") from error


def numbers_of(values: Array, where: str) -> tuple[int, ...]:
    """Return whole numbers [N]. Raises InputError naming ``where``."""
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise InputError(
            f"{where}: got {values.dtype} {list(values.shape)}, expected one whole number a clip"
        )
    return tuple(int(value) for value in values)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The arrays by name."""
    infos = [info for info in archive.infolist() if info.filename.endswith(SUFFIX)]
    found = {info.filename[: -len(SUFFIX)]: info for info in infos}
    if len(found) != len(infos) or len(infos) > MAX_MEMBERS:
        raise ValueError(f"{len(infos)} arrays, some of the same name or too many")
    return found


def _checked_size(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """Bytes of one array; its header and the zip's directory must agree."""
    name = member.filename
    # Other compressions bring errors, and costs, of their own.
    if member.compress_type not in METHODS or member.flag_bits & ENCRYPTED:
        raise ValueError(f"{name} is encrypted, or compressed in another way")
    with archive.open(member) as file:
        shape, dtype = read_header(file)
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in PLAIN:
            raise ValueError(f"{name} holds {dtype}, no numbers or text")
        if file.tell() + size != member.file_size:
            raise ValueError(f"{name} has {member.file_size} bytes, its header says {size}")
    return size


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and type that a .npy file claims. Raises what numpy raises on damage."""
    version = NPY.read_magic(file)
    readers = {(1, 0): NPY.read_array_header_1_0, (2, 0): NPY.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"npy version {version}")
    shape, _, dtype = readers[version](file, max_header_size=MAX_HEADER_BYTES)
    if any(length < 0 for length in shape):
        raise ValueError(f"shape {shape}")
    return tuple(shape), dtype


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    with archive.open(member) as file:
        array: Array = NPY.read_array(file, allow_pickle=False, max_header_size=MAX_HEADER_BYTES)
        if file.read(1):  # also lets zipfile verify the checksum
            raise ValueError(f"{member.filename} goes on after its array")
    return array


def _memory() -> int:
    """Bytes of memory that the machine has, or more than any data set where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2 * MAX_DATASET_BYTES


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not a readable .npz without pickles ({reason_of(error)})")
