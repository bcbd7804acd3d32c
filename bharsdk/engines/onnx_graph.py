"""Read the structure of an ONNX graph ourselves, before ONNX Runtime sees a byte of it.

What a graph does follows from its nodes. So the nodes are checked, not the bytes of the file:

- no tensor has data outside the file: no ``external_data``, no ``data_location``;
- no node holds a graph (If, Loop, Scan); there are no functions, no training, no sparse tensors;
- operators are ONNX's own (and two of Microsoft that quantize), from the list in
  :mod:`bharsdk.engines.onnx_rules`, which knows how large each result is;
- every field of every message is known and occurs once, so nothing hides from one parser that
  another sees.

Fields: onnx/onnx.proto of ONNX 1.21.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bharsdk.engines.wire import BYTES, FIXED32, FIXED64, VARINT, Fields, fields_of, varints
from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_GRAPH_NODES, MAX_GRAPH_VALUES, MAX_RANK

__all__ = ["Graph", "Node", "Tensor", "read_graph"]

NUMBER, TEXT, FLOAT = (VARINT,), (BYTES,), (FIXED32,)
NUMBERS, FLOATS, DOUBLES = (VARINT, BYTES), (FIXED32, BYTES), (FIXED64, BYTES)

MODEL = {
    1: NUMBER,
    2: TEXT,
    3: TEXT,
    4: TEXT,
    5: NUMBER,
    6: TEXT,
    7: TEXT,
    8: TEXT,
    14: TEXT,
}
GRAPH = dict.fromkeys((1, 2, 5, 10, 11, 12, 13, 14, 16), TEXT)
NODE = dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 9), TEXT)
ATTRIBUTE = {
    1: TEXT,
    2: FLOAT,
    3: NUMBER,
    4: TEXT,
    5: TEXT,
    7: FLOATS,
    8: NUMBERS,
    9: TEXT,
    13: TEXT,
    20: NUMBER,
}
TENSOR = {
    1: NUMBERS,
    2: NUMBER,
    4: FLOATS,
    5: NUMBERS,
    7: NUMBERS,
    8: TEXT,
    9: TEXT,
    10: DOUBLES,
    11: NUMBERS,
    12: TEXT,
    13: TEXT,
    14: NUMBER,
    16: TEXT,
}
VALUE, TYPE = {1: TEXT, 2: TEXT, 3: TEXT, 4: TEXT}, {1: TEXT, 6: TEXT}
TENSOR_TYPE, SHAPE, DIMENSION = {1: NUMBER, 2: TEXT}, {1: TEXT}, {1: NUMBER, 2: TEXT, 3: TEXT}

DOMAINS = {"": "ai.onnx", "ai.onnx": "ai.onnx", "com.microsoft": "com.microsoft"}
QUANTIZING = ("QuantizeLinear", "DequantizeLinear")
"""Microsoft's have 16 bits, as ONNX's own have only since opset 21."""
INT64, INT32 = 7, 6
BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 16: 16}
"""Of the types of numbers that a tensor may have (TensorProto.DataType)."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """A constant: its shape, and its values where they are whole numbers."""

    shape: tuple[int, ...]
    kind: int
    fields: Fields

    @cached_property
    def integers(self) -> tuple[int, ...] | None:
        """Return its values if they are int64 or int32; else None."""
        if self.kind not in (INT64, INT32):
            return None
        if 9 in self.fields:
            dtype = "<i8" if self.kind == INT64 else "<i4"
            raw: npt.NDArray[np.int64] = np.frombuffer(_bytes(self.fields[9][0]), dtype)
            return tuple(raw.tolist())
        return tuple(varints(self.fields.get(7 if self.kind == INT64 else 5, [])))


@dataclass(frozen=True, eq=False)
class Node:
    """An operator. attributes: whole numbers, lists of them, and tensors, by name."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, int | tuple[int, ...] | Tensor | str]


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph: nodes in order, constants and inputs by name, names of the outputs.

    The first axis of an input is None where it is free.
    """

    nodes: tuple[Node, ...]
    constants: dict[str, Tensor]
    inputs: dict[str, tuple[int | None, ...]]
    outputs: tuple[str, ...] = field(default=())


def read_graph(data: bytes) -> Graph:
    """Return the graph of the ONNX model ``data``.

    Takes time and memory in proportion to ``len(data)``. Raises InputError on whatever is not
    allowed (see above) and on what is no ONNX.
    """
    model = fields_of(memoryview(data), MODEL, (8, 14), "model")
    if 7 not in model:
        raise InputError("got no graph in it")
    graph = fields_of(_bytes(model[7][0]), GRAPH, (1, 5, 11, 12, 13, 14, 16), "graph")
    if len(graph.get(1, ())) > MAX_GRAPH_NODES:
        raise InputError(f"got {len(graph[1])} nodes, expected at most {MAX_GRAPH_NODES}")
    constants = {}
    for tensor in graph.get(5, ()):
        name, constant = _tensor(_bytes(tensor))
        if name in constants:
            raise InputError(f"got the constant {name[:40]!r} twice")
        constants[name] = constant
    # Graphs of old name their constants among the inputs too.
    inputs = dict(_value(_bytes(value)) for value in graph.get(11, ()))
    return Graph(
        tuple(_node(_bytes(node)) for node in graph.get(1, ())),
        constants,
        {name: shape for name, shape in inputs.items() if name not in constants},
        tuple(_value(_bytes(value))[0] for value in graph.get(12, ())),
    )


def _tensor(data: memoryview) -> tuple[str, Tensor]:
    fields = fields_of(data, TENSOR, (1, 4, 5, 7, 10, 11, 13, 16), "tensor")
    name = _text(fields, 8)
    if 13 in fields or any(varints(fields.get(14, []))):
        raise InputError(f"got {name[:40]!r} kept in another file, expected one whole")
    shape = tuple(varints(fields.get(1, [])))
    kind = next(varints(fields.get(2, [])), 0)
    if kind not in BITS:
        raise InputError(f"got {name[:40]!r} of data type {kind}, expected numbers")
    if len(shape) > MAX_RANK or min(shape, default=0) < 0:
        raise InputError(f"got {name[:40]!r} of shape {list(shape)[:MAX_RANK]}")
    count = 1
    for n in shape:
        count *= n
    # At least a byte for each value, in whatever field: so the file bounds them all.
    if count > max(len(data), 1) or count > MAX_GRAPH_VALUES:
        raise InputError(f"got {name[:40]!r} of {count} values in {len(data)} bytes")
    if 9 in fields and len(_bytes(fields[9][0])) * 8 != count * BITS[kind]:
        raise InputError(f"got {name[:40]!r} of {count} values and another number of bytes")
    return name, Tensor(shape, kind, fields)


def _node(data: memoryview) -> Node:
    fields = fields_of(data, NODE, (1, 2, 5, 9), "node")
    op, domain = _text(fields, 4), _text(fields, 7)
    if DOMAINS.get(domain) is None or (domain == "com.microsoft" and op not in QUANTIZING):
        raise InputError(f"got the operator {op[:40]!r} of {domain[:40]!r}, expected ONNX's own")
    attributes = dict(_attribute(_bytes(of), op) for of in fields.get(5, ()))
    inputs, outputs = (tuple(_decoded(v) for v in fields.get(n, ())) for n in (1, 2))
    return Node(op, inputs, outputs, {k: v for k, v in attributes.items() if v is not None})


def _attribute(
    data: memoryview, op: str
) -> tuple[str, int | tuple[int, ...] | Tensor | str | None]:
    try:
        fields = fields_of(data, ATTRIBUTE, (7, 8, 9), "attribute")
    except InputError as error:
        raise InputError(f"{op[:40]}: {error}: no graphs inside of nodes, say") from error
    name = _text(fields, 1)
    if 5 in fields:
        return name, _tensor(_bytes(fields[5][0]))[1]
    if 8 in fields:
        return name, tuple(varints(fields[8]))
    if 3 in fields:
        return name, next(varints(fields[3]))
    return name, _text(fields, 4) if 4 in fields else None


def _value(data: memoryview) -> tuple[str, tuple[int | None, ...]]:
    fields = fields_of(data, VALUE, (4,), "value")
    name = _text(fields, 1)
    kind = fields_of(_part(fields, 2), TYPE, (), "type")
    tensor = fields_of(_part(kind, 1), TENSOR_TYPE, (), "tensor type")
    shape = fields_of(_part(tensor, 2), SHAPE, (1,), "shape")
    dimensions = [fields_of(_bytes(of), DIMENSION, (), "dimension") for of in shape.get(1, ())]
    if len(dimensions) > MAX_RANK:
        raise InputError(f"got {name[:40]!r} of {len(dimensions)} axes")
    return name, tuple(next(varints(of[1])) if 1 in of else None for of in dimensions)


def _part(fields: Fields, number: int) -> memoryview:
    return _bytes(fields[number][0]) if number in fields else memoryview(b"")


def _bytes(value: memoryview | int) -> memoryview:
    assert isinstance(value, memoryview)
    return value


def _text(fields: Fields, number: int) -> str:
    return _decoded(fields[number][0]) if number in fields else ""


def _decoded(value: memoryview | int) -> str:
    return bytes(_bytes(value)).decode("utf-8")
