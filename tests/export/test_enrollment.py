"""What an export leaves for enrollment is what the model computes, in every form that embeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bhar_export.cli import main
from bhar_export.graph.graph import deploy
from bhar_export.graph.spec import DataSpec
from bhar_export.quantization.calibration_clips import load_features
from bhar_training.checkpoint import load_checkpoint
from bhar_training.data.clips import load_clips
from bhar_training.models.embedding import WithEmbedding
from bharsdk import Recognizer
from bharsdk.bundle.bundle import ENROLLMENT_KNOWN, load_bundle
from bharsdk.engines.engine import Backend, embedding_engine, open_engine
from bharsdk.errors import BackendMissingError, BundleError

WORDS = Path(__file__).parents[1] / "data" / "words.npz"


@pytest.fixture(scope="module")
def float_bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The native network and the graph in float32; calibration clips for enrollment alone."""
    output = tmp_path_factory.mktemp("float") / "words.bhar"
    data = ["--calib", str(WORDS), "--calib-signers", "s1", "--target", "native"]
    assert main([str(checkpoint), *data, "--output", str(output)]) == 0
    return output


@pytest.mark.parametrize("backend", [Backend.ONNX, Backend.NATIVE])
def test_the_embedding_is_that_of_torch(
    checkpoint: Path, float_bundle: Path, backend: Backend
) -> None:
    loaded = load_checkpoint(checkpoint)
    clips = load_features(DataSpec(WORDS, ("s2",)), loaded.meta)
    batch, *_ = clips.batches(["body", "hands"])
    with torch.no_grad():
        inputs = (torch.from_numpy(batch[name]) for name in ("body", "hands"))
        expected = WithEmbedding(deploy(loaded.model)).eval()(*inputs)
    engine = embedding_engine(open_engine(load_bundle(float_bundle), backend))
    for got, wanted in zip(engine.embed(batch), expected, strict=True):
        assert got.shape == wanted.shape
        scale = float(wanted.abs().max())
        np.testing.assert_allclose(got, wanted.numpy(), atol=1e-5 * scale)


def test_known_samples_are_a_few_of_each_class(checkpoint: Path, float_bundle: Path) -> None:
    """Those of the calibration clips, as the network that ships computes them."""
    bundle = load_bundle(float_bundle)
    record = bundle.manifest.enrollment
    assert record is not None
    assert record.known == (4,) * 6  # what s1 has recorded of each
    assert len(bundle.files[ENROLLMENT_KNOWN]) < 100_000


@pytest.mark.parametrize("device", ["native", "onnx"])
def test_an_exported_bundle_takes_a_gesture(float_bundle: Path, device: str) -> None:
    """On either engine; the clips are of a word that it knows, whose label the warning names."""
    clips = load_clips(WORDS)
    mine = [
        clip
        for clip, label, signer in zip(clips.sequences, clips.labels, clips.signers, strict=True)
        if (label, signer) == ("tea", "s1")
    ]
    recognizer = Recognizer(float_bundle, backend=device)
    found = recognizer.enroll("chai", mine[:3])
    assert found.alike[:1] == ("tea",)
    assert recognizer.labels[-1] == "chai"


def test_an_int8_graph_embeds_as_its_float_one_nearly(
    checkpoint: Path, int8_bundle: Path, float_bundle: Path
) -> None:
    clips = load_features(DataSpec(WORDS, ("s2",)), load_checkpoint(checkpoint).meta)
    batch, *_ = clips.batches(["body", "hands"])
    both = [
        embedding_engine(open_engine(load_bundle(path), Backend.ONNX)).embed(batch)[1]
        for path in (int8_bundle, float_bundle)
    ]
    a, b = (embedding.ravel() for embedding in both)
    assert np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) > 0.98


def test_without_calibration_clips_a_bundle_takes_no_gestures(
    checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "bare.bhar"
    assert main([str(checkpoint), "--output", str(output)]) == 0
    bundle = load_bundle(output)
    assert bundle.manifest.enrollment is None
    clips = load_clips(WORDS).sequences[:3]
    with pytest.raises(BundleError, match="--calib"):
        Recognizer(bundle).enroll("wave", clips)


def test_engines_of_logits_alone_say_what_gives_features(every_target: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra 'tflite'")
    engine = open_engine(load_bundle(every_target), Backend.TFLITE)
    with pytest.raises(BackendMissingError, match="--backend native"):
        embedding_engine(engine)
