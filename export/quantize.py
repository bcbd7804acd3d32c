"""ONNX float32 -> ONNX INT8: explicit Q/DQ, weights per channel, for CPUs or for TensorRT.

For CPUs, weights use seven bits (``reduce_range``): ONNX Runtime documents that on x86 without VNNI
the products of eight-bit activations and weights saturate at 16 bits, which would make another
model of it. With the input left float, seven bits instead of eight cost PR-GCN little (relative
logit error 0.127 instead of 0.121). What eight bits cannot carry stays float: see ``sensitive.py``.
"""

from __future__ import annotations

import enum
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorData, TensorsData, save_tensors_data
from onnxruntime.quantization.shape_inference import quant_pre_process

from bhar_export.artefacts import IntegerNodes
from bhar_export.calibrate import MAX_CALIBRATION_CLIPS, LabelledFeatures
from bhar_export.ranges import Histogram, RangeMethod, observe, ranges_of
from bhar_export.sensitive import beside, sensitive_nodes
from bhar_training.quiet import quiet
from bharsdk.engines.onnx import single_thread_session
from bharsdk.errors import assert_never

__all__ = ["GraphQuantiser", "Profile", "integer_nodes", "quantize"]

FloatArray = npt.NDArray[np.float32]

COMPUTE_OPS = ("Conv", "FusedConv", "MatMul", "FusedMatMul", "MatMulNBits", "Gemm", "FusedGemm")
"""Operators that hold the multiply-adds: each that stays float is named in the report."""
INTEGER_OPS = ("QLinearConv", "QLinearMatMul", "QGemm", "MatMulIntegerToFloat", "ConvInteger")
LEAST_BYTES = 512
"""A smaller weight stays in floats: its scales would take as much."""
FREE_OPS = ("QuantizeLinear", "DequantizeLinear", "Reshape", "Transpose", "Squeeze", "Unsqueeze")


class Profile(enum.Enum):
    """For whose integer kernels a graph is quantised."""

    CPU = "cpu"
    """ONNX Runtime's: unsigned activations, signed weights."""
    TENSORRT = "tensorrt"
    """Signed and symmetric; weights are bytes with a scale per channel, biases float."""


