"""Promises of quantization-aware training that the exported model keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bhar_export.graph.graph import deploy, to_onnx
from bhar_export.native.quantize import _bytes_of, _Writer
from bhar_export.onnx.quantize import quantize
from bhar_export.quantization.calibration_clips import LabeledFeatures
from bhar_export.quantization.ranges import Histogram, RangeMethod
from bhar_training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from bhar_training.cli import main
from bhar_training.data.batches import features_of
from bhar_training.data.clips import load_clips
from bhar_training.evaluation.evaluate import class_indices
from bhar_training.models.joined_prgcn import JoinedPRGCN
from bhar_training.training.qat import _range, rounded_weight
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.engines.fold_taps import MOST_INTEGER
from bharsdk.engines.onnx_session import single_thread_session

WORDS = Path(__file__).parents[1] / "data" / "words.npz"


@pytest.fixture(scope="module")
def clips(checkpoint: Path) -> LabeledFeatures:
    """Of signer s1, on whom the model was trained."""
    meta = load_checkpoint(checkpoint).meta
    words = load_clips(WORDS).of_signers(["s1"])
    inputs = {name: x.numpy() for name, x in features_of(words, meta.features).items()}
    truth = class_indices(words, meta.labels)
    return LabeledFeatures("words.npz", inputs, truth, ())


def _int8(checkpoint: Checkpoint, clips: LabeledFeatures) -> Tensor:
    """Logits [N, classes] of the INT8 graph, its ranges from these clips."""
    features = checkpoint.meta.features
    assert isinstance(features, FeatureConfig)
    graph = quantize(to_onnx(deploy(checkpoint.model), features), clips)
    session = single_thread_session(graph.SerializeToString())
    return torch.from_numpy(np.asarray(session.run(["logits"], dict(clips.inputs))[0]))


@pytest.fixture(scope="module")
def hard(
    checkpoint: Path, clips: LabeledFeatures, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same function, which eight bits cannot carry: one channel is a hundred times as large."""
    trained = load_checkpoint(checkpoint)
    assert isinstance(trained.model, JoinedPRGCN)
    inputs = {name: torch.from_numpy(array) for name, array in clips.inputs.items()}
    with torch.no_grad():
        exact = trained.model(inputs)
        first, second = trained.model.net.position[0], trained.model.net.position[1]
        for bn in (first.bn, first.residual[1]):
            bn.weight[0] *= 100
            bn.bias[0] *= 100
        for conv in (second.conv, second.residual[0]):
            conv.weight[:, 0] /= 100
        torch.testing.assert_close(trained.model(inputs), exact, rtol=1e-3, atol=1e-3)
    folder = tmp_path_factory.mktemp("qat") / "hard"
    save_checkpoint(folder, trained.model, trained.meta)
    return folder


def test_weights_and_inputs_are_rounded_as_the_exporter_rounds_them() -> None:
    """To the integer, for bharsdk's kernels; ONNX Runtime's weights are the same seven bits."""
    torch.manual_seed(0)
    layer = nn.Linear(32, 24)
    with torch.no_grad():
        layer.weight[3] *= 50
    weight = layer.weight.detach().numpy().T.copy()  # kernels take [inputs, outputs]
    writer = _Writer(weight.ravel())
    writer._quantized(weight, MOST_INTEGER)
    scales, integers = (
        np.frombuffer(writer.weights(), "<f4"),
        np.frombuffer(writer.integers(), np.int8).reshape(weight.shape),
    )
    rounded = rounded_weight(layer).detach().numpy().T
    np.testing.assert_allclose(rounded, integers * scales, rtol=0, atol=1e-6 * scales.max())
    for limits in ((-1.5, 2.0), (0.0, 6.0), (0.5, 3.0), (-4.0, -1.0)):
        least, most = min(limits[0], 0.0), max(limits[1], 0.0)
        found = _bytes_of(Histogram.of(np.float32(limits)), RangeMethod.MIN_MAX)
        assert found is not None
        assert _range(least, most) == (found.step, found.zero)


@pytest.mark.long
def test_a_model_that_eight_bits_cannot_carry_loses_less_after_it(
    hard: Path, clips: LabeledFeatures, tmp_path: Path
) -> None:
    """Its INT8 graph, by the cross entropy of clips that it was trained on."""
    tuned = tmp_path / "tuned"
    command = ["qat", str(hard), "--data", str(WORDS), "--signers", "s1", "--out", str(tuned)]
    assert main([*command, "--lr", "0.001"]) == 0
    before, after = (
        float(F.cross_entropy(_int8(load_checkpoint(run), clips), torch.from_numpy(clips.truth)))
        for run in (hard, tuned)
    )
    assert after < 0.75 * before
