"""Checkpoint model -> ONNX graph that is fit to deploy, and the check that it is."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import torch
from torch import Tensor, nn

from bhar_training.console.quiet import quiet
from bhar_training.models import ActionModel
from bhar_training.models.embedding import WithEmbedding
from bharsdk.bundle.feature_config import FeatureConfig, ModelInput
from bharsdk.engines.onnx_session import EMBEDDING
from bharsdk.errors import ParityError
from bharsdk.landmarks.skeleton import MEDIAPIPE_BODY25, MEDIAPIPE_HAND21

__all__ = [
    "INPUTS",
    "OPSET",
    "OUTPUT",
    "OfInputs",
    "check_graph",
    "check_operators",
    "deploy",
    "exported",
    "inputs_of",
    "logits_alone",
    "to_onnx",
]

OPSET = 18
"""The lowest that torch's exporter writes without conversion."""
INPUTS, OUTPUT = tuple(item.value for item in ModelInput), "logits"
FORBIDDEN_OPS = {
    "Einsum": "write it as MatMul",
    "BatchNormalization": "fold it in the model's deploy()",
    "LSTM": "no model here has one",
    "If": "trace a straight graph",
    "Loop": "trace a straight graph",
}
"""Operators that never run in integers, and what to do instead."""

MAX_BATCH = 4096


def deploy(model: ActionModel) -> nn.Module:
    """A copy of ``model`` in evaluation mode, everything constant folded into weights.

    body float32 [N, C, T, 25, 1], hands float32 [N, C, T, 21, 2] -> logits float32 [N, classes],
    the same as before.
    """
    return model.deploy().eval()


class OfInputs(nn.Module):
    """A model that is only given what it reads: the other input is none of the graph."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, body: Tensor | None = None, hands: Tensor | None = None) -> Tensor:
        """Body [N, C, T, V, M], hands [N, C, T, 21, 2], one or both -> logits [N, classes]."""
        given = hands if body is None else body
        logits: Tensor = self.model(given, given if hands is None else hands)
        return logits


def to_onnx(module: nn.Module, features: FeatureConfig) -> onnx.ModelProto:
    """The ONNX graph of ``module``: fixed names, opset 18, any batch size; checked.

    An input that the module does not look at (the body, by a model of hands) is none of the graph.
    The embedding is a second output of it, where the model has one.
    Raises ParityError when the graph has operators or inputs that a deployed one must not have.
    """
    shape = features.channels, features.frames
    # A batch of two: a one would be taken for a constant.
    example = (
        torch.zeros(2, *shape, MEDIAPIPE_BODY25.joint_count, 1),
        torch.zeros(2, *shape, MEDIAPIPE_HAND21.joint_count, 2),
    )
    outputs = [OUTPUT]
    if isinstance(module, ActionModel) and module.heads():
        module, outputs = WithEmbedding(module).eval(), [OUTPUT, EMBEDDING]
    model = exported(module, example, INPUTS, outputs)
    _drop_unread(model)
    check_graph(model)
    return model


def exported(
    module: nn.Module,
    example: tuple[Tensor | dict[str, Tensor], ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """The ONNX graph of ``module`` for tensors like ``example``, whose first axis is free.

    inputs, outputs: their names, those of dictionaries one by one.
    """
    free = {0: torch.export.Dim("batch", min=1, max=MAX_BATCH)}
    shapes = tuple(dict.fromkeys(x, free) if isinstance(x, dict) else free for x in example)
    with quiet():
        program = torch.onnx.export(
            module,
            (*example, {}),  # a last dictionary is taken for keyword arguments
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=shapes,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    # Metadata of every node tells paths and stack traces of the machine that exported it.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.value_info[:]
    return model


def inputs_of(model: onnx.ModelProto) -> tuple[ModelInput, ...]:
    """What the graph of ``model`` reads."""
    return tuple(ModelInput(value.name) for value in model.graph.input)


def logits_alone(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of ``model`` without the embedding, and what is computed for that alone."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    for value in [value for value in graph.output if value.name == EMBEDDING]:
        graph.output.remove(value)
    for node in reversed(list(graph.node)):
        read = {name for other in graph.node for name in other.input}
        read |= {value.name for value in graph.output}
        if not read & set(node.output):
            graph.node.remove(node)
    return copy


def _drop_unread(model: onnx.ModelProto) -> None:
    read = {name for node in model.graph.node for name in node.input}
    for value in list(model.graph.input):
        if value.name not in read:
            model.graph.input.remove(value)


def check_graph(model: onnx.ModelProto) -> None:
    """Raise ParityError, naming the nodes, unless ``model`` is fit to quantize and deploy."""
    names = [i.name for i in model.graph.input], [o.name for o in model.graph.output]
    inputs, outputs = [name for name in INPUTS if name in names[0]], [OUTPUT, EMBEDDING]
    if not inputs or names[0] != inputs or names[1] not in (outputs, outputs[:1]):
        raise ParityError(
            f"graph: got inputs {names[0]} and outputs {names[1]}, expected body, hands or both,"
            " and logits, or logits and embedding"
        )
    check_operators(model)


def check_operators(model: onnx.ModelProto) -> None:
    """Raise ParityError, naming the nodes, unless ``model`` is whole, deployed and of any batch."""
    onnx.checker.check_model(model, full_check=True)
    for value in model.graph.input:
        if value.type.tensor_type.shape.dim[0].HasField("dim_value"):
            raise ParityError(f"graph: {value.name} has a fixed batch, expected a free first axis")
    for op, remedy in FORBIDDEN_OPS.items():
        found = [node.name or node.output[0] for node in model.graph.node if node.op_type == op]
        if found:
            raise ParityError(f"graph: got {op} in {', '.join(found[:5])}; {remedy}")
    versions = {imported.domain or "ai.onnx": imported.version for imported in model.opset_import}
    used = {node.domain or "ai.onnx" for node in model.graph.node}
    if versions.get("ai.onnx") != OPSET or used != {"ai.onnx"}:
        raise ParityError(f"graph: got operator sets {versions}, expected only ai.onnx {OPSET}")
