"""The fewest bytes for an INT8 graph: what its file says twice, or in floats that need not be.

Nothing here changes what is computed in integers; constants of what computes in float are rounded
to bytes, and are floats again once the graph is loaded or run.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import onnx

from bhar_export.onnx.float_nodes import topology_nodes

__all__ = ["small_form"]

FloatArray = npt.NDArray[np.float32]

LEAST_BYTES = 512
"""A smaller constant stays in floats: its scales would take as much."""


def small_form(
    model: onnx.ModelProto, compute: Collection[str], but: Collection[str] = ()
) -> onnx.ModelProto:
    """``model``, changed in place. compute: operators that have weights.

    but: nodes whose weights are to stay floats, since bytes were not enough.
    """
    _store_bytes(model, compute, but)
    _compute_scales_of_biases(model.graph)
    _share_constants(model.graph)
    _shorten_names(model.graph, compute)
    del model.graph.value_info[:]
    return model


def _store_bytes(model: onnx.ModelProto, compute: Collection[str], but: Collection[str]) -> None:
    """Weights of what computes in float, and adjacencies, as bytes.

    Weights have a scale for each output, adjacencies one for each partition.
    """
    graph, refined = model.graph, topology_nodes(model)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        constant = constants.get(node.input[1]) if len(node.input) > 1 else None
        if constant is not None and _is_large(constant) and node.name not in but:
            axis = None
            if node.op_type in compute:
                axis = 0 if node.op_type == "Conv" else len(constant.dims) - 1
            elif node.op_type == "Add" and node.name in refined:
                axis = 0
            if axis is not None:
                nodes.append(_as_bytes(graph, constant, axis))
                constants.pop(constant.name)
        nodes.append(node)
    _replace_nodes(graph, nodes)


def _is_large(constant: onnx.TensorProto) -> bool:
    is_float = constant.data_type == onnx.TensorProto.FLOAT
    return is_float and np.prod(constant.dims) >= LEAST_BYTES


def _as_bytes(graph: onnx.GraphProto, constant: onnx.TensorProto, axis: int) -> onnx.NodeProto:
    """Stores ``constant`` of ``graph`` as signed bytes; the node that makes floats of them."""
    name, values = constant.name, onnx.numpy_helper.to_array(constant)
    others = tuple(i for i in range(values.ndim) if i != axis)
    most = np.abs(values).max(axis=others, keepdims=True)
    scales = np.where(most > 0, most / 127, 1).astype(np.float32)
    made = {
        f"{name}_quantized": np.rint(values / scales).astype(np.int8),
        f"{name}_scale": scales.ravel(),
        f"{name}_zero_point": np.zeros(scales.size, np.int8),
    }
    graph.initializer.remove(constant)
    graph.initializer.extend(
        onnx.numpy_helper.from_array(array, key) for key, array in made.items()
    )
    return onnx.helper.make_node(
        "DequantizeLinear", [*made], [name], f"{name}_dequantize", axis=axis
    )


def _compute_scales_of_biases(graph: onnx.GraphProto) -> None:
    """The scales of an integer bias as the product that they are: of those of input and weight.

    ONNX Runtime multiplies constants as it loads a graph, before it looks for integers.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    maker = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    products = {}
    for node in graph.node:
        made = [maker.get(name) for name in node.input]
        if len(made) != 3 or None in made:
            continue
        x, weight, bias = (dequantize.input[1] for dequantize in made if dequantize is not None)
        if {x, weight, bias} <= set(constants) and bias not in products:
            exact = _values(constants[x]) * _values(constants[weight])
            if np.array_equal(exact, _values(constants[bias])):
                products[bias] = onnx.helper.make_node("Mul", [x, weight], [bias])
                graph.initializer.remove(constants[bias])
    _replace_nodes(graph, [*products.values(), *graph.node])


def _share_constants(graph: onnx.GraphProto) -> None:
    """Constants that are the same are one: zero points of all layers as wide, most of them."""
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    same = {}
    for tensor in list(graph.initializer):
        key = tensor.data_type, tuple(tensor.dims), onnx.numpy_helper.to_array(tensor).tobytes()
        kept = first.setdefault(key, tensor.name)
        if kept != tensor.name:
            same[tensor.name] = kept
            graph.initializer.remove(tensor)
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]


def _shorten_names(graph: onnx.GraphProto, compute: Collection[str]) -> None:
    """Tensors by number, nodes but those that compute without names: a tenth of an INT8 graph."""
    kept = {value.name for value in (*graph.input, *graph.output)}
    made = [tensor.name for tensor in graph.initializer]
    made += [name for node in graph.node for name in node.output]
    short = {name: f"t{i}" for i, name in enumerate(made) if name and name not in kept}
    for tensor in graph.initializer:
        tensor.name = short.get(tensor.name, tensor.name)
    for node in graph.node:
        node.input[:] = [short.get(name, name) for name in node.input]
        node.output[:] = [short.get(name, name) for name in node.output]
        if node.op_type not in compute:
            node.ClearField("name")


def _values(tensor: onnx.TensorProto) -> FloatArray:
    values: FloatArray = onnx.numpy_helper.to_array(tensor)
    return values


def _replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    del graph.node[:]
    graph.node.extend(nodes)
