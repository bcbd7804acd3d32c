"""Target ``native``: bharsdk's own kernels. A deployed model as layers over features.

Every module of a deployed model (:mod:`bhar_training.models.deployed`) has one function here that
writes its layers. What two layers can do in one pass, they do: a residual is added and an
activation applied where the sums are made, and branches write side by side what others concatenate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bhar_export.artefacts import Artefact
from bhar_export.attention_writer import (
    write_interaction,
    write_normalised,
    write_pooled_attention,
)
from bhar_export.network_quantize import NetworkQuantiser
from bhar_export.network_writer import RELU, Flow, NetworkWriter
from bhar_export.ranges import RangeMethod
from bhar_export.spec import Target
from bhar_training.models import ActionModel
from bhar_training.models.backbone import Backbone
from bhar_training.models.bharnet import (
    BHaRNetE,
    BHaRNetExpertOnly,
    BHaRNetP,
    Fusion,
    JoinedPRGCN,
    SingleStream,
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
from bhar_training.models.deployed_attention import linear
from bhar_training.models.fold import Affine, Shift
from bhar_training.models.prgcn import (
    PRGCN,
    TAM_POOL,
    GraphConv,
    PoseRefinement,
    TemporalAggregation,
    TemporalConv,
)
from bharsdk.bundle import (
    GOLDEN,
    NATIVE_INTEGERS,
    NATIVE_LOGITS,
    NATIVE_NETWORK,
    NATIVE_WEIGHTS,
    Precision,
)
from bharsdk.engines import Backend
from bharsdk.engines.native import network_of
from bharsdk.engines.network import (
    Aggregate,
    Constant,
    Difference,
    Excite,
    Features,
    FusionRule,
    Input,
    Layer,
    NetworkSpec,
    Refinement,
    Source,
    encode_network,
)
from bharsdk.errors import UsageError

__all__ = ["NativeQuantiser", "build"]


def build(model: nn.Module, shapes: Mapping[str, tuple[int, ...]], classes: int) -> Artefact:
    """The native network of ``model``, which is deployed, in float32.

    shapes: of what it reads, [C, T, V, M] by name. Raises UsageError for a model whose layers have
    no native form.
    """
    spec, weights = _written(model, shapes, classes)
    files = {NATIVE_NETWORK: encode_network(spec), NATIVE_WEIGHTS: weights}
    return _artefact(Precision.FP32, files, tuple(shapes))


class NativeQuantiser:
    """See :class:`bhar_export.selection.Quantiser`; ``clips``: batches of what the model reads."""

    def __init__(
        self,
        model: nn.Module,
        shapes: Mapping[str, tuple[int, ...]],
        classes: int,
        clips: Iterable[Mapping[str, npt.NDArray[np.float32]]],
        precision: Precision = Precision.INT8,
    ) -> None:
        # Of bytes of whole frames: those in between would have to become bytes anew for each tap.
        spec, weights = _written(model, shapes, classes, samples=False)
        network = network_of({NATIVE_NETWORK: encode_network(spec), NATIVE_WEIGHTS: weights})
        self._quantiser = NetworkQuantiser(spec, weights, network, clips)
        self._reads, self._precision = tuple(shapes), precision

    @property
    def layers(self) -> tuple[str, ...]:
        """By their place in the network."""
        return self._quantiser.layers

    def build(self, ranges: RangeMethod, in_float: Collection[str] = ()) -> Artefact:
        """The network in integers."""
        made = self._quantiser.quantised(ranges, in_float)
        files = {
            NATIVE_NETWORK: encode_network(made.spec),
            NATIVE_WEIGHTS: made.weights,
            NATIVE_INTEGERS: made.integers,
        }
        form = _artefact(self._precision, files, self._reads, NATIVE_LOGITS)
        return replace(form, nodes=lambda: made.nodes)


def _written(
    model: nn.Module, shapes: Mapping[str, tuple[int, ...]], classes: int, *, samples: bool = True
) -> tuple[NetworkSpec, bytes]:
    causal = _window_of(model) is not None
    sources = {name: Source(*shape) for name, shape in shapes.items()}
    if causal:
        sources = {name: replace(source, frames=1) for name, source in sources.items()}
    writer = NetworkWriter(tuple(sources.values()), samples=samples)
    with torch.no_grad():
        _write_model(writer, model, sources)
    return writer.spec(classes, _fusion(model), causal=causal), writer.weights()


def _artefact(
    precision: Precision,
    files: Mapping[str, bytes],
    reads: tuple[str, ...],
    golden: str = GOLDEN["logits"],
) -> Artefact:
    network = network_of(files)

    def run(inputs: Mapping[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        return network.run([np.ascontiguousarray(inputs[name]) for name in reads])

    def embed(
        inputs: Mapping[str, npt.NDArray[np.float32]],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        return network.embed([np.ascontiguousarray(inputs[name]) for name in reads])

    form = Artefact(Target.NATIVE, precision, files, reads, run, Backend.NATIVE, golden)
    return replace(form, embed=embed) if network.embedding_size else form


def _window_of(model: nn.Module) -> int | None:
    """Of the running means of the model, if it is causal."""
    nets = [m for m in model.modules() if isinstance(m, Backbone | PRGCN)]
    return next((net.window for net in nets), None)


def _fusion(model: nn.Module) -> FusionRule:
    if not isinstance(model, BHaRNetExpertOnly):
        return FusionRule.MEAN
    return FusionRule(model.fusion.value)


def _write_model(w: NetworkWriter, model: nn.Module, sources: dict[str, Source]) -> None:
    index = {name: i for i, name in enumerate(sources)}
    if type(model) is BHaRNetExpertOnly:
        _write_expert(w, model.body, index["body"], sources["body"])
        _write_expert(w, model.hand, index["hands"], sources["hands"])
    elif isinstance(model, BHaRNetE):
        _write_all_branches(w, model, _write_streams(w, model, sources, index))
    elif isinstance(model, BHaRNetP):
        body, hand = _write_streams(w, model, sources, index)
        write_pooled_attention(w, body, hand, model.body_attention)
        write_pooled_attention(w, hand, body, model.hand_attention)
    elif isinstance(model, SingleStream):
        name = "hands" if model.of_hands else "body"
        _write_expert(w, model.net, index[name], sources[name])
    elif isinstance(model, JoinedPRGCN):
        _write_prgcn(w, model, sources, index)
    else:
        raise _no_native_form(model)


def _no_native_form(module: nn.Module) -> UsageError:
    kind = "model" if isinstance(module, ActionModel) else "layer"
    return UsageError(
        f"target native: got a {kind} {type(module).__name__}, expected pr-gcn, a bharnet or one"
        " expert, of DeGCN: export it with --target onnx"
    )


def _write_streams(
    w: NetworkWriter, model: BHaRNetExpertOnly, sources: dict[str, Source], index: dict[str, int]
) -> tuple[Flow, Flow]:
    body = _write_features(w, model.body, index["body"], sources["body"])
    return body, _write_features(w, model.hand, index["hands"], sources["hands"])


def _write_all_branches(w: NetworkWriter, model: BHaRNetE, streams: tuple[Flow, Flow]) -> None:
    """Two experts, and two branches that look at the other stream."""
    body, hand = streams
    of_body, of_hand = write_normalised(w, body), write_normalised(w, hand)
    # Of four logits the sum is four times the mean: exact in floating point.
    factor = 4 if model.fusion is Fusion.MEAN else 1
    for x, net in ((body, model.body), (hand, model.hand)):
        w.classify(x, _times(factor, net.head), net.feature_window, greatest=False)
    branches = (
        (body, of_body, of_hand, model.body_interaction),
        (hand, of_hand, of_body, model.hand_interaction),
    )
    for x, own, other, branch in branches:
        write_interaction(w, x, own, other, branch, _times(factor, branch.head))


def _times(factor: int, layer: nn.Module | Tensor) -> nn.Linear:
    assert isinstance(layer, nn.Linear)
    return linear(layer.weight * factor, layer.bias * factor)


def _write_expert(w: NetworkWriter, net: nn.Module, source: int, of: Source) -> None:
    x = _write_features(w, net, source, of)
    assert isinstance(net, DeGCN)
    w.classify(x, net.head, net.feature_window, greatest=False)


def _write_features(w: NetworkWriter, net: nn.Module, source: int, of: Source) -> Flow:
    if not isinstance(net, DeGCN):
        raise _no_native_form(net)
    rows = tuple((source, v, m) for m in range(of.persons) for v in range(of.joints))
    x = w.new(Features(of.frames, of.persons, of.joints, of.channels))
    # Of the input, [1, C, 1, V, M], in the order of rows.
    _write_input(w, x, rows, net.input_norm, lambda c: c[0, :, 0].permute(2, 1, 0).flatten(0, 1))
    for block in net.blocks:
        assert isinstance(block, Block)
        x = _write_block(w, x, block)
    return x


def _write_input(
    w: NetworkWriter,
    out: Flow,
    rows: tuple[tuple[int, int, int], ...],
    norm: nn.Module,
    of_rows: Callable[[Tensor], Tensor],
) -> None:
    """``of_rows``: the constants of ``norm`` -> [rows, C]."""
    assert isinstance(norm, Affine)
    scale, shift = (w.constant(of_rows(c).contiguous()) for c in (norm.scale, norm.shift))
    w.add(Layer(input=Input(out.part, rows, scale, shift)))


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
    if w.samples and len(layer.offsets) < layer.conv.kernel_size[0]:
        w.conv(x, layer.sampled, out, slope=SLOPE, add=add, taps_at=layer.offsets)
    else:
        w.conv(x, layer.conv, out, slope=SLOPE, add=add, first=-layer.before)


def _write_graph_conv(w: NetworkWriter, x: Flow, graph: nn.Module, residual: Flow) -> Flow:
    if isinstance(graph, DeployedStaticGraphConv):
        # The first block: no residual of a graph convolution but that of the block.
        return _write_static(
            w, x, graph.conv, graph.adjacency, graph.shift, slope=SLOPE, add=residual
        )
    if not isinstance(graph, DeployedRefinedGraphConv):
        raise _no_native_form(graph)
    values = [_pointwise(conv) for conv in graph.value]
    groups = len(values[0][0])
    # [G, I / G, K * C / G]: the partitions of a group side by side.
    weight = torch.stack([value for value, _ in values], 2).flatten(2)
    weight_bias = torch.stack([shift.view(groups, -1) for _, shift in values], 1).flatten()
    refine = [conv for conv in graph.refine if isinstance(conv, nn.Conv2d)]
    refinement = Refinement(
        *_write_side(w, graph.query),
        *_write_side(w, graph.key),
        w.constant(torch.stack([conv.weight.flatten(1).t() for conv in refine])),
        w.constant(torch.stack([_bias(conv) for conv in refine])),
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


def _running(running: RunningTopology | None) -> tuple[int, int]:
    return (0, 0) if running is None else (running.window, running.period)


def _write_side(w: NetworkWriter, convs: nn.ModuleList) -> tuple[Constant, Constant]:
    """Queries or keys of all partitions: weight [G, I / G, K * R], bias [G, K * R]."""
    each = [_pointwise(conv) for conv in convs]
    groups = len(each[0][0])
    weight = torch.stack([side for side, _ in each], 2).flatten(2)
    bias = torch.stack([shift.view(groups, -1) for _, shift in each], 1).flatten(1)
    return w.constant(weight), w.constant(bias)


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias


def _pointwise(conv: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight [G, I / G, O / G] and bias [O] of a 1x1 convolution in groups."""
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    outputs, inputs, _, _ = conv.weight.shape
    grouped = conv.weight.view(conv.groups, outputs // conv.groups, inputs)
    return grouped.transpose(1, 2), conv.bias


def _write_static(
    w: NetworkWriter,
    x: Flow,
    conv: nn.Conv2d,
    adjacency: Tensor,
    shift: nn.Module,
    out: Flow | None = None,
    *,
    slope: float,
    add: Flow,
) -> Flow:
    """A 1x1 convolution to all partitions, adjacencies [K, from, to], shift, residual."""
    channels = conv.out_channels // len(adjacency)
    weight, weight_bias = _pointwise(conv)
    bias = shift.shift.flatten() if isinstance(shift, Shift) else torch.zeros(channels)
    out = out or w.features(x.of, channels)
    layer = Aggregate(
        x.part,
        out.part,
        w.constant(weight),
        w.constant(weight_bias),
        w.constant(adjacency.transpose(1, 2)),
        w.constant(bias),
        slope,
        add.part,
    )
    w.add(Layer(aggregate=layer))
    return out


def _write_prgcn(
    w: NetworkWriter, model: JoinedPRGCN, sources: dict[str, Source], index: dict[str, int]
) -> None:
    net, body = model.net, sources["body"]
    rows = tuple((index["body"], v, m) for m in range(body.persons) for v in range(body.joints))
    persons = body.persons
    if model.joined:
        hands = sources["hands"]
        rows += tuple((index["hands"], v, m) for m in (0, 1) for v in range(hands.joints))
    x = w.new(Features(body.frames, persons, len(rows) // persons, body.channels))
    # [1, C, 1, V]: the same for every person.
    _write_input(w, x, rows, net.input_norm, lambda c: c[0, :, 0].t().repeat(persons, 1))
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
    normalised = w.pool(x, w.features(x.of, x.channels), affine)
    first = -2 if layer.causal else -1
    return w.conv(normalised, layer.conv, out, slope=RELU, first=first, zero_edges=True)


def _write_graph(w: NetworkWriter, x: Flow, layer: GraphConv, out: Flow | None = None) -> Flow:
    residual = x
    if isinstance(layer.residual, nn.Conv2d):
        residual = w.conv(x, layer.residual)
    adjacency = layer.adjacency
    return _write_static(w, x, layer.conv, adjacency, layer.bn, out, slope=RELU, add=residual)


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
        (w.constant(conv.weight.flatten(1).t()), w.constant(_bias(conv)))
        for conv in (layer.expand, layer.reduce)
    )
    excite = Excite(pooled.part, weighed.part, *expand, *reduce, layer.window or 0)
    w.add(Layer(excite=excite))
    return _write_graph(w, weighed, layer.graph)
