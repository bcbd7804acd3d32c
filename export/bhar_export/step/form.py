"""The step form of causal models: a graph for one frame, its state as inputs and outputs.

    step(body [N, C, 1, V, M], hands [N, C, 1, V', M'], state...) -> logits [N, classes], state...

Fed frame by frame, from states of zeros, the logits are those of the clip of all frames so far.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from bhar_export.graph.graph import OUTPUT, OfInputs, check_operators, exported
from bhar_export.step.attention import StepInteractiveBranch, StepPooledAttention
from bhar_export.step.layers import (
    StepAggregation,
    StepBackbone,
    StepMaxPool,
    StepPRGCN,
    StepRefinedGraphConv,
    StepTemporalConv,
    StepZeroPaddedConv,
)
from bhar_export.step.state import FRAMES, LayerState, Memory
from bhar_training.models.backbone import Backbone
from bhar_training.models.bharnet import BHaRNetE, BHaRNetExpertOnly, BHaRNetP
from bhar_training.models.causal import CausalMaxPool
from bhar_training.models.degcn import Block, DeGCN
from bhar_training.models.deployed import (
    DeployedRefinedGraphConv,
    DeployedStaticGraphConv,
    DeployedTemporalConv,
    FoldedTemporalConv,
)
from bhar_training.models.deployed_attention import (
    DeployedInteractiveBranch,
    DeployedPooledAttention,
)
from bhar_training.models.joined_prgcn import JoinedPRGCN
from bhar_training.models.prgcn import PRGCN, PoseRefinement, TemporalAggregation, TemporalConv
from bhar_training.models.single_branch import SingleBranch
from bharsdk.engines.onnx_step import NEXT, STATE
from bharsdk.errors import UsageError

__all__ = ["StepModel", "is_causal", "step_form", "to_step_onnx"]


class StepModel(nn.Module):
    """One step of a causal model.

    frame, state: examples of what it reads, for a batch of one: frames [1, C, 1, V, M] by name, and
    a reset, whose first tensor is the number of frames.
    """

    def __init__(self, model: nn.Module, memory: Memory, frame: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.model, self.memory, self.frame = OfInputs(model), memory, dict(frame)
        with torch.no_grad():
            _, first = self(frame, {FRAMES: torch.zeros(1, 1)})
        self.state = {name: torch.zeros_like(tensor) for name, tensor in first.items()}

    def forward(
        self, frame: Mapping[str, Tensor], state: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Frames [N, C, 1, V, M] and state, by name -> logits [N, classes] and the next state."""
        self.memory.begin(state)
        logits: Tensor = self.model(**frame)
        return logits, self.memory.end()


