"""ONNX float32 -> ONNX INT8: explicit Q/DQ, weights per channel, for CPUs or for TensorRT.

MinMax ranges: percentile ranges (99.99) gave PR-GCN 1.6 times the logit error. For CPUs, weights
use seven bits (``reduce_range``): ONNX Runtime documents that on x86 without VNNI the products of
eight-bit activations and weights saturate at 16 bits, which would make another model of it. With
the input left float, seven bits instead of eight cost PR-GCN little (relative logit error 0.127
instead of 0.121). What eight bits cannot carry stays float: see ``sensitive.py``.
"""

from __future__ import annotations

import enum
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from bhar_export.calibrate import CalibrationReader, LabelledFeatures
from bhar_export.sensitive import sensitive_nodes
from bhar_training.quiet import quiet
from bharsdk.errors import assert_never

__all__ = ["IntegerNodes", "Profile", "integer_nodes", "quantize"]

COMPUTE_OPS = ("Conv", "FusedConv", "MatMul", "FusedMatMul", "Gemm", "FusedGemm")
"""Operators that hold the multiply-adds: each that stays float is named in the report."""
INTEGER_OPS = ("QLinearConv", "QLinearMatMul", "QGemm", "MatMulIntegerToFloat", "ConvInteger")
FREE_OPS = ("QuantizeLinear", "DequantizeLinear", "Reshape", "Transpose", "Squeeze", "Unsqueeze")


@dataclass(frozen=True)
class IntegerNodes:
    """What ONNX Runtime really runs after its own optimisation.

    integer: nodes that multiply in integers. float_compute: names of nodes that multiply in
    float32. float_other: cheaper operators between float tensors, operator -> count.
    """

    integer: int
    float_compute: tuple[str, ...]
    float_other: dict[str, int]


class Profile(enum.Enum):
    """For whose integer kernels a graph is quantised."""

    CPU = "cpu"
    """ONNX Runtime's: unsigned activations, signed weights."""
    TENSORRT = "tensorrt"
    """Signed and symmetric; weights are bytes with a scale per channel, biases float."""


def quantize(
    model: onnx.ModelProto,
    clips: LabelledFeatures,
    profile: Profile = Profile.CPU,
    *,
    reduce_range: bool = True,
) -> onnx.ModelProto:
    """The INT8 graph of ``model``, its ranges from ``clips``.

    reduce_range: weights of seven bits (``CPU`` alone).
    """
    with tempfile.TemporaryDirectory() as folder, quiet():
        source, prepared, result = (str(Path(folder, f"{n}.onnx")) for n in ("in", "pre", "out"))
        onnx.save(model, source)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            result,
            CalibrationReader(clips, [value.name for value in model.graph.input]),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=list(sensitive_nodes(onnx.load(prepared))),
            **_options(profile, onnx.load(prepared), reduce_range),
        )
        return onnx.load(result)


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
