"""The structure of a LiteRT model, read by ourselves before LiteRT sees a byte of it.

LiteRT is written for models that one trusts, and has crashed on damaged ones. So what a model says
is looked at first: one graph that runs from its first operator to its last, operators of a list
(none that loops, calls other graphs or makes something of a size that it computes), tensors within
bounds, no data outside the file. Shapes in the file are what its author says; that they are true is
seen when the model runs in a process of its own (:mod:`bharsdk.engines.trial`).

Format: a flatbuffer (flatbuffers.dev/internals) of tensorflow/lite/schema/schema.fbs.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterator

from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_GRAPH_NODES, MAX_GRAPH_VALUES, MAX_RANK

__all__ = ["check_tflite"]

MAGIC = b"TFL3"
MAX_TENSORS = 4 * MAX_GRAPH_NODES
MAX_INDICES = 256
"""Tensors that one operator names. One of ours joins 20."""
SHARED = 1024
"""Subgraphs, buffers and such may share one table; no more of a kind than this is looked at."""

ALLOWED = frozenset(
    {
        0: "ADD",
        1: "AVERAGE_POOL_2D",
        2: "CONCATENATION",
        3: "CONV_2D",
        4: "DEPTHWISE_CONV_2D",
        6: "DEQUANTIZE",
        8: "FLOOR",
        9: "FULLY_CONNECTED",
        14: "LOGISTIC",
        17: "MAX_POOL_2D",
        18: "MUL",
        19: "RELU",
        21: "RELU6",
        22: "RESHAPE",
        25: "SOFTMAX",
        28: "TANH",
        34: "PAD",
        36: "GATHER",
        39: "TRANSPOSE",
        40: "MEAN",
        41: "SUB",
        42: "DIV",
        43: "SQUEEZE",
        45: "STRIDED_SLICE",
        47: "EXP",
        49: "SPLIT",
        50: "LOG_SOFTMAX",
        53: "CAST",
        54: "PRELU",
        55: "MAXIMUM",
        57: "MINIMUM",
        58: "LESS",
        59: "NEG",
        60: "PADV2",
        61: "GREATER",
        62: "GREATER_EQUAL",
        63: "LESS_EQUAL",
        64: "SELECT",
        65: "SLICE",
        70: "EXPAND_DIMS",
        71: "EQUAL",
        72: "NOT_EQUAL",
        73: "LOG",
        74: "SUM",
        75: "SQRT",
        76: "RSQRT",
        78: "POW",
        81: "REDUCE_PROD",
        82: "REDUCE_MAX",
        83: "PACK",
        84: "LOGICAL_OR",
        86: "LOGICAL_AND",
        87: "LOGICAL_NOT",
        88: "UNPACK",
        89: "REDUCE_MIN",
        90: "FLOOR_DIV",
        92: "SQUARE",
        98: "LEAKY_RELU",
        99: "SQUARED_DIFFERENCE",
        100: "MIRROR_PAD",
        101: "ABS",
        102: "SPLIT_V",
        104: "CEIL",
        106: "ADD_N",
        114: "QUANTIZE",
        116: "ROUND",
        117: "HARD_SWISH",
        123: "SELECT_V2",
        126: "BATCH_MATMUL",
        150: "GELU",
        151: "DYNAMIC_UPDATE_SLICE",
        152: "RELU_0_TO_1",
        56: "ARG_MAX",
        66: "SIN",
        79: "ARG_MIN",
        93: "ZEROS_LIKE",
        95: "FLOOR_MOD",
        105: "REVERSE_V2",
        107: "GATHER_ND",
        108: "COS",
        111: "ELU",
        128: "CUMSUM",
        130: "BROADCAST_TO",
    }
)
SIZED = frozenset({34, 60, 100, 130})
"""Of these the second input says how large what they make is: padding and broadcasting."""


def check_tflite(data: bytes) -> None:
    """Raise InputError unless ``data`` is a LiteRT model that may be tried."""
    try:
        _check(_Reader(data))
    except (struct.error, IndexError, ValueError) as error:
        raise InputError("got a model whose parts lie outside of it") from error


class _Reader:
    """Tables of a flatbuffer. Every read is within the file, or raises struct.error."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def number(self, kind: str, at: int) -> int:
        if at < 0:
            raise IndexError(at)
        (value,) = struct.unpack_from(kind, self.data, at)
        return int(value)

    def field(self, table: int, number: int) -> int | None:
        """Where field ``number`` of the table at byte ``table`` lies; None if it has none."""
        meta = table - self.number("<i", table)
        if 4 + 2 * number >= self.number("<H", meta):
            return None
        offset = self.number("<H", meta + 4 + 2 * number)
        return table + offset if offset else None

    def target(self, at: int) -> int:
        return at + self.number("<I", at)

    def vector(self, table: int, number: int, size: int, most: int) -> tuple[int, int]:
        """(where the elements of a vector begin, how many there are), each of ``size`` bytes."""
        at = self.field(table, number)
        if at is None:
            return 0, 0
        begin = self.target(at)
        count = self.number("<I", begin)
        if count > most or begin + 4 + count * size > len(self.data):
            raise InputError(f"got a list of {count} parts, expected at most {most}")
        return begin + 4, count

    def tables(self, table: int, number: int, most: int) -> Iterator[int]:
        begin, count = self.vector(table, number, 4, most)
        for i in range(count):
            yield self.target(begin + 4 * i)

    def scalar(self, table: int, number: int, kind: str, default: int = 0) -> int:
        at = self.field(table, number)
        return default if at is None else self.number(kind, at)