def step_form(model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> StepModel:
    """One step of ``model``, which is deployed and causal; it is not changed.

    shapes: of the clips that it reads, [C, T, V, M] by name. Raises UsageError for a model of whole
    clips, or of layers that have no step form.
    """
    if not is_causal(model):
        raise UsageError(
            "step form: got a model of whole clips: train one with  bhar-train fit --causal"
        )
    model, memory = copy.deepcopy(model), Memory()
    frame = {name: torch.zeros(1, shape[0], 1, *shape[2:]) for name, shape in shapes.items()}

    def state(name: str, of: str) -> LayerState:
        return LayerState(memory, name, rows=shapes[of][-1])

    replace_parts = STEP_MODELS.get(type(model))
    if replace_parts is None:
        raise _no_step_form(model)
    parts = replace_parts(model, state, shapes)
    for name, part in parts.items():
        setattr(model, name, part)
    return StepModel(model, memory, frame).eval()


def to_step_onnx(step: StepModel) -> onnx.ModelProto:
    """The ONNX graph of ``step``: opset 18, any batch size, checked.

    Inputs: the frames by name, then ``state.NAME``; outputs: ``logits``, then ``next.NAME``, as
    many and in the same order. Raises ParityError as
    :func:`bhar_export.graph.graph.check_operators`.
    """

    def batch(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        # Of two: a one would be taken for a constant.
        return {name: x.expand(2, *x.shape[1:]) for name, x in tensors.items()}

    inputs = [*step.frame, *(STATE + name for name in step.state)]
    outputs = [OUTPUT, *(NEXT + name for name in step.state)]
    model = exported(step, (batch(step.frame), batch(step.state)), inputs, outputs)
    check_operators(model)
    return model


def is_causal(model: nn.Module) -> bool:
    """Whether ``model`` looks at nothing that is still to come."""
    nets = [net for net in model.modules() if isinstance(net, Backbone | PRGCN)]
    return any(net.window is not None for net in nets)


def _no_step_form(module: nn.Module) -> UsageError:
    return UsageError(
        f"step form: got {type(module).__name__}, expected pr-gcn, a bharnet or one expert,"
        " of DeGCN: add its step counterpart to the tables of bhar_export/step/form.py"
    )


def _of_backbone(net: Backbone, state: LayerState) -> StepBackbone:
    if not isinstance(net, DeGCN):
        raise _no_step_form(net)
    layer = state
    for i, block in enumerate(net.blocks):
        assert isinstance(block, Block)
        layer = layer.behind(_replace_block(block, layer.below(f"blocks.{i}")))
    return StepBackbone(net, replace(layer.below("mean"), rows=1))


def _of_attention(
    model: BHaRNetExpertOnly, features: LayerState, groups: int
) -> dict[str, nn.Module]:
    """Return the layers that look from branch to branch. features: any state of theirs."""
    parts: dict[str, nn.Module] = {}
    for name, layer in model.named_children():
        of_class = STEP_ATTENTION.get(type(layer))
        if of_class is not None:
            parts[name] = of_class(layer, replace(features, path=name), groups)
    return parts


STEP_ATTENTION: dict[type[nn.Module], Callable[[Any, LayerState, int], nn.Module]] = {
    DeployedInteractiveBranch: StepInteractiveBranch,
    DeployedPooledAttention: lambda layer, state, groups: StepPooledAttention(layer, state),
}
"""Class of a deployed layer between branches -> its step counterpart of (layer, state, groups)."""

State = Callable[[str, str], LayerState]
Shapes = Mapping[str, tuple[int, ...]]


def _joined_prgcn(model: JoinedPRGCN, state: State, shapes: Shapes) -> dict[str, nn.Module]:
    return {"net": _of_prgcn(model.net, state("net", "body"))}


def _single_branch(model: SingleBranch, state: State, shapes: Shapes) -> dict[str, nn.Module]:
    (name,) = shapes
    return {"net": _of_backbone(model.net, state("net", name))}


def _experts(model: BHaRNetExpertOnly, state: State, shapes: Shapes) -> dict[str, nn.Module]:
    body = _of_backbone(model.body, state("body", "body"))
    hand = _of_backbone(model.hand, state("hand", "hands"))
    groups = shapes["body"][-1] if shapes["body"][-1] == shapes["hands"][-1] else 1
    return {"body": body, "hand": hand, **_of_attention(model, body.state, groups)}


STEP_MODELS: dict[type[nn.Module], Callable[..., dict[str, nn.Module]]] = {
    JoinedPRGCN: _joined_prgcn,
    SingleBranch: _single_branch,
    BHaRNetExpertOnly: _experts,
    BHaRNetE: _experts,
    BHaRNetP: _experts,
}
"""Class of a model -> its parts in step form, of (model, state of a part, shapes), by name."""


STEP_GRAPHS: dict[type[nn.Module], Callable[[Any, LayerState], nn.Module] | None] = {
    DeployedRefinedGraphConv: StepRefinedGraphConv,
    DeployedStaticGraphConv: None,
}
"""Class of a deployed graph convolution -> its step counterpart; None: it looks at one frame."""


def _replace_block(block: Block, state: LayerState) -> int:
    """Give ``block`` its step counterparts, in place; returns its stride."""
    if type(block.graph) not in STEP_GRAPHS:
        raise _no_step_form(block.graph)
    of_step = STEP_GRAPHS[type(block.graph)]
    if of_step is not None:
        block.graph = of_step(block.graph, state.below("graph"))
    temporal = block.temporal
    assert isinstance(temporal, DeployedTemporalConv) and isinstance(temporal.plain, nn.Conv2d)
    for name in ("near", "far"):
        conv = getattr(temporal, name)
        assert isinstance(conv, FoldedTemporalConv)
        setattr(temporal, name, StepTemporalConv(conv, state.below(name)))
    assert isinstance(temporal.pool, CausalMaxPool)
    temporal.pool = StepMaxPool(temporal.pool, state.below("pool"))
    return temporal.plain.stride[0]


def _of_prgcn(net: PRGCN, state: LayerState) -> StepPRGCN:
    if isinstance(net.refine, PoseRefinement):
        _replace(net.refine, "temporal", state.below("refine.temporal"))
    for name in ("enter_position", "enter_motion"):
        _replace(net, name, state.below(name))
    pools, layer = [], state
    for i, guide in enumerate(net.motion):
        stride = guide.stride if isinstance(guide, TemporalConv) else 1
        pools.append(StepMaxPool(CausalMaxPool(stride, stride), layer.below(f"position.{i}")))
        if isinstance(guide, TemporalConv):
            net.motion[i] = StepZeroPaddedConv(guide, layer.below(f"motion.{i}"))
        layer = layer.behind(stride)
    if isinstance(net.aggregate, TemporalAggregation):
        net.aggregate = StepAggregation(net.aggregate, layer.below("aggregate"))
    return StepPRGCN(net, pools, state, layer)


def _replace(parent: nn.Module, name: str, state: LayerState) -> None:
    layer = getattr(parent, name)
    assert isinstance(layer, TemporalConv)
    setattr(parent, name, StepZeroPaddedConv(layer, state))