class GraphQuantiser:
    """INT8 graphs of one float32 graph, whose tensors are observed once, on ``clips``."""

    def __init__(self, model: onnx.ModelProto, clips: LabelledFeatures) -> None:
        with tempfile.TemporaryDirectory() as folder, quiet():
            source, prepared = (str(Path(folder, f"{name}.onnx")) for name in ("in", "out"))
            onnx.save(model, source)
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            self._graph = onnx.load(prepared)
        self._sensitive = sensitive_nodes(self._graph)
        self._observed: dict[str, Histogram] = observe(
            _tensors(self._graph, self._sensitive, clips)
        )

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the nodes that multiply in integers, in graph order."""
        nodes = self._graph.graph.node
        left = (n.name for n in nodes if n.op_type in COMPUTE_OPS)
        return tuple(name for name in left if name not in self._sensitive)

    def quantised(
        self,
        profile: Profile = Profile.CPU,
        ranges: RangeMethod = RangeMethod.MIN_MAX,
        in_float: Collection[str] = (),
        *,
        reduce_range: bool = True,
        small: bool = True,
    ) -> onnx.ModelProto:
        """The INT8 graph. in_float: of ``layers``, those that are left as they are.

        reduce_range: weights of seven bits (``CPU`` alone). small: weights of what computes in
        float are bytes too, made floats when the graph is loaded or run, and names are short.
        """
        left = [name for name in self.layers if name not in in_float]
        apart = beside(self._graph, left, COMPUTE_OPS) if in_float else set()
        symmetric = profile is Profile.TENSORRT
        limits = ranges_of(self._observed, ranges, symmetric=symmetric)
        known = {
            name: TensorData(lowest=np.float32(least), highest=np.float32(most))
            for name, (least, most) in limits.items()
        }
        with tempfile.TemporaryDirectory() as folder, quiet():
            source, result = (str(Path(folder, f"{name}.onnx")) for name in ("in", "out"))
            cache = Path(folder, "ranges.json")
            onnx.save(self._graph, source)
            save_tensors_data(TensorsData(CalibrationMethod.MinMax, known), cache)
            quantize_static(
                source,
                result,
                None,
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                calibration_cache_path=cache,
                nodes_to_exclude=[*self._sensitive, *apart],
                **_options(profile, self._graph, reduce_range),
            )
            made = onnx.load(result)
        return _with_short_names(_with_small_weights(made, in_float)) if small else made


def quantize(
    model: onnx.ModelProto,
    clips: LabelledFeatures,
    profile: Profile = Profile.CPU,
    *,
    reduce_range: bool = True,
) -> onnx.ModelProto:
    """The INT8 graph of ``model`` that runs fastest, its ranges all that ``clips`` led to."""
    quantiser = GraphQuantiser(model, clips)
    return quantiser.quantised(profile, reduce_range=reduce_range, small=False)


def _with_small_weights(model: onnx.ModelProto, but: Collection[str]) -> onnx.ModelProto:
    """Weights of what computes in float, too, as bytes with a scale for each output.

    but: nodes that are in float since bytes were not enough.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        weight = constants.get(node.input[1]) if node.op_type in COMPUTE_OPS else None
        if weight is not None and _is_large(weight) and node.name not in but:
            axis = 0 if node.op_type == "Conv" else len(weight.dims) - 1
            nodes.append(_as_bytes(model.graph, weight, axis))
            constants.pop(weight.name)
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _with_short_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Tensors by number, Q/DQ without names: these are a tenth of an INT8 graph.

    Nodes that compute keep theirs.
    """
    graph = model.graph
    kept = {value.name for value in (*graph.input, *graph.output)}
    made = [tensor.name for tensor in graph.initializer]
    made += [name for node in graph.node for name in node.output]
    short = {name: f"t{i}" for i, name in enumerate(made) if name and name not in kept}
    for tensor in graph.initializer:
        tensor.name = short.get(tensor.name, tensor.name)
    for node in graph.node:
        node.input[:] = [short.get(name, name) for name in node.input]
        node.output[:] = [short.get(name, name) for name in node.output]
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.ClearField("name")
    del graph.value_info[:]
    return model


def _is_large(weight: onnx.TensorProto) -> bool:
    is_float = weight.data_type == onnx.TensorProto.FLOAT
    return is_float and np.prod(weight.dims) >= LEAST_BYTES


def _as_bytes(graph: onnx.GraphProto, weight: onnx.TensorProto, axis: int) -> onnx.NodeProto:
    """Stores ``weight`` of ``graph`` as signed bytes; the node that makes floats of them."""
    name, values = weight.name, onnx.numpy_helper.to_array(weight)
    others = tuple(i for i in range(values.ndim) if i != axis)
    most = np.abs(values).max(axis=others, keepdims=True)
    scales = np.where(most > 0, most / 127, 1).astype(np.float32)
    made = {
        f"{name}_quantized": np.rint(values / scales).astype(np.int8),
        f"{name}_scale": scales.ravel(),
        f"{name}_zero_point": np.zeros(scales.size, np.int8),
    }
    graph.initializer.remove(weight)
    graph.initializer.extend(
        onnx.numpy_helper.from_array(array, key) for key, array in made.items()
    )
    return onnx.helper.make_node(
        "DequantizeLinear", [*made], [name], f"{name}_dequantize", axis=axis
    )


def _tensors(
    model: onnx.ModelProto, in_float: Collection[str], clips: LabelledFeatures
) -> Iterator[Iterator[tuple[str, FloatArray]]]:
    """What tensors of ``model`` hold, for one clip after the other.

    All but those between nodes ``in_float``: refined topologies, which nobody asks for, are larger
    than the rest together.
    """
    shown = onnx.shape_inference.infer_shapes(model)
    computed = [node for node in shown.graph.node if node.name not in in_float]
    asked_for = {name for node in computed for name in (*node.input, *node.output)}
    # Some that are described were optimised away.
    hidden = {name for node in shown.graph.node for name in node.output} & asked_for
    hidden -= {value.name for value in shown.graph.output}
    shown.graph.output.extend(
        value
        for value in shown.graph.value_info
        if value.name in hidden and value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    )
    # As it is: fused, tensors that are to be seen would not be.
    session = single_thread_session(shown.SerializeToString(), optimised=False)
    names = [value.name for value in session.get_outputs()]
    inputs = [value.name for value in session.get_inputs()]
    for clip in clips.evenly(MAX_CALIBRATION_CLIPS).batches(inputs, 1):
        yield iter([*clip.items(), *zip(names, session.run(names, clip), strict=True)])


def _options(profile: Profile, model: onnx.ModelProto, reduce_range: bool) -> dict[str, Any]:
    match profile:
        case Profile.CPU:
            return {
                "activation_type": QuantType.QUInt8,
                "reduce_range": reduce_range,
                "extra_options": {"TensorQuantOverrides": _per_tensor(model)},
            }
        case Profile.TENSORRT:
            return {
                "activation_type": QuantType.QInt8,
                "extra_options": {
                    "ActivationSymmetric": True,
                    "WeightSymmetric": True,
                    "QuantizeBias": False,
                    "TensorQuantOverrides": _per_tensor(model),
                },
            }
        case _:
            assert_never(profile)


def _per_tensor(model: onnx.ModelProto) -> dict[str, list[dict[str, QuantType]]]:
    """Overrides for constants that ONNX Runtime cannot multiply per channel.

    QLinearMatMul takes a scale per column only for a matrix; a stack of matrices gets one scale.
    """
    ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    return {
        name: [{"quant_type": QuantType.QInt8}]
        for node in model.graph.node
        if node.op_type == "MatMul"
        for name in node.input
        if ranks.get(name, 0) > 2
    }


def integer_nodes(model: bytes) -> IntegerNodes:
    """Count what runs in integers once ONNX Runtime has optimised ``model`` for this machine."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder, quiet():
        path = str(Path(folder, "optimised.onnx"))
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = path
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(path).graph.node
    counts = Counter(n.op_type for n in nodes)
    integer = sum(counts[op] for op in INTEGER_OPS)
    other = {
        op: count
        for op, count in sorted(counts.items())
        if op not in (*INTEGER_OPS, *COMPUTE_OPS, *FREE_OPS) and not op.startswith("QLinear")
    }
    return IntegerNodes(integer, tuple(n.name for n in nodes if n.op_type in COMPUTE_OPS), other)
