"""The boundary where files from outside enter. Only errors of bharsdk come out of it.

A parser that meets a hostile file may raise anything: ValueError, OverflowError, RecursionError,
MemoryError, struct.error, zlib.error. A list of types would miss one. So :func:`reading` turns
every exception into one line that names the file. Only code that looks at the file stands inside
it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bharsdk.errors import BharError, InputError
from bharsdk.files.limits import MAX_JSON_BYTES, MAX_JSON_DEPTH, MAX_JSON_VALUES, MAX_NUMBER_LENGTH

__all__ = ["parse_json", "read_json", "reading", "reason_of"]

MAX_MESSAGE, MAX_REASON = 500, 200
"""Signs of a message that may hold values from the file, and of the words of another library."""
COPY_AGAIN = "a file that bhar wrote: copy or make it again"


@contextmanager
def reading(
    where: object, error: type[BharError] = InputError, *, expected: str = COPY_AGAIN
) -> Iterator[None]:
    """Turn every exception in the block that reads ``where`` into an error of bharsdk.

    An exception becomes ``error``: "``where``: damaged (why), expected ``expected``". An InputError
    becomes ``error`` too, with ``where`` in front if it is missing. Other errors of bharsdk pass,
    and so does Ctrl-C.
    """
    try:
        yield
    except InputError as caught:
        was = str(caught)
        message = _one_line(was if was.startswith(str(where)) else f"{where}: {was}", MAX_MESSAGE)
        if message == was and isinstance(caught, error):
            raise
        raise error(message) from caught
    except BharError:
        raise
    except Exception as caught:
        raise error(f"{where}: damaged ({reason_of(caught)}), expected {expected}") from caught


def reason_of(caught: BaseException) -> str:
    """Return what an exception says as one short printable line."""
    match caught:
        case MemoryError():
            text = "it needs more memory than there is"
        case RecursionError():
            text = "it is nested too deeply"
        case OSError(strerror=str(text)):
            pass
        case _:
            text = str(caught) or type(caught).__name__
    return _one_line(text, MAX_REASON)


def _one_line(text: str, length: int) -> str:
    printable = "".join(sign if sign.isprintable() else " " for sign in text[:length])
    return " ".join(printable.split())


def parse_json(
    data: bytes,
    where: object,
    *,
    error: type[BharError] = InputError,
    max_bytes: int = MAX_JSON_BYTES,
    max_depth: int = MAX_JSON_DEPTH,
    max_values: int = MAX_JSON_VALUES,
) -> Any:
    """Return the value of ``data``, strict JSON in UTF-8.

    Takes at most about 10 times ``max_bytes`` and 250 times ``max_values`` of memory. Raises
    ``error``, naming ``where``, when ``data`` is longer, nested deeper or has more values. Refuses
    what the standard does not know: NaN and infinities (1e999 is one), numbers of more than 30
    characters, a key twice in an object, half a surrogate pair.
    """
    with reading(where, error, expected="JSON"):
        if len(data) > max_bytes:
            raise InputError(f"got {len(data)} bytes of JSON, expected at most {max_bytes}")
        opens = data.count(b"[") + data.count(b"{")
        # Those inside texts are counted too. Only where that is too many does it matter.
        if opens > max_depth or opens + data.count(b",") > max_values:
            _check_figures(data, max_depth, max_values)
        value = DECODER.decode(data.decode("utf-8"))
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()  # refuses lone surrogates
        return value


def read_json(
    path: Path,
    *,
    error: type[BharError] = InputError,
    max_bytes: int = MAX_JSON_BYTES,
    max_depth: int = MAX_JSON_DEPTH,
) -> Any:
    """Return the value of a JSON file, with the bounds of :func:`parse_json`.

    Reads no more than these allow.
    """
    with reading(path, error, expected="a JSON file that can be read"):
        if not path.is_file():
            raise InputError("got no such file, expected a JSON file")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    return parse_json(data, path, error=error, max_bytes=max_bytes, max_depth=max_depth)


def _check_figures(data: bytes, max_depth: int, max_values: int) -> None:
    """Raise InputError on too much of either, found without parsing."""
    # A backslash is always the first of a pair: what is left then ends or begins a text.
    plain = np.frombuffer(data.replace(b"\\\\", b"").replace(b'\\"', b""), np.uint8)
    outside = ~np.logical_xor.accumulate(plain == ord('"'))
    opens = (plain == ord("[")) | (plain == ord("{"))
    opens &= outside
    closes = (plain == ord("]")) | (plain == ord("}"))
    closes &= outside
    steps = opens[opens | closes].astype(np.int8) * 2 - 1
    if np.cumsum(steps, dtype=np.int32).max(initial=0) > max_depth:
        raise InputError(f"got JSON nested deeper than {max_depth} levels")
    commas = np.count_nonzero((plain == ord(",")) & outside)
    if commas + np.count_nonzero(opens) > max_values:
        raise InputError(f"got JSON of more than {max_values} values")


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _short(text: str) -> str:
    if len(text) > MAX_NUMBER_LENGTH:
        raise ValueError(f"a number of {len(text)} signs")
    return text


def _integer(text: str) -> int:
    return int(_short(text))


def _finite(text: str) -> float:
    value = float(_short(text))
    if math.isinf(value):
        raise ValueError(f"{text} is infinite")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


DECODER = json.JSONDecoder(
    parse_constant=_no_constant,
    parse_float=_finite,
    parse_int=_integer,
    object_pairs_hook=_unique,
)
"""Made once: making it takes as long as reading an event."""
