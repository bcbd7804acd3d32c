"""Arrays as a bundle holds them: .npy format 1.0 (numpy.lib.format), little-endian floats."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.errors import BundleError

__all__ = ["decode_array", "encode_array"]

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '<(f[24])', 'fortran_order': False,"
    rb" 'shape': \(((?:\d{1,9}, ?){0,5}\d{0,9})\), \} *\n"
)
"""What ``np.save`` writes for an array of float16 or float32."""


def encode_array(array: npt.NDArray[np.floating[Any]]) -> bytes:
    """``array`` as a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def decode_array(
    data: bytes, row: tuple[int, ...], where: str, dtype: npt.DTypeLike = np.float32
) -> npt.NDArray[np.float32]:
    """Rows of shape ``row``, stored as ``dtype``: float32 [N, *row].

    Raises BundleError, its message starting with ``where``, when it is none of that.
    """
    stored = np.dtype(dtype).newbyteorder("<")
    # Read by hand: numpy allocates whatever a header claims before it looks at the data.
    header_size = int.from_bytes(data[8:10], "little")
    header, values = data[10 : 10 + header_size], data[10 + header_size :]
    found = _HEADER.fullmatch(header)
    shape = tuple(int(n) for n in found[2].split(b",") if n.strip()) if found else ()
    is_dtype = found is not None and found[1].decode() == stored.str[1:]
    size = math.prod(shape) * stored.itemsize
    if not data.startswith(_MAGIC) or not shape or not is_dtype or size != len(values):
        name = np.dtype(dtype).name
        raise BundleError(f"{where} is no {name} .npy file, the bundle is damaged")
    if shape[1:] != row:
        raise BundleError(f"{where}: got shape {list(shape)}, expected [N, {str([*row])[1:]}")
    return np.frombuffer(values, stored).reshape(shape).astype(np.float32, copy=False)
