"""A model of the hands alone, or of the body alone, ships as one of both does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from bhar_export.cli import main
from bhar_export.onnx.quantize import GraphQuantizer
from bhar_training.checkpoint import CheckpointMeta, load_checkpoint, save_checkpoint
from bhar_training.data.batches import features_of, input_specs
from bhar_training.data.clip_set import ClipSet
from bhar_training.data.clips import load_clips
from bhar_training.evaluation.evaluate import class_indices
from bhar_training.models import BackboneName, ModelConfig, ModelName, build_model
from bharsdk import Recognizer
from bharsdk.bundle.bundle import GOLDEN, load_bundle
from bharsdk.bundle.feature_config import FeatureConfig, ModelInput
from bharsdk.engines.engine import open_engine
from bharsdk.engines.golden_check import verify_bundle
from bharsdk.errors import InputError
from bharsdk.events import Event
from bharsdk.landmarks.landmarks import LandmarkSequence

WORDS = Path(__file__).parents[1] / "data" / "words.npz"
FEATURES = FeatureConfig(fps=6.0, frames=6)


@pytest.fixture(scope="module")
def clips() -> ClipSet:
    """24 real clips of signer s1, in which both body and hands are seen."""
    return load_clips(WORDS).of_signers(["s1"])


def _trained(clips: ClipSet, config: ModelConfig, folder: Path) -> Path:
    """A checkpoint that was trained for a moment: it knows these clips, and little else."""
    torch.manual_seed(5)
    torch.set_num_threads(1)
    model = build_model(config, input_specs(FEATURES), len(clips.classes))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 0.5  # its averages must follow within a few steps
    inputs, truth = features_of(clips, FEATURES), class_indices(clips, clips.classes)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(10):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs), torch.from_numpy(truth))
        loss.backward()
        optimizer.step()
    meta = CheckpointMeta(
        config, FEATURES, clips.classes, "-", "words.npz", ("s1",), len(clips), epoch=1, seed=5
    )
    save_checkpoint(folder, model.eval(), meta)
    return folder


@pytest.fixture(scope="module")
def hand_checkpoint(clips: ClipSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DeGCN on both hands."""
    config = ModelConfig(ModelName.HAND_EXPERT)
    return _trained(clips, config, tmp_path_factory.mktemp("hand") / "checkpoint")


