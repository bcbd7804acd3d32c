from __future__ import annotations

import json
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bharsdk.errors import BharError, BundleError, IncompatibleError, InputError
from bharsdk.files.limits import MAX_JSON_DEPTH, MAX_NUMBER_LENGTH
from bharsdk.files.untrusted import parse_json, read_json, reading

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "caught",
    [
        ValueError("no\nnumber"),
        OverflowError("int too large"),
        RecursionError("maximum recursion depth exceeded"),
        MemoryError(),
        struct.error("unpack requires a buffer of 4 bytes"),
        zlib.error("Error -3"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        PermissionError(13, "Permission denied"),
        KeyError("\x1b[2Jname"),
        SyntaxError("unexpected EOF"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_parser_raises_is_one_printable_line_that_names_the_file(
    caught: Exception,
) -> None:
    """Of the tree, and with the exception behind it."""
    match = r"^a\.bhar: damaged \(.+\), expected "
    with pytest.raises(BundleError, match=match) as info, reading("a.bhar", BundleError):
        raise caught
    assert str(info.value).isprintable()
    assert info.value.__cause__ is caught


def test_the_checks_of_values_get_the_name_of_the_file_once() -> None:
    """An InputError becomes the error of the reader; others of the tree stay what they are."""
    with pytest.raises(BundleError, match=r"^a: got 3, expected 4$"), reading("a", BundleError):
        raise InputError("got 3, expected 4")
    with pytest.raises(InputError, match=r"^a: got 3$"), reading("a"), reading("a"):
        raise InputError("got 3")
    with pytest.raises(IncompatibleError, match=r"^version$"), reading("a"):
        raise IncompatibleError("version")
    with pytest.raises(KeyboardInterrupt), reading("a"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "text",
    [
        "1" * 401,
        "-" + "9" * MAX_NUMBER_LENGTH,
        "0." + "1" * MAX_NUMBER_LENGTH,
        "1e999",
        "NaN",
        "[Infinity]",
        '{"a": 1, "a": 2}',
        '"\\ud800"',
        "",
        "[1",
        "\ufeff{}",
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 50 + "1" + "}" * 50,
        "[" * (MAX_JSON_DEPTH + 1) + "]" * (MAX_JSON_DEPTH + 1),
    ],
    ids=lambda text: text[:20],
)
def test_json_that_is_not_strict_is_refused(text: str) -> None:
    """Gigantic numbers, infinities, keys twice, deep nesting: each one line that names the file."""
    with pytest.raises(InputError, match=r"^here: ") as info:
        parse_json(text.encode(), "here")
    assert len(str(info.value)) < 300


@given(value=JSON)
def test_json_that_is_strict_comes_back(value: Any) -> None:
    """Any value, with any text in it, written either way."""
    assert parse_json(json.dumps(value).encode(), "here") == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode(), "here") == value


def test_brackets_inside_text_are_no_nesting() -> None:
    """Nor are quotes behind a backslash the end of a text."""
    value = ["[" * 1000, '"[', "\\", "[" * 1000, {'{"': '\\\\\\"['}]
    assert parse_json(json.dumps(value).encode(), "here") == value


@given(data=st.binary(max_size=200) | st.text('[]{}",:\\1eE.-Na', max_size=60).map(str.encode))
def test_bytes_that_are_no_json_raise_nothing_else(data: bytes) -> None:
    """From noise to nearly right."""
    try:
        parse_json(data, "here")
    except BharError as error:
        message = str(error)
    else:
        message = "here: "
    assert message.startswith("here: ")


def test_json_takes_memory_in_proportion_to_its_bound(tmp_path: Path) -> None:
    """What is too long is not parsed, and of a file no more than the bound is read."""
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    tracemalloc.start()
    with pytest.raises(InputError, match="expected at most 100000"):
        read_json(path, max_bytes=100_000)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.reset_peak()
    for part in ('{"":' * 31 + "1" + "}" * 31, "[" * 31 + "]" * 31, "{}", "[]", '{"":1}', "1.5"):
        text = f"[{part}{f',{part}' * (9_000 // (len(part) + 1))}]".encode()
        parse_json(text, "here", max_values=10_000)
    assert tracemalloc.get_traced_memory()[1] < 250 * 10_000 + 10 * 10_000
    with pytest.raises(InputError, match="more than 10000 values"):
        parse_json(b"[" + b"{}," * 10_000 + b"{}]", "here", max_values=10_000)
    tracemalloc.stop()
