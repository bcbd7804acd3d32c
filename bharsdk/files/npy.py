"""Read and write arrays as .npy format 1.0 (numpy.lib.format), little-endian floats."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.errors import BundleError

__all__ = ["array_header", "decode_array", "encode_array"]

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '(<f[248])', 'fortran_order': False,"
    rb" 'shape': \(((?:\d{1,9}, ?){0,5}\d{0,9})\), \} *\n"
)
"""What ``np.save`` writes for an array of floats."""


def encode_array(array: npt.NDArray[np.floating[Any]]) -> bytes:
    """Return ``array`` as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def decode_array(
    data: bytes, row: tuple[int, ...], where: str, dtype: npt.DTypeLike = np.float32
) -> npt.NDArray[np.float32]:
    """Return float32 [N, ...] from a .npy file of rows of shape ``row``, stored as ``dtype``.

    Raises BundleError, starting with ``where``, when the file holds anything else.
    """
    stored = np.dtype(dtype).newbyteorder("<")
    shape, found, begin = array_header(data) or ((), None, 0)
    size = math.prod(shape) * stored.itemsize
    if not shape or found != stored or size != len(data) - begin:
        name = np.dtype(dtype).name
        raise BundleError(f"{where} is no {name} .npy file, the bundle is damaged")
    if shape[1:] != row:
        raise BundleError(f"{where}: got shape {list(shape)}, expected [N, {str([*row])[1:]}")
    values = np.frombuffer(data[begin:], stored)  # a copy is aligned, wherever the header ends
    return values.reshape(shape).astype(np.float32, copy=False)


def array_header(data: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int] | None:
    """Return shape and type of a .npy file, and where its values begin.

    None if it is no float16, float32 or float64 array as :func:`encode_array` writes it. The header
    is read by hand, because numpy parses it as Python and allocates whatever it claims.
    """
    begin = 10 + int.from_bytes(data[8:10], "little")
    found = _HEADER.fullmatch(data[10:begin])
    if found is None or len(data) < begin or not data.startswith(_MAGIC):
        return None
    shape = tuple(int(n) for n in found[2].split(b",") if n.strip())
    return shape, np.dtype(found[1].decode()), begin
