"""Read protocol buffers field by field, without trusting a length.

It reads what an ONNX graph needs. The reader must know each field of a message. A field that is
unknown, has another type, or occurs twice where it may occur once, is refused. Other parsers merge
or skip such a field, so they could see another graph than we do.

Format: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from bharsdk.errors import InputError

__all__ = ["Fields", "fields_of", "varints"]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
SIZES = {FIXED64: 8, FIXED32: 4}
MAX_VARINT_BYTES = 10

Fields = dict[int, list[memoryview | int]]
"""Values by field number, in order: numbers of varints, bytes of all else."""


def fields_of(
    data: memoryview, known: Mapping[int, Collection[int]], repeated: Collection[int], what: str
) -> Fields:
    """Return the fields of the message ``data``, a ``what``.

    known: field number -> the wire types that it may have. repeated: those that may be there more
    than once. Takes time in proportion to ``len(data)``. Raises InputError on anything else.
    """
    found: Fields = {}
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if number not in known or kind not in known[number]:
            raise InputError(f"got field {number} of type {kind} in a {what}, which we do not know")
        value: memoryview | int
        if kind == VARINT:
            value, at = _varint(data, at)
        else:
            size = SIZES.get(kind, 0)
            if kind == BYTES:
                size, at = _varint(data, at)
            if size > end - at:
                raise InputError(f"got a {what} that is cut off")
            value = data[at : at + size]
            at += size
        if number in found and number not in repeated:
            raise InputError(f"got field {number} of a {what} twice, expected it once")
        found.setdefault(number, []).append(value)
    return found


def varints(values: list[memoryview | int]) -> Iterator[int]:
    """Yield the signed 64-bit numbers of a repeated field, packed or not."""
    for value in values:
        if isinstance(value, int):
            yield _signed(value)
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            yield _signed(number)


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """(the number at byte ``at``, where it ends)."""
    value = 0
    for count, byte in enumerate(data[at : at + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, at + count + 1
    raise InputError("got a number that does not end")
