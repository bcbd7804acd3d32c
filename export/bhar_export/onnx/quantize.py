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

from bhar_export.graph.exported_model import IntegerNodes
from bhar_export.onnx.float_nodes import beside, sensitive_nodes
from bhar_export.onnx.shrink_onnx import small_form
from bhar_export.quantization.calibration_clips import MAX_CALIBRATION_CLIPS, LabeledFeatures
from bhar_export.quantization.ranges import Histogram, RangeMethod, observe, ranges_of
from bhar_training.console.quiet import quiet
from bharsdk.engines.onnx_session import single_thread_session
from bharsdk.errors import assert_never

__all__ = ["GraphQuantizer", "Profile", "integer_nodes", "quantize"]

FloatArray = npt.NDArray[np.float32]

COMPUTE_OPS = ("Conv", "FusedConv", "MatMul", "FusedMatMul", "MatMulNBits", "Gemm", "FusedGemm")
"""Operators that hold the multiply-adds: each that stays float is named in the report."""
INTEGER_OPS = ("QLinearConv", "QLinearMatMul", "QGemm", "MatMulIntegerToFloat", "ConvInteger")
FREE_OPS = ("QuantizeLinear", "DequantizeLinear", "Reshape", "Transpose", "Squeeze", "Unsqueeze")


class Profile(enum.Enum):
    """For whose integer kernels a graph is quantized."""

    CPU = "cpu"
    """ONNX Runtime's: unsigned activations, signed weights."""
    TENSORRT = "tensorrt"
    """Signed and symmetric; weights are bytes with a scale per channel, biases float."""


class GraphQuantizer:
    """INT8 graphs of one float32 graph, whose tensors are observed once, on ``clips``."""

    def __init__(self, model: onnx.ModelProto, clips: LabeledFeatures) -> None:
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

    def quantized(
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
        return small_form(made, COMPUTE_OPS, in_float) if small else made


def quantize(
    model: onnx.ModelProto,
    clips: LabeledFeatures,
    profile: Profile = Profile.CPU,
    *,
    reduce_range: bool = True,
) -> onnx.ModelProto:
    """The INT8 graph of ``model`` that runs fastest, its ranges all that ``clips`` led to."""
    quantizer = GraphQuantizer(model, clips)
    return quantizer.quantized(profile, reduce_range=reduce_range, small=False)


def _tensors(
    model: onnx.ModelProto, in_float: Collection[str], clips: LabeledFeatures
) -> Iterator[Iterator[tuple[str, FloatArray]]]:
    """What tensors of ``model`` hold, for one clip after the other.

    All but those between nodes ``in_float``: refined topologies, which nobody asks for, are larger
    than the rest together.
    """
    shown = onnx.shape_inference.infer_shapes(model)
    computed = [node for node in shown.graph.node if node.name not in in_float]
    asked_for = {name for node in computed for name in (*node.input, *node.output)}
    # Some that are described were optimized away.
    hidden = {name for node in shown.graph.node for name in node.output} & asked_for
    hidden -= {value.name for value in shown.graph.output}
    shown.graph.output.extend(
        value
        for value in shown.graph.value_info
        if value.name in hidden and value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    )
    # As it is: fused, tensors that are to be seen would not be.
    session = single_thread_session(shown.SerializeToString(), optimized=False)
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
    """Count what runs in integers once ONNX Runtime has optimized ``model`` for this machine."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder, quiet():
        path = str(Path(folder, "optimized.onnx"))
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
