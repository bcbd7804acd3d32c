"""Writes what BHaRNet's streams see in each other: the native layers of deployed attention."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bhar_export.native.network_writer import Flow, NetworkWriter
from bhar_training.models.backbone import WIDTH
from bhar_training.models.deployed_attention import (
    HEADS,
    DeployedAxisAttention,
    DeployedInteractiveBranch,
    DeployedPooledAttention,
)
from bhar_training.models.fold import pointwise
from bharsdk.engines.network import Attention, Gelu, Layer, Normalize, PooledAttention

__all__ = ["write_interaction", "write_normalized", "write_pooled_attention"]


def write_normalized(w: NetworkWriter, x: Flow) -> Flow:
    """LayerNorm without weights, which the layers behind it have in them."""
    out = w.features(x.of, x.channels)
    w.add(Layer(normalize=Normalize(x.part, out.part, x.channels)))
    return out


def write_interaction(
    w: NetworkWriter,
    x: Flow,
    normalized: Flow,
    context: Flow,
    branch: nn.Module,
    head: nn.Linear,
) -> None:
    """The logits of a stream ``x`` that looks at another one, whose normalized form is ``context``.

    head: the branch's own, or a multiple of it.
    """
    assert isinstance(branch, DeployedInteractiveBranch)
    attention = branch.attention
    query = _write_linear(w, normalized, attention.query)
    key = _write_linear(w, context, attention.key)
    value = _write_linear(w, context, attention.value)
    mixed = w.features(x.of, query.channels)
    directions = w.constant(attention.directions)
    parts = query.part, key.part, value.part, mixed.part
    w.add(Layer(attention=Attention(*parts, directions, HEADS, attention.window)))
    seen = _write_linear(w, mixed, attention.out, add=x)
    hidden = _write_linear(w, write_normalized(w, seen), branch.hidden)
    raised = w.features(x.of, hidden.channels)
    w.add(Layer(gelu=Gelu(hidden.part, raised.part, hidden.channels)))
    w.classify(raised, head, attention.window, greatest=False)


def write_pooled_attention(w: NetworkWriter, x: Flow, context: Flow, attention: nn.Module) -> None:
    """The logits of what ``x`` gathers of ``context`` along time, joints and instances."""
    assert isinstance(attention, DeployedPooledAttention)

    def of_axes(of: Callable[[DeployedAxisAttention], Tensor]) -> Tensor:
        return torch.stack([of(axis) for axis in attention.axes])

    arrays = (
        of_axes(lambda axis: axis.query.weight.t()),
        of_axes(lambda axis: axis.query.bias),
        of_axes(lambda axis: axis.key.weight.t()),
        of_axes(lambda axis: axis.key.bias),
        of_axes(lambda axis: axis.directions),
        of_axes(lambda axis: axis.value.weight.t().reshape(HEADS, WIDTH, -1)),
        of_axes(lambda axis: axis.value.bias).sum(0),
    )
    query, query_bias, key, key_bias, directions, value, bias = map(w.constant, arrays)
    sides = x.part, context.part, query, query_bias, key, key_bias
    layer = PooledAttention(*sides, directions, value, bias, attention.window)
    w.add(Layer(pooled_attention=layer))


def _write_linear(w: NetworkWriter, x: Flow, layer: nn.Linear, add: Flow | None = None) -> Flow:
    return w.conv(x, pointwise(layer.weight[..., None, None], layer.bias), add=add)
