"""No layer of training or export knows how many inputs there are, or their names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bhar_export.graph.graph import exported, logits_alone, of_parameters
from bhar_export.quantization.calibration_clips import LabeledFeatures
from bhar_export.quantization.verify import run_torch
from bhar_training.evaluation.evaluate import branches_of, logits_of
from bhar_training.models.action_model import ActionModel, Inputs
from bhar_training.models.embedding import WithEmbedding
from bhar_training.models.losses import complementary_loss
from bhar_training.training.distill import Teachers
from bhar_training.training.qat import QuantizedBranches
from bharsdk.engines.onnx_session import single_thread_session

SHAPES = {"body": (4, 6, 25, 1), "hands": (4, 6, 21, 2), "object": (4, 6, 1, 3)}


class _Three(ActionModel):
    """One linear layer on the mean of each input."""

    reads = tuple(SHAPES)

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(4, classes) for _ in SHAPES)

    def branches(self, inputs: Inputs) -> tuple[Tensor, ...]:
        found = [
            part(inputs[name].mean((2, 3, 4)))
            for part, name in zip(self.parts, self.reads, strict=True)
        ]
        return (torch.stack(found).mean(0), *found)

    def heads(self) -> tuple[nn.Module, ...]:
        return tuple(self.parts)

    def _fold(self) -> None:
        pass


class _Branches(nn.Module):
    def __init__(self, model: ActionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Inputs) -> tuple[Tensor, ...]:
        return self.model.branches(inputs)


@pytest.fixture(scope="module")
def model() -> _Three:
    torch.manual_seed(0)
    return _Three().eval()


@pytest.fixture(scope="module")
def inputs() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(1)
    return {name: torch.randn(18, *shape, generator=random) for name, shape in SHAPES.items()}


def test_every_input_is_scored_distilled_and_learned_from(
    model: _Three, inputs: dict[str, Tensor]
) -> None:
    """More clips than one batch; each branch has its own loss."""
    fused, *parts = branches_of(model, inputs)
    assert fused.shape == (18, 3)
    assert len(parts) == 3
    torch.testing.assert_close(logits_of(model, inputs), sum(parts) / 3)
    told = Teachers([model, model], [[0, 1, 2, 3]] * 2)(inputs)
    torch.testing.assert_close(told, fused)
    student, target = _Three(), torch.zeros(18, dtype=torch.int64)
    complementary_loss(student.branches(inputs), target, (0.0, 0.0, 0.0, 1.0), 0.0).backward()
    learned = [part.weight.grad.abs().max() > 0 for part in student.parts]
    assert learned == [False, False, True]


def test_rounding_measures_every_input(inputs: dict[str, Tensor]) -> None:
    """Near the plain branches, and not the same."""
    learner = QuantizedBranches(_Branches(_Three()), inputs).train()
    for rounded, plain in zip(learner(inputs), learner.plain(inputs), strict=True):
        assert 1e-6 < float((rounded - plain).detach().abs().max()) < 0.1


def test_the_graph_has_every_input_and_gives_the_same_logits(
    model: _Three, inputs: dict[str, Tensor]
) -> None:
    """By their names, in their order, with the embedding beside the logits."""
    names = tuple(SHAPES)
    example = tuple(x[:2] for x in inputs.values())
    module = of_parameters(WithEmbedding(model.deploy()).eval(), names)
    graph = exported(module, example, names, ["logits", "embedding"])
    assert [value.name for value in graph.graph.input] == list(names)
    session = single_thread_session(logits_alone(graph).SerializeToString())
    arrays = {name: x.numpy() for name, x in inputs.items()}
    with torch.no_grad():
        expected = model(inputs).numpy()
    (logits,) = session.run(["logits"], arrays)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_clips_hold_every_input(model: _Three, inputs: dict[str, Tensor]) -> None:
    """In batches, as a choice of clips, and with one of the inputs never detected."""
    arrays = {name: x.numpy() for name, x in inputs.items()}
    clips = LabeledFeatures("made", arrays, np.zeros(18, np.int64), ())
    batches = list(clips.batches(["object", "body"], 8))
    assert [list(batch) for batch in batches] == [["object", "body"]] * 3
    assert [len(batch["object"]) for batch in batches] == [8, 8, 2]
    chosen = clips.at(np.array([5, 3]))
    np.testing.assert_array_equal(chosen.inputs["object"], arrays["object"][[5, 3]])
    blind = clips.without("object")
    assert not blind.inputs["object"].any()
    np.testing.assert_array_equal(blind.inputs["hands"], arrays["hands"])
    logits = run_torch(model, clips)
    np.testing.assert_allclose(logits, logits_of(model, inputs).numpy(), atol=1e-6)
    assert np.abs(run_torch(model, blind) - logits).max() > 1e-3
