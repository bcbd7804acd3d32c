"""Read the arrays of a session file, after checking their own figures.

Memory is taken for an array only when its size, type and shape are those of the session. So a file
costs what the session costs, not what it claims.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_ZIP_DIRECTORY_BYTES
from bharsdk.files.npy import array_header

__all__ = ["FLOATS", "npy_bytes", "open_archive", "read_landmarks", "read_values"]

FLOATS = (np.dtype("<f2"), np.dtype("<f4"))
F8 = np.dtype("<f8")
NPY: Any = np.lib.format
"""Typed in some numpy releases and not in others."""
NPY_HEADER_BYTES = 1024
METHODS, ENCRYPTED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), 0x1
BLOCK_BYTES = 4 << 20


class _File(io.BufferedReader):
    """A file that hands out at most ``limit`` bytes at a time.

    The directory of a zip is read at once, however large it claims to be, and each entry takes ten
    times its bytes.
    """

    limit = MAX_ZIP_DIRECTORY_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        left = self.raw_size - self.tell()
        if size is None or size < 0 or size > left:
            size = left
        if size > self.limit:
            raise InputError(f"got {size} bytes of names, expected at most {self.limit}")
        return super().read(size)

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.raw_size = path.stat().st_size


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Return the zip at ``path``.

    Raises InputError on what no session has, or what zipfile raises.
    """
    with _File(path) as file, zipfile.ZipFile(file) as archive:
        file.limit = 2 * BLOCK_BYTES
        for member in archive.infolist():
            # Other compressions bring errors of their own.
            if member.compress_type not in METHODS or member.flag_bits & ENCRYPTED:
                raise InputError(f"{member.filename} is encrypted, or compressed in another way")
        yield archive


def npy_bytes(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> bytes:
    """Return ``values`` as an .npy file.

    Raises InputError where ``dtype`` cannot hold one of them.
    """
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(values, dtype)
    if dtype == FLOATS[0] and np.isinf(array).any():
        raise InputError("session: got values above 65504, expected float32 for them")
    buffer = io.BytesIO()
    NPY.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def read_values(archive: zipfile.ZipFile, name: str, frames: int) -> npt.NDArray[np.float64]:
    """Return a member of one float64 a frame, [T]."""
    with _open(archive, name, (frames,), (F8,)) as (member, dtype):
        return np.frombuffer(_exactly(member, frames * dtype.itemsize), dtype)


def read_landmarks(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], frames: int
) -> npt.NDArray[np.float32]:
    """Return a member of float16 or float32 [*shape, T] as float32 [T, *shape]."""
    values = math.prod(shape)
    with _open(archive, name, (*shape, frames), FLOATS) as (member, dtype):
        result = np.empty((frames, values), np.float32)
        row_bytes = frames * dtype.itemsize
        rows = max(1, BLOCK_BYTES // row_bytes)
        for begin in range(0, values, rows):
            end = min(begin + rows, values)
            block = np.frombuffer(_exactly(member, (end - begin) * row_bytes), dtype)
            result[:, begin:end] = block.reshape(end - begin, frames).T
    result.flags.writeable = False  # so that sequences need no copy of it
    return result.reshape(frames, *shape)


@contextmanager
def _open(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtypes: Sequence[np.dtype[Any]],
) -> Iterator[tuple[IO[bytes], np.dtype[Any]]]:
    """One member, before its values. Raises InputError unless it is as large as they are."""
    allowed = {math.prod(shape) * dtype.itemsize for dtype in dtypes}
    size = archive.getinfo(name).file_size
    if not any(0 < size - count <= NPY_HEADER_BYTES for count in allowed):
        raise InputError(f"got {name} of {size} bytes, expected {list(shape)} values")
    with archive.open(name) as member:
        begin = member.read(10)
        begin += member.read(min(int.from_bytes(begin[8:10], "little"), NPY_HEADER_BYTES))
        got_shape, dtype, _ = array_header(begin) or ((), None, 0)
        if dtype is None or got_shape != shape or dtype not in dtypes:
            raise InputError(
                f"got {name} {dtype or 'of another kind'} {list(got_shape)}, expected {list(shape)}"
                f" as {' or '.join(dtype.name for dtype in dtypes)}"
            )
        if size != len(begin) + math.prod(shape) * dtype.itemsize:
            raise InputError(f"got {name} of {size} bytes, expected {list(shape)} values")
        yield member, dtype


def _exactly(member: IO[bytes], size: int) -> bytes:
    """The next bytes of a member; with the last of them its checksum is verified."""
    data = member.read(size)
    if len(data) != size:
        raise InputError(f"got {len(data)} of {size} bytes, the file is cut off")
    return data