@pytest.fixture(scope="module")
def hand_bundle(hand_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its INT8 bundle."""
    path = tmp_path_factory.mktemp("export") / "hands.bhar"
    data = ["--int8", "--calib", WORDS, "--calib-signers", "s1", "--max-drop", 5]
    assert main([str(hand_checkpoint), *map(str, data), "--output", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def body_bundle(clips: ClipSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The float32 bundle of a body expert, made of ST-GCN for speed."""
    folder = tmp_path_factory.mktemp("body")
    config = ModelConfig(ModelName.BODY_EXPERT, backbone=BackboneName.ST_GCN)
    checkpoint = _trained(clips, config, folder / "checkpoint")
    assert main([str(checkpoint), "--eval", str(WORDS), "--output", f"{folder}/body.bhar"]) == 0
    return folder / "body.bhar"


@pytest.fixture(scope="module")
def recording(clips: ClipSet) -> LandmarkSequence:
    """One clip of each sign, no sign in between, 200 frames at 15 a second."""
    found = {label: clips.where(lambda i, x=label: clips.labels[i] == x) for label in clips.classes}
    strung = [
        part.to_flat()
        for label in clips.classes
        if label != "-"
        for part in (found[label].sequences[1], found["-"].sequences[0])
    ]
    return LandmarkSequence.from_flat(np.concatenate(strung), fps=15.0)


def _without(sequence: LandmarkSequence, part: str) -> LandmarkSequence:
    """The same recording with body or hands never detected."""
    return sequence.replaced(**{part: np.full_like(getattr(sequence, part), np.nan)})


def _events(bundle: Path, sequence: LandmarkSequence) -> list[Event]:
    stream = Recognizer(bundle).stream()
    events = [event for frame in sequence.frames() for event in stream.push(frame)]
    return events + stream.flush()


def test_the_graph_has_only_the_inputs_that_it_reads(hand_bundle: Path, body_bundle: Path) -> None:
    """What the manifest names, the graph has, and the golden data too: nothing else."""
    for path, name in ((hand_bundle, "hands"), (body_bundle, "body")):
        bundle = load_bundle(path)
        assert bundle.manifest.inputs == (ModelInput(name),)
        assert [value.name for value in onnx.load_from_string(bundle.model).graph.input] == [name]
        golden = {file for file in bundle.files if file in GOLDEN.values()}
        assert golden == {GOLDEN[name], GOLDEN["logits"]}


def test_the_golden_logits_replay(hand_bundle: Path, body_bundle: Path) -> None:
    """A bundle of one input proves itself as every other does."""
    for path in (hand_bundle, body_bundle):
        result = verify_bundle(load_bundle(path))
        assert (result.clips, result.max_abs_difference) == (3, 0)


def test_the_engine_passes_over_what_the_graph_does_not_read(
    hand_bundle: Path, clips: ClipSet
) -> None:
    """The body may be given or not; the hands are asked for by name."""
    inputs = features_of(clips, FEATURES)
    body, hands = inputs["body"].numpy(), inputs["hands"].numpy()
    engine = open_engine(load_bundle(hand_bundle))
    both = engine.run({"body": body, "hands": hands})
    np.testing.assert_array_equal(engine.run({"hands": hands}), both)
    with pytest.raises(InputError, match="hands is missing"):
        engine.run({"body": body})


def test_the_int8_hand_expert_says_what_its_checkpoint_says(
    hand_bundle: Path, hand_checkpoint: Path, clips: ClipSet
) -> None:
    """Quantized and without its second input it still knows the clips."""
    inputs = features_of(clips, FEATURES)
    with torch.no_grad():
        expected = load_checkpoint(hand_checkpoint).model(inputs).argmax(1).numpy()
    got = open_engine(load_bundle(hand_bundle)).run({"hands": inputs["hands"].numpy()}).argmax(1)
    assert (got == expected).mean() >= 0.95
    report = load_bundle(hand_bundle).report
    assert set(report["decides"].values()) == {"hands"}
    forms = report["forms"]
    assert forms["onnx-fp32"]["difference"]["largest"] <= 1e-4
    assert forms["onnx-int8"]["drop_points"] <= 5
    assert forms["onnx-int8"]["nodes"]["integer"] > 50


@pytest.mark.long
def test_int8_of_one_input_must_pass_the_gate_too(
    hand_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A graph that was spoilt is counted, and refused: exit 6, and no file."""
    quantized = GraphQuantizer.quantized

    def spoilt(self: GraphQuantizer, *arguments: Any, **more: Any) -> onnx.ModelProto:
        graph = quantized(self, *arguments, **more)
        (logits,) = (node for node in graph.graph.node if "logits" in node.output)
        for tensor in graph.graph.initializer:
            # What the last node is given: the scale of its bytes.
            if tensor.name in logits.input and tensor.data_type == onnx.TensorProto.FLOAT:
                zeros = np.zeros_like(onnx.numpy_helper.to_array(tensor))
                tensor.CopyFrom(onnx.numpy_helper.from_array(zeros, tensor.name))
        return graph

    monkeypatch.setattr(GraphQuantizer, "quantized", spoilt)
    output = tmp_path / "hands.bhar"
    data = ["--int8", "--calib", WORDS, "--eval", WORDS, "--eval-signers", "s1"]
    assert main([str(hand_checkpoint), *map(str, data), "--output", str(output)]) == 6
    assert "int8 loses" in capsys.readouterr().err
    assert not output.exists()


def test_a_model_of_hands_needs_no_body(hand_bundle: Path, recording: LandmarkSequence) -> None:
    """Frames of hands alone give the events of whole frames, to the last digit."""
    events = _events(hand_bundle, recording)
    assert len({event.label for event in events}) >= 3
    assert _events(hand_bundle, _without(recording, "body")) == events


def test_a_body_without_hands_is_nobody_to_a_model_of_hands(
    hand_bundle: Path, recording: LandmarkSequence
) -> None:
    """No hand, no event, and the model is not even asked."""
    stream = Recognizer(hand_bundle).stream()
    for frame in _without(recording, "hands").frames():
        assert stream.push(frame) == []
        assert stream.stages.action_ms == 0
    assert stream.probabilities is not None
    assert stream.probabilities.max() == 1.0  # all of it on "-"
    assert stream.flush() == []


def test_a_model_of_the_body_needs_no_hands(body_bundle: Path, recording: LandmarkSequence) -> None:
    """Presence is the body's; without one nobody is there, whatever the hands do."""
    events = _events(body_bundle, recording)
    assert events
    assert _events(body_bundle, _without(recording, "hands")) == events
    assert _events(body_bundle, _without(recording, "body")) == []


def test_the_card_says_what_must_be_in_view(hand_bundle: Path, body_bundle: Path) -> None:
    """Nobody should have to step back for a model of hands."""
    assert "of the hands alone" in load_bundle(hand_bundle).model_card
    assert "person, hands in view" in load_bundle(hand_bundle).model_card
    assert "upper body in view" in load_bundle(body_bundle).model_card