def _check(reader: _Reader) -> None:
    if reader.data[4:8] != MAGIC:
        raise InputError("got no LiteRT model")
    model = reader.target(0)
    codes = [_operator(reader, at) for at in reader.tables(model, 1, SHARED)]
    graphs = list(reader.tables(model, 2, SHARED))
    if len(graphs) != 1:
        raise InputError(f"got {len(graphs)} graphs, expected one")
    for at in reader.tables(model, 4, MAX_TENSORS):
        # Large models, and the quantizer, keep data behind the tables, in the same file.
        if reader.scalar(at, 1, "<Q") + reader.scalar(at, 2, "<Q") > len(reader.data):
            raise InputError("got data behind the end of the model, expected one whole")
    (graph,) = graphs
    sizes = [_values(reader, at) for at in reader.tables(graph, 0, MAX_TENSORS)]
    operators = list(reader.tables(graph, 3, MAX_GRAPH_NODES))
    if any(reader.scalar(at, 0, "<I") >= len(codes) for at in operators):
        raise InputError("got an operator that the model does not name")
    _check_sizes_are_constants(reader, graph, codes, operators)
    values = _most_at_once(reader, sizes, operators)
    if values > MAX_GRAPH_VALUES:
        raise InputError(f"got {values} values at once, expected at most {MAX_GRAPH_VALUES}")


def _check_sizes_are_constants(
    reader: _Reader, graph: int, codes: list[int], operators: list[int]
) -> None:
    """What is computed, or comes in, must not say how large something is."""
    computed = set(_indices(reader, graph, 1, SHARED))
    for at in operators:
        computed.update(_indices(reader, at, 2))
    for at in operators:
        code = codes[reader.scalar(at, 0, "<I")]
        if code in SIZED and not computed.isdisjoint(_indices(reader, at, 1)[1:2]):
            raise InputError(f"got operator {code} of a size that is computed, expected a constant")


def _indices(reader: _Reader, table: int, number: int, most: int = MAX_INDICES) -> list[int]:
    """Tensors that a graph or an operator names, -1 for none."""
    begin, count = reader.vector(table, number, 4, most)
    return [reader.number("<i", begin + 4 * i) for i in range(count)]


def _most_at_once(reader: _Reader, sizes: list[int], operators: list[int]) -> int:
    """Values of the tensors that are there at once: each from who makes it to who reads it last."""
    made: dict[int, int] = {}
    last: dict[int, int] = {}
    budget = MAX_TENSORS
    for i, at in enumerate(operators):
        for number in (1, 2):
            indices = _indices(reader, at, number)
            budget -= len(indices)
            if budget < 0:
                raise InputError(f"got operators of more than {MAX_TENSORS} tensors")
            for tensor in indices:
                if tensor >= len(sizes):
                    raise IndexError(tensor)
                if tensor >= 0:  # -1 is none
                    last[tensor] = i
                if tensor >= 0 and number == 2:
                    made.setdefault(tensor, i)
    change = [0] * (len(operators) + 1)
    for tensor, i in made.items():
        change[i] += sizes[tensor]
        change[last[tensor] + 1] -= sizes[tensor]
    stays = sum(size for tensor, size in enumerate(sizes) if tensor not in made)
    return stays + max(itertools.accumulate(change))


def _operator(reader: _Reader, at: int) -> int:
    # Codes above 127 are in a later field; the first one then says 127.
    code = max(reader.scalar(at, 0, "<b"), reader.scalar(at, 3, "<i"))
    if reader.field(at, 1) is not None or code not in ALLOWED:
        raise InputError(f"got operator {code}, which no model of ours has")
    return code


def _values(reader: _Reader, at: int) -> int:
    begin, count = reader.vector(at, 0, 4, MAX_RANK)
    shape = [reader.number("<i", begin + 4 * i) for i in range(count)]
    if min(shape, default=0) < 0 or reader.field(at, 6) is not None:
        raise InputError(f"got a tensor of shape {shape}, or a sparse one")
    return math.prod(shape)
