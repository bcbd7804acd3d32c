"""Writes DeGCN, the backbone of BHaRNet's streams: its blocks as native layers."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from bhar_export.native.network_writer import (
    Flow,
    NetworkWriter,
    bias_of,
    grouped_pointwise,
    no_native_form,
)
from bhar_training.models.causal import CausalMaxPool, RunningTopology
from bhar_training.models.degcn import Block, DeGCN
from bhar_training.models.deployed import (
    SLOPE,
    DeployedRefinedGraphConv,
    DeployedStaticGraphConv,
    DeployedTemporalConv,
    FoldedTemporalConv,
)
from bharsdk.engines.network import Activation, Aggregate, Constant, InputTensor, Layer, Refinement

__all__ = ["write_expert", "write_features"]


def write_expert(w: NetworkWriter, net: nn.Module, source: int, of: InputTensor) -> None:
    """The logits of ``net``, a DeGCN, of the input number ``source``."""
    x = write_features(w, net, source, of)
    assert isinstance(net, DeGCN)
    w.classify(x, net.head, net.feature_window, greatest=False)


def write_features(w: NetworkWriter, net: nn.Module, source: int, of: InputTensor) -> Flow:
    """What ``net`` classifies. Raises UsageError unless it is a DeGCN."""
    if not isinstance(net, DeGCN):
        raise no_native_form(net)
    rows = tuple((source, v, m) for m in range(of.persons) for v in range(of.joints))
    x = w.new(Activation(of.frames, of.persons, of.joints, of.channels))
    # Of the input, [1, C, 1, V, M], in the order of rows.
    w.input(x, rows, net.input_norm, lambda c: c[0, :, 0].permute(2, 1, 0).flatten(0, 1))
    for block in net.blocks:
        assert isinstance(block, Block)
        x = _write_block(w, x, block)
    return x


def _write_block(w: NetworkWriter, x: Flow, block: Block) -> Flow:
    """DeGCN's block: the graph's convolution, then four branches over time."""
    residual = x
    if isinstance(block.residual_graph, nn.Conv2d):
        residual = w.conv(x, block.residual_graph)
    y = _write_graph_conv(w, x, block.graph, residual)
    temporal = block.temporal
    assert isinstance(temporal, DeployedTemporalConv) and isinstance(temporal.plain, nn.Conv2d)
    stride = temporal.plain.stride[0]
    out = w.features(x.of, y.channels, stride=stride)
    add: Flow | None = None
    if isinstance(block.residual, nn.Conv2d):
        add = w.conv(x, block.residual)
    elif block.residual is not None:
        add = x
    quarter = y.channels // 4
    reduced = w.conv(y, temporal.reduce, slope=SLOPE)
    parts = [out.slice(i * quarter, quarter) for i in range(4)]
    adds = [add.slice(i * quarter, quarter) if add else None for i in range(4)]
    for i, branch in enumerate((temporal.near, temporal.far)):
        assert isinstance(branch, FoldedTemporalConv)
        of = reduced.slice(i * quarter, quarter)
        _write_sampled(w, of, branch, parts[i], adds[i])
    affine = temporal.pool_affine.scale, temporal.pool_affine.shift
    of = reduced.slice(2 * quarter, quarter)
    first, last = (-2, 0) if isinstance(temporal.pool, CausalMaxPool) else (-1, 1)
    w.pool(of, parts[2], affine, first=first, last=last, stride=stride, slope=SLOPE, add=adds[2])
    w.conv(y, temporal.plain, parts[3], slope=SLOPE, add=adds[3])
    return out


def _write_sampled(
    w: NetworkWriter, x: Flow, layer: FoldedTemporalConv, out: Flow, add: Flow | None
) -> None:
    """The form of fewer taps: samples between frames, or, where they lie close, frames."""
    if len(layer.offsets) < layer.conv.kernel_size[0]:
        w.conv(x, layer.sampled, out, slope=SLOPE, add=add, taps_at=layer.offsets)
    else:
        w.conv(x, layer.conv, out, slope=SLOPE, add=add, first=-layer.before)


def _write_graph_conv(w: NetworkWriter, x: Flow, graph: nn.Module, residual: Flow) -> Flow:
    """Write ``graph`` by the writer of its class. Raises UsageError for a class without one."""
    write = GRAPH_WRITERS.get(type(graph))
    if write is None:
        raise no_native_form(graph)
    return write(w, x, graph, residual)


def _write_static(
    w: NetworkWriter, x: Flow, graph: DeployedStaticGraphConv, residual: Flow
) -> Flow:
    # The first block: no residual of a graph convolution but that of the block.
    return w.static_graph(x, graph.conv, graph.adjacency, graph.shift, slope=SLOPE, add=residual)


def _write_refined(
    w: NetworkWriter, x: Flow, graph: DeployedRefinedGraphConv, residual: Flow
) -> Flow:
    # [G, I / G, K * C / G]: the partitions of a group side by side.
    weight, weight_bias = grouped_pointwise(graph.value)
    # [G, K, C / G, R], of all channels for each partition.
    by_group = graph.value.groups, len(graph.adjacency), -1
    refine = graph.refine.weight.view(*by_group, graph.refine.weight.shape[1])
    refinement = Refinement(
        *_write_side(w, graph.query),
        *_write_side(w, graph.key),
        w.constant(refine.permute(1, 3, 0, 2).flatten(2)),
        w.constant(bias_of(graph.refine).view(by_group).transpose(0, 1).flatten(1)),
        *_running(graph.running),
    )
    out = w.features(x.of, graph.shift.shift.numel())
    layer = Aggregate(
        x.part,
        out.part,
        w.constant(weight),
        w.constant(weight_bias),
        w.constant(graph.adjacency.transpose(1, 2)),
        w.constant(graph.shift.shift.flatten()),
        SLOPE,
        residual.part,
        refinement,
    )
    w.add(Layer(aggregate=layer))
    return out


GRAPH_WRITERS: dict[type[nn.Module], Callable[..., Flow]] = {
    DeployedStaticGraphConv: _write_static,
    DeployedRefinedGraphConv: _write_refined,
}
"""Class of a deployed graph convolution -> what writes it: (writer, x, layer, residual) -> out."""


def _running(running: RunningTopology | None) -> tuple[int, int]:
    return (0, 0) if running is None else (running.window, running.period)


def _write_side(w: NetworkWriter, conv: nn.Conv2d) -> tuple[Constant, Constant]:
    """Queries or keys of all partitions: weight [G, I / G, K * R], bias [G, K * R]."""
    weight, bias = grouped_pointwise(conv)
    return w.constant(weight), w.constant(bias.view(conv.groups, -1))
