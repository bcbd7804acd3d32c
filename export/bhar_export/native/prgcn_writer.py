"""Writes PR-GCN: its flows of position and motion as native layers."""

from __future__ import annotations

from torch import nn

from bhar_export.native.network_writer import RELU, Flow, NetworkWriter, bias_of
from bhar_training.models.fold import Affine
from bhar_training.models.joined_prgcn import JoinedPRGCN
from bhar_training.models.prgcn import (
    PRGCN,
    TAM_POOL,
    GraphConv,
    PoseRefinement,
    TemporalAggregation,
    TemporalConv,
)
from bharsdk.engines.network import Activation, Difference, Excite, InputTensor, Layer

__all__ = ["write_prgcn"]


def write_prgcn(
    w: NetworkWriter, model: JoinedPRGCN, sources: dict[str, InputTensor], index: dict[str, int]
) -> None:
    """The logits of ``model``; index: of the sources, by name."""
    net, body = model.net, sources["body"]
    rows = tuple((index["body"], v, m) for m in range(body.persons) for v in range(body.joints))
    persons = body.persons
    if model.joined:
        hands = sources["hands"]
        rows += tuple((index["hands"], v, m) for m in (0, 1) for v in range(hands.joints))
    x = w.new(Activation(body.frames, persons, len(rows) // persons, body.channels))
    # [1, C, 1, V]: the same for every person.
    w.input(x, rows, net.input_norm, lambda c: c[0, :, 0].t().repeat(persons, 1))
    if isinstance(net.refine, PoseRefinement):
        x = _write_refinement(w, x, net.refine)
    motion = w.features(x.of, x.channels)
    w.add(Layer(difference=Difference(x.part, motion.part, x.channels)))
    x = _write_fusion(w, x, motion, net)
    if isinstance(net.aggregate, TemporalAggregation):
        x = _write_aggregation(w, x, net.aggregate)
    w.classify(x, net.head, net.window, greatest=True)


def _write_temporal(
    w: NetworkWriter, x: Flow, layer: TemporalConv, out: Flow | None = None
) -> Flow:
    assert isinstance(layer.norm, Affine)
    affine = layer.norm.scale, layer.norm.shift
    normalized = w.pool(x, w.features(x.of, x.channels), affine)
    first = -2 if layer.causal else -1
    return w.conv(normalized, layer.conv, out, slope=RELU, first=first, zero_edges=True)


def _write_graph(w: NetworkWriter, x: Flow, layer: GraphConv, out: Flow | None = None) -> Flow:
    residual = x
    if isinstance(layer.residual, nn.Conv2d):
        residual = w.conv(x, layer.residual)
    adjacency = layer.adjacency
    return w.static_graph(x, layer.conv, adjacency, layer.bn, out, slope=RELU, add=residual)


def _write_refinement(w: NetworkWriter, x: Flow, layer: PoseRefinement) -> Flow:
    y = _write_graph(w, w.conv(x, layer.enter), layer.graph1)
    y = _write_graph(w, _write_temporal(w, y, layer.temporal), layer.graph2)
    leave = nn.Conv2d(layer.leave.in_channels, layer.leave.out_channels, 1)
    assert layer.leave.bias is not None and leave.bias is not None
    leave.weight.copy_(layer.leave.weight * layer.mask.view(-1, 1, 1, 1))
    leave.bias.copy_(layer.leave.bias * layer.mask.flatten())
    return w.conv(y, leave, add=x)


def _write_fusion(w: NetworkWriter, x: Flow, motion: Flow, net: PRGCN) -> Flow:
    """GFM: position and motion side by side, for one graph convolution after the other."""
    position, motion = (
        _write_temporal(w, x, net.enter_position),
        _write_temporal(w, motion, net.enter_motion),
    )
    for guide, graph in zip(net.motion, net.position, strict=True):
        assert isinstance(graph, GraphConv) and isinstance(guide, TemporalConv | GraphConv)
        stride = guide.conv.stride[0] if isinstance(guide, TemporalConv) else 1
        both = w.features(motion.of, position.channels + motion.channels, stride=stride)
        left = both.slice(0, position.channels)
        right = both.slice(position.channels, motion.channels)
        if net.window is not None:
            w.pool(position, left, first=1 - stride, stride=stride)
        else:
            # As few frames at a time as lead to as many: less than the stride in a short clip.
            at_once = -(-motion.of.frames // both.of.frames)
            w.pool(position, left, last=at_once - 1, stride=at_once)
        if isinstance(guide, TemporalConv):
            motion = _write_temporal(w, motion, guide, right)
        else:
            motion = _write_graph(w, motion, guide, right)
        position = _write_graph(w, both, graph)
    return position


def _write_aggregation(w: NetworkWriter, x: Flow, layer: TemporalAggregation) -> Flow:
    if layer.window is not None:
        pooled = w.pool(x, w.features(x.of, x.channels), first=1 - TAM_POOL, mean=True)
    else:
        pooled = w.features(x.of, x.channels, stride=TAM_POOL)
        w.pool(x, pooled, last=TAM_POOL - 1, stride=TAM_POOL, mean=True)
    weighed = w.features(pooled.of, x.channels)
    expand, reduce = (
        (w.constant(conv.weight.flatten(1).t()), w.constant(bias_of(conv)))
        for conv in (layer.expand, layer.reduce)
    )
    excite = Excite(pooled.part, weighed.part, *expand, *reduce, layer.window or 0)
    w.add(Layer(excite=excite))
    return _write_graph(w, weighed, layer.graph)
