"""Compute what an ONNX graph costs, from its own figures, before a tensor is made.

Each node runs through its rule after the nodes that it reads, for a batch of one clip. A rule gives
the shape of the result from the shapes of the inputs (:mod:`bharsdk.engines.onnx_rules`). Arguments
that set shapes, axes or paddings must be constants. So the memory at every moment is known, and the
number of multiply-adds. A tensor lives from the node that makes it to the last node that reads it;
constants stay. Operators without a rule are refused: those that run other graphs, those whose size
depends on values, and those that no export here uses.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

from bharsdk.engines.onnx_graph import Graph, Node, Tensor, read_graph
from bharsdk.engines.onnx_rules import RULES, Shape, ints
from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_GRAPH_VALUES, MAX_RANK, MAX_RUN_WORK

__all__ = ["GraphCost", "check_graph_cost"]

TOUCH = 8
"""Multiply-adds for which a value that is read or written counts."""


@dataclass(frozen=True)
class GraphCost:
    """The cost of one clip.

    values: most numbers held at once. work: multiply-adds, and TOUCH for each value that is made.
    """

    values: int
    work: float


def check_graph_cost(data: bytes) -> GraphCost:
    """Return what the ONNX model ``data`` costs for one clip.

    Raises InputError when it costs too much, or when the graph is not allowed.
    """
    return _Sizes(read_graph(data)).cost()


class _Sizes:
    def __init__(self, graph: Graph) -> None:
        self._nodes = _sorted(graph)
        self._last = {name: i for i, node in enumerate(self._nodes) for name in node.inputs}
        self._last |= dict.fromkeys(graph.outputs, len(self._nodes))
        self._stays = set(graph.constants)
        self._constants = dict(graph.constants)
        self._shapes: dict[str, Shape] = {n: t.shape for n, t in graph.constants.items()}
        self._values = sum(math.prod(shape) for shape in self._shapes.values())
        self._most, self._work = 0, 0.0
        for name, shape in graph.inputs.items():
            self._add(name, self._input(name, shape))

    def cost(self) -> GraphCost:
        for i, node in enumerate(self._nodes):
            try:
                self._run(node)
                self._leave(i, node)
            except (IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
                raise InputError(
                    f"got {node.op} of {', '.join(node.inputs)[:80]}, whose shapes contradict"
                ) from error
        return GraphCost(self._most, self._work)

    def _leave(self, i: int, node: Node) -> None:
        """Forget what no later node reads."""
        if self._stays.issuperset(filter(None, node.inputs)):
            self._stays.update(node.outputs)
            return
        for name in {*node.inputs, *node.outputs} - self._stays:
            if name and self._last.get(name, i) == i:
                self._values -= math.prod(self._shapes[name])

    @staticmethod
    def _input(name: str, shape: tuple[int | None, ...]) -> Shape:
        first, *rest = (*shape, None)[:1] + shape[1:]
        if any(n is None or n < 1 for n in rest):
            raise InputError(
                f"got the input {name[:40]!r} of a shape that is not fixed but for the batch"
            )
        return (1 if first is None else first, *(n for n in rest if n is not None))

    def _run(self, node: Node) -> None:
        if node.op == "Constant":
            made = [self._constant(node)]
        elif node.op in RULES:
            made = RULES[node.op](self, node)
        else:
            raise InputError(
                f"got the operator {node.op[:40]!r}, which no graph of ours has: export it again"
            )
        # Further outputs (means of a normalization, masks) are never larger than the first input.
        if len(node.outputs) > len(made):
            made += [self._shapes[node.inputs[0]]] * (len(node.outputs) - len(made))
        for name, shape in zip(node.outputs, made, strict=False):
            self._add(name, shape)

    def _add(self, name: str, shape: Shape) -> None:
        if len(shape) > MAX_RANK or min(shape, default=1) < 0:
            raise InputError(f"got {name[:40]!r} of shape {list(shape)[:MAX_RANK]}")
        if name:
            if name in self._shapes:
                raise InputError(f"got {name[:40]!r} made twice")
            self._shapes[name] = shape
        size = math.prod(shape)
        self._values += size
        self.count(TOUCH * size)

    def _constant(self, node: Node) -> Shape:
        (value,) = (v for v in node.attributes.values())
        if isinstance(value, int):
            return ()
        if isinstance(value, Tensor):
            self._constants[node.outputs[0]] = value
            return value.shape
        if isinstance(value, tuple):
            return (len(value),)
        raise InputError("got a constant that is no number")

    def shape(self, node: Node, index: int = 0) -> Shape:
        """Of an input."""
        return self._shapes[node.inputs[index]]

    def has(self, node: Node, index: int) -> bool:
        """Whether an input is given."""
        return index < len(node.inputs) and node.inputs[index] != ""

    def integers(self, node: Node, index: int) -> Shape:
        """An input that says how large something is."""
        tensor = self._constants.get(node.inputs[index])
        values = None if tensor is None else tensor.integers
        if values is None or len(values) != math.prod(tensor.shape if tensor else ()):
            raise InputError(
                f"got {node.op} whose {node.inputs[index][:40]!r} is computed, expected a constant"
            )
        return values

    def argument(self, node: Node, name: str, index: int) -> Shape | None:
        """A list that is an attribute in old operator sets, and an input in new ones."""
        if self.has(node, index):
            return self.integers(node, index)
        found = node.attributes.get(name)
        return None if found is None else ints(found)

    def count(self, multiply_adds: float, scratch: int = 0) -> None:
        """Add work. scratch: values that are there while a node runs, and then no more."""
        self._work += multiply_adds
        self._most = max(self._most, self._values + scratch)
        if self._most > MAX_GRAPH_VALUES or self._work > MAX_RUN_WORK:
            raise InputError(
                f"got tensors of {self._most} values at once and {self._work:.3g} operations,"
                f" expected at most {MAX_GRAPH_VALUES} and {MAX_RUN_WORK:.3g}"
            )


def _sorted(graph: Graph) -> list[Node]:
    """Return the nodes, each behind those that make what it reads (Kahn 1962)."""
    makers = {name: i for i, node in enumerate(graph.nodes) for name in node.outputs if name}
    readers: list[list[int]] = [[] for _ in graph.nodes]
    waits = [0] * len(graph.nodes)
    for i, node in enumerate(graph.nodes):
        for maker in {makers[name] for name in node.inputs if name in makers}:
            readers[maker].append(i)
            waits[i] += 1
    ready = [i for i, count in enumerate(waits) if count == 0]
    heapq.heapify(ready)  # the order of the file, where there is a choice
    found = []
    while ready:
        i = heapq.heappop(ready)
        found.append(graph.nodes[i])
        for reader in readers[i]:
            waits[reader] -= 1
            if waits[reader] == 0:
                heapq.heappush(ready, reader)
    if len(found) < len(graph.nodes):
        raise InputError("got nodes that read what they make, expected a graph without cycles")
    return found
