"""Promises of the deployed graph: fixed names, any batch, nothing that stays float by nature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch

from bhar_export.graph.exported_model import exported_onnx
from bhar_export.graph.graph import check_graph, to_onnx
from bhar_export.quantization.calibration_clips import LabeledFeatures
from bhar_export.quantization.verify import run_exported, run_torch
from bhar_training.data.batches import input_specs
from bhar_training.models import ModelConfig, ModelName, build_model
from bhar_training.models.action_model import Inputs
from bharsdk.bundle.bundle import Precision
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.engines.onnx_session import single_thread_session
from bharsdk.errors import ParityError

FEATURES = FeatureConfig(fps=12.0, frames=6)


class Plain(torch.nn.Module):
    """The least that fits: one convolution on each input."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Conv2d(7, 4, 1)
        self.norm = torch.nn.BatchNorm2d(4)

    def forward(self, inputs: Inputs) -> torch.Tensor:
        body, hands = inputs["body"], inputs["hands"]
        y = self.norm(self.body(body[..., 0]) + self.body(hands[..., 0])[:, :, :, :1])
        return y.mean((2, 3))


class Einsum(Plain):
    def forward(self, inputs: Inputs) -> torch.Tensor:
        body, hands = inputs["body"], inputs["hands"]
        y = self.body(body[..., 0])
        return torch.einsum("nctv,nctw->nc", y, self.body(hands[..., 1]))


def test_names_opset_and_free_batch(noise: Callable[[int], LabeledFeatures]) -> None:
    torch.manual_seed(0)
    module = Plain().eval()
    module.norm = torch.nn.Identity()
    model = to_onnx(module, FEATURES)
    assert [i.name for i in model.graph.input] == ["body", "hands"]
    assert [o.name for o in model.graph.output] == ["logits"]
    assert model.opset_import[0].version == 18
    for clips in (1, 5):
        inputs = noise(clips)
        got = run_exported(exported_onnx(Precision.FP32, model.SerializeToString()), inputs)
        assert got == pytest.approx(run_torch(module, inputs), abs=1e-5)


def test_the_graph_tells_nothing_of_the_machine_that_made_it() -> None:
    module = Plain().eval()
    module.norm = torch.nn.Identity()
    assert __file__.encode() not in to_onnx(module, FEATURES).SerializeToString()


def test_einsum_is_refused_by_name() -> None:
    with pytest.raises(ParityError, match=r"Einsum in .*MatMul"):
        to_onnx(Einsum().eval(), FEATURES)


def test_batch_normalization_is_refused_by_name() -> None:
    with pytest.raises(ParityError, match="BatchNormalization"):
        to_onnx(Plain().eval(), FEATURES)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda g: setattr(g.input[0], "name", "x"), "expected some of"),
        (lambda g: g.input[0].type.tensor_type.shape.dim[0].Clear(), None),
        (
            lambda g: setattr(g.input[0].type.tensor_type.shape.dim[0], "dim_value", 1),
            "fixed batch",
        ),
    ],
)
def test_a_graph_with_other_inputs_is_refused(
    edit: Callable[[onnx.GraphProto], None], message: str | None
) -> None:
    nodes = [
        onnx.helper.make_node("ReduceMean", ["body"], ["a"], keepdims=0),
        onnx.helper.make_node("Add", ["hands", "a"], ["logits"]),
    ]
    value = onnx.helper.make_tensor_value_info
    single = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [value(name, single, ["N", 3]) for name in ("body", "hands")],
        [value("logits", single, ["N", 3])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    check_graph(model)
    if message == "expected some of":
        model.graph.node[0].input[0] = "x"
    edit(model.graph)
    if message is None:
        check_graph(model)
    else:
        with pytest.raises(ParityError, match=message):
            check_graph(model)


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [ModelName.BHARNET_E, ModelName.BHARNET_E_FULL, ModelName.BHARNET_P]
)
def test_causal_models_keep_a_free_batch(name: ModelName) -> None:
    """Any batch gives the same logits: a length read off a tensor in tracing would fix it."""
    torch.manual_seed(1)
    config = ModelConfig(name, window=FEATURES.frames)
    module = build_model(config, input_specs(FEATURES), 4).eval().deploy().eval()
    session = single_thread_session(to_onnx(module, FEATURES).SerializeToString())
    random = torch.Generator().manual_seed(0)
    shape = FEATURES.channels, FEATURES.frames
    body = torch.randn(3, *shape, 25, 1, generator=random)
    hands = torch.randn(3, *shape, 21, 2, generator=random)
    with torch.no_grad():
        expected = module({"body": body, "hands": hands}).numpy()
    (logits,) = session.run(["logits"], {"body": body.numpy(), "hands": hands.numpy()})
    assert np.abs(logits - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())
