"""Checkpoint model -> ONNX graph that is fit to deploy, and the check that it is."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence

import onnx
import torch
from torch import Tensor, nn

from bhar_training.console.quiet import quiet
from bhar_training.models.action_model import ActionModel
from bhar_training.models.embedding import WithEmbedding
from bharsdk.bundle.feature_config import FeatureConfig, ModelInput
from bharsdk.bundle.input_spec import landmark_inputs
from bharsdk.engines.onnx_session import EMBEDDING
from bharsdk.errors import ParityError

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
    "of_parameters",
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
    """Return a copy of ``model`` in evaluation mode, with all constants folded into weights.

    It gives the same logits.
    """
    return model.deploy().eval()


class OfInputs(nn.Module):
    """A model that takes its inputs as keyword arguments, as converters call it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **inputs: Tensor) -> Tensor:
        """Return logits [N, classes] of inputs [N, C, T, V, M]."""
        logits: Tensor = self.model(inputs)
        return logits


def to_onnx(module: nn.Module, features: FeatureConfig) -> onnx.ModelProto:
    """Return the ONNX graph of ``module``: fixed names, opset 18, any batch size; checked.

    The graph has only the inputs that the module reads: a model of hands has no body. The embedding
    is a second output, where the model has one. Raises ParityError when the graph has operators or
    inputs that a deployed graph must not have.
    """
    specs = landmark_inputs(features)
    # A batch of two: a one would be taken for a constant.
    example = tuple(torch.zeros(2, *spec.shape) for spec in specs.values())
    outputs = [OUTPUT]
    if isinstance(module, ActionModel) and module.heads():
        module, outputs = WithEmbedding(module).eval(), [OUTPUT, EMBEDDING]
    model = exported(of_parameters(module, tuple(specs)), example, tuple(specs), outputs)
    _drop_unread(model)
    check_graph(model)
    return model


def of_parameters(module: nn.Module, names: Sequence[str]) -> nn.Module:
    """Return ``module`` with one parameter for each input, which names its tensor in the graph."""
    kind = type(module)

    def forward(self: nn.Module, *tensors: Tensor) -> object:
        return kind.forward(self, dict(zip(names, tensors, strict=True)))

    one_each = inspect.Parameter.POSITIONAL_OR_KEYWORD
    forward.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # read by torch
        [inspect.Parameter(name, one_each) for name in ("self", *names)]
    )
    # The same layers: those of a module around it would have other names.
    found = copy.copy(module)
    found.__class__ = type(kind.__name__, (kind,), {"forward": forward})
    return found


def exported(
    module: nn.Module,
    example: tuple[Tensor | dict[str, Tensor], ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """Return the ONNX graph of ``module`` for tensors like ``example``, whose first axis is free.

    inputs, outputs: their names in the graph; a dictionary has a name for each of its tensors.
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
    alone = onnx.ModelProto()
    alone.CopyFrom(model)
    graph = alone.graph
    for value in [value for value in graph.output if value.name == EMBEDDING]:
        graph.output.remove(value)
    for node in reversed(list(graph.node)):
        read = {name for other in graph.node for name in other.input}
        read |= {value.name for value in graph.output}
        if not read & set(node.output):
            graph.node.remove(node)
    return alone


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
            f"graph: got inputs {names[0]} and outputs {names[1]}, expected some of {INPUTS} in"
            " this order, and logits, or logits and embedding"
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
