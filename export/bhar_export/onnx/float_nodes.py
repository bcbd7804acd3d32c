"""Which nodes stay float32 in an INT8 graph, and why: three patterns that eight bits cannot carry.

- **Coordinates.** A body spans some eight shoulder widths, so a step of u8 is 0.03 of one: coarser
  than the movement between two frames. Positions, their differences over time and the convolution
  that first reads them stay float. On PR-GCN this takes the relative logit error from 0.27 to 0.03
  and costs 3 % of the time.
- **Topologies.** A refined adjacency differs from sample to sample, is small in value, and is the
  largest tensor of its block: rounding it costs accuracy, and converting it costs more time than
  integer arithmetic on it saves.
- **Attention.** Random features are exponentials: of a few that are large and many that are next to
  nothing bytes keep the large ones. Their sums are divided by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

import onnx

__all__ = ["attention_nodes", "beside", "coordinate_nodes", "sensitive_nodes", "topology_nodes"]


def sensitive_nodes(model: onnx.ModelProto) -> tuple[str, ...]:
    """Names of the nodes to leave in float32, in graph order."""
    found = coordinate_nodes(model) | topology_nodes(model) | attention_nodes(model)
    return tuple(node.name for node in model.graph.node if node.name in found)


def coordinate_nodes(model: onnx.ModelProto) -> set[str]:
    """From the inputs to the first convolutions behind the last difference over time."""
    links = _Links(model)
    inputs = {value.name for value in model.graph.input}
    found = {n.name for n in model.graph.node if inputs & set(n.input)}
    for node in model.graph.node:
        if node.op_type == "Sub" and links.is_difference_over_time(node):
            found |= links.before(node)
    return links.until(found, "Conv")


def topology_nodes(model: onnx.ModelProto) -> set[str]:
    """From the queries and keys of a refined topology to the product that applies it."""
    links = _Links(model)
    found: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Tanh":
            found |= links.until({node.name}, "MatMul")
            found |= links.before(node, stop="ReduceMean")
    return found


def attention_nodes(model: onnx.ModelProto) -> set[str]:
    """From the projections of random features to the division by their sums."""
    links = _Links(model)
    found: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Exp":
            found |= links.until({node.name}, "Div") | links.before(node, stop="Reshape")
    return found


def beside(model: onnx.ModelProto, layers: Iterable[str], operators: Collection[str]) -> set[str]:
    """All nodes but ``layers`` and what follows them, up to the next of ``operators``.

    With some layers in integers and others not, what is between two in float is not rounded.
    """
    links = _Links(model)
    chosen = set(layers)
    follow = {n for n in links.until(chosen, *operators) if links.nodes[n].op_type not in operators}
    return set(links.nodes) - chosen - follow


class _Links:
    """Who makes and who reads each tensor of a graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = {node.name: node for node in model.graph.node}
        self.maker = {name: node for node in model.graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self.readers[name].append(node)

    def is_difference_over_time(self, node: onnx.NodeProto) -> bool:
        """Whether both sides are slices of one tensor: frames less the frames before them."""
        makers = [self.maker.get(name) for name in node.input]
        sources = {m.input[0] for m in makers if m is not None and m.op_type == "Slice"}
        return len(sources) == 1 and all(m is not None and m.op_type == "Slice" for m in makers)

    def before(self, node: onnx.NodeProto, stop: str = "") -> set[str]:
        """``node`` and all that it is computed from, not beyond operators ``stop``."""
        found, waiting = {node.name}, [node]
        while waiting:
            for name in waiting.pop().input:
                maker = self.maker.get(name)
                if maker is not None and maker.name not in found and maker.op_type != stop:
                    found.add(maker.name)
                    waiting.append(maker)
        return found

    def until(self, start: Iterable[str], *stop: str) -> set[str]:
        """``start`` and all that follows, up to and with the first operators ``stop``."""
        found = set(start)
        waiting = list(found)
        while waiting:
            for output in self.nodes[waiting.pop()].output:
                for reader in self.readers[output]:
                    if reader.name not in found:
                        found.add(reader.name)
                        if reader.op_type not in stop:
                            waiting.append(reader.name)
        return found
