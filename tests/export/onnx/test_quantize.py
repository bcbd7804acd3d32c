"""Promises of the quantizer: integers where the multiply-adds are, close to the float graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import pytest
import torch

from bhar_export.graph.exported_model import exported_onnx
from bhar_export.graph.graph import to_onnx
from bhar_export.onnx.float_nodes import sensitive_nodes
from bhar_export.onnx.quantize import GraphQuantizer, integer_nodes, quantize
from bhar_export.quantization.calibration_clips import LabeledFeatures
from bhar_export.quantization.verify import run_exported
from bharsdk.bundle.bundle import Precision
from bharsdk.bundle.feature_config import FeatureConfig

Noise = Callable[[int], LabeledFeatures]
FEATURES = FeatureConfig(fps=12.0, frames=6)


class Graphs(torch.nn.Module):
    """The shapes of our layers: stacked and plain adjacencies, replicated edges, a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = torch.nn.Conv2d(7, 24, 1)
        self.temporal = torch.nn.Conv2d(8, 8, (5, 1))
        self.head = torch.nn.Linear(8, 3)
        self.register_buffer("stacked", torch.rand(3, 1, 25, 25) / 25)
        self.register_buffer("plain", torch.rand(21, 21) / 21)

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        body, hands = inputs["body"], inputs["hands"]
        x = self.enter(body[..., 0]).reshape(-1, 3, 8, 6, 25) @ self.stacked
        x = torch.nn.functional.leaky_relu(x.sum(1), 0.1)
        padded = torch.nn.functional.pad(x, (0, 0, 2, 2), mode="replicate")
        x = x + self.temporal(padded)
        y = self.enter(hands[..., 1])[:, :8] @ self.plain
        return self.head(x.mean((2, 3)) + y.mean((2, 3)))


@pytest.fixture(scope="module")
def graph() -> onnx.ModelProto:
    torch.manual_seed(3)
    return to_onnx(Graphs().eval(), FEATURES)


def test_only_what_reads_coordinates_multiplies_in_float(
    graph: onnx.ModelProto, noise: Noise
) -> None:
    clips = noise(40)
    model = quantize(graph, clips).SerializeToString()
    nodes = integer_nodes(model)
    assert len(nodes.float_compute) == 2  # the convolutions on the two inputs
    assert nodes.integer == 4
    exact = run_exported(exported_onnx(Precision.FP32, graph.SerializeToString()), clips)
    got = run_exported(exported_onnx(Precision.INT8, model), clips)
    error = np.linalg.norm(got - exact) / np.linalg.norm(exact - exact.mean(0))
    assert error < 0.1


def test_weights_stay_within_seven_bits_for_machines_without_vnni(
    graph: onnx.ModelProto, noise: Noise
) -> None:
    model = quantize(graph, noise(4))
    weights = [
        onnx.numpy_helper.to_array(t)
        for t in model.graph.initializer
        if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4 and t.dims[0] == 8
    ]
    assert weights
    assert max(int(np.abs(w.astype(int)).max()) for w in weights) <= 64


def test_the_same_clips_give_the_same_graph(graph: onnx.ModelProto, noise: Noise) -> None:
    clips = noise(4)
    a, b = (quantize(graph, clips).SerializeToString(deterministic=True) for _ in range(2))
    assert a == b


class Refined(torch.nn.Module):
    """A topology made from the sample, and motion made from positions."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = torch.nn.Conv2d(7, 8, 1)
        self.query = torch.nn.Conv2d(8, 8, 1)
        self.value = torch.nn.Conv2d(8, 8, 1)
        self.moving = torch.nn.Conv2d(7, 8, 1)

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        body, hands = inputs["body"], inputs["hands"]
        x = self.enter(body[..., 0])
        query = self.query(x.mean(2, keepdim=True))
        y = self.value(x) @ torch.tanh(query - query.transpose(2, 3))
        positions = hands[..., 0] * 2.0
        motion = self.moving(positions[:, :, 1:] - positions[:, :, :-1])
        return y.mean((2, 3)) + motion.mean((2, 3))


def test_topologies_and_motion_stay_float() -> None:
    model = to_onnx(Refined().eval(), FEATURES)
    floating = sensitive_nodes(model)
    left = [n.op_type for n in model.graph.node if n.name not in floating]
    kept = [n.op_type for n in model.graph.node if n.name in floating]
    assert left.count("Conv") == 1  # the values
    assert kept.count("Conv") == 3
    assert {"Tanh", "Sub", "MatMul"} <= set(kept)
    assert "Sub" not in left


class Attention(torch.nn.Module):
    """Random features of queries and keys, and the division by their sums."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = torch.nn.Conv2d(7, 8, 1)
        self.leave = torch.nn.Linear(8, 5)
        self.register_buffer("directions", torch.randn(8, 12))

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        body, hands = inputs["body"], inputs["hands"]
        x = self.enter(body[..., 0]).mean(2).transpose(1, 2)
        tokens = x.reshape(-1, 25, 8)
        features = torch.exp(tokens @ self.directions - tokens.square().sum(2, keepdim=True) / 2)
        summary = features.transpose(1, 2) @ tokens
        seen = features @ summary / (features @ features.sum(1)[..., None])
        return self.leave(seen).mean(1) + self.enter(hands[..., 0]).mean((1, 2, 3))[:, None]


def test_random_features_and_what_is_divided_by_them_stay_float() -> None:
    model = to_onnx(Attention().eval(), FEATURES)
    floating = sensitive_nodes(model)
    left = [n.op_type for n in model.graph.node if n.name not in floating]
    kept = [n.op_type for n in model.graph.node if n.name in floating]
    assert {"Exp", "Div"} <= set(kept)
    assert kept.count("MatMul") == 4
    assert {"Exp", "Div"} & set(left) == set()
    assert "Gemm" in left or "MatMul" in left  # what reads the attention


def test_the_small_form_says_nothing_twice_and_computes_the_same(
    graph: onnx.ModelProto, noise: Noise
) -> None:
    """The same nodes in integers; what computes in float has its weights in bytes too."""
    clips = noise(20)
    quantizer = GraphQuantizer(graph, clips)
    whole, small = (quantizer.quantized(small=small) for small in (False, True))
    constants = [
        (tensor.data_type, *tensor.dims, onnx.numpy_helper.to_array(tensor).tobytes())
        for tensor in small.graph.initializer
    ]
    assert len(constants) == len(set(constants))
    assert small.ByteSize() < whole.ByteSize()
    models = whole.SerializeToString(), small.SerializeToString()
    of_whole, of_small = map(integer_nodes, models)
    assert of_small.integer == of_whole.integer
    expected, got = (run_exported(exported_onnx(Precision.INT8, m), clips) for m in models)
    assert np.abs(got - expected).max() <= 0.02 * np.abs(expected).max()
