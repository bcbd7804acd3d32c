"""Promises of our own look at LiteRT models: a structure that lies is refused, quickly."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk.engines.tflite_graph import check_tflite
from bharsdk.errors import InputError

ADD, RESHAPE, PAD, WHILE, CUSTOM = 0, 22, 34, 119, 32
Field = bytes | int | None


class Writer:
    """A flatbuffer, from its end to its beginning: parts first, who points to them later."""

    def __init__(self) -> None:
        self.data = b""

    def put(self, data: bytes) -> int:
        """Prepend ``data``; returns its place, counted from the end."""
        self.data = data + self.data
        return len(self.data)

    def offset(self, target: int, behind: int) -> bytes:
        """To ``target`` from a place ``behind`` bytes before what is there now."""
        return struct.pack("<I", len(self.data) + behind - target)

    def vector(self, data: bytes, count: int) -> int:
        return self.put(struct.pack("<I", count) + data + bytes(-len(data) % 4))

    def numbers(self, values: Sequence[int]) -> int:
        return self.vector(struct.pack(f"<{len(values)}i", *values), len(values))

    def tables(self, targets: Sequence[int]) -> int:
        size = 4 * len(targets)
        offsets = [self.offset(t, size - 4 * i) for i, t in enumerate(targets)]
        return self.vector(b"".join(offsets), len(targets))

    def table(self, fields: dict[int, tuple[str, int]]) -> int:
        """Fields: number -> ("at", place) or a format of struct and its value."""
        last = max(fields, default=-1) + 1
        size = 4 + 8 * len(fields)
        entries, body = [0] * last, b""
        for i, (number, (kind, value)) in enumerate(sorted(fields.items())):
            entries[number] = 4 + 8 * i
            if kind == "at":
                body += self.offset(value, size - 4 - 8 * i) + bytes(4)
            else:
                body += struct.pack(kind, value).ljust(8, b"\0")
        meta = struct.pack(f"<{2 + last}H", 4 + 2 * last, size, *entries)
        meta += bytes(-len(meta) % 4)
        start = self.put(struct.pack("<i", len(meta)) + body)
        self.put(meta)
        return start


def model(
    code: int = ADD,
    shape: Sequence[int] = (1, 4),
    *,
    graphs: int = 1,
    external: int = 0,
    opcode: int = 0,
    inputs: Sequence[int] = (0, 0),
) -> bytes:
    """x + x, or what the arguments make of it."""
    w = Writer()
    codes = w.tables([w.table({0: ("<b", min(code, 127)), 3: ("<i", code)})])
    sizes = w.numbers(shape)
    tensors = w.tables([w.table({0: ("at", sizes)}) for _ in range(2)])
    given, made = w.numbers(inputs), w.numbers([1])
    operator = w.table({0: ("<I", opcode), 1: ("at", given), 2: ("at", made)})
    graph = w.table({0: ("at", tensors), 3: ("at", w.tables([operator]))})
    buffer = w.table({1: ("<Q", external)})
    parts = {1: codes, 2: w.tables([graph] * graphs), 4: w.tables([buffer])}
    root = w.table({n: ("at", place) for n, place in parts.items()})
    return w.offset(root, 8) + b"TFL3" + w.data


def test_a_model_within_bounds_passes() -> None:
    check_tflite(model())
    check_tflite(model(RESHAPE, inputs=(0, -1)))
    check_tflite(model(external=40))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (model(WHILE), "operator 119"),
        (model(CUSTOM), "operator 32"),
        (model(shape=[1 << 14, 1 << 14]), "values at once"),
        (model(shape=[1, -4]), "shape"),
        (model(shape=[1] * 9), "at most 8"),
        (model(graphs=2), "2 graphs, expected one"),
        (model(graphs=0), "0 graphs"),
        (model(external=4096), "behind the end"),
        (model(opcode=7), "does not name"),
        (model(PAD, inputs=(0, 1)), "operator 34 of a size that is computed"),
        (model(inputs=[0] * 257), "at most 256"),
        (model(inputs=(0, 9)), "lie outside"),
        (b"", "no LiteRT model"),
        (b"\x18\0\0\0TFL2" + bytes(100), "no LiteRT model"),
        (b"\xff\xff\xff\x7fTFL3" + bytes(100), "lie outside"),
    ],
)
def test_what_loops_grows_or_lies_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        check_tflite(data)


def test_a_real_model_passes_and_its_damage_is_refused_or_harmless(
    damage: Callable[..., bytes],
) -> None:
    """The check itself never fails in another way, whatever it reads."""
    whole = model()

    @settings(max_examples=400, deadline=None)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        with contextlib.suppress(InputError):
            check_tflite(damage(data, whole))

    run()
