"""Promises of how enrollment is scored: strangers, other clips, the model's own labels beside."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bhar_training.checkpoint import Checkpoint, CheckpointMeta, save_checkpoint
from bhar_training.cli import main
from bhar_training.cli.enrollment import ROWS
from bhar_training.data.batches import features_of, input_specs
from bhar_training.data.clip_set import ClipSet
from bhar_training.data.clips import load_clips
from bhar_training.evaluation.evaluate import class_indices
from bhar_training.models import ModelConfig, ModelName, build_model
from bhar_training.models.embedding import WithEmbedding
from bhar_training.paper.enrollment import score_enrollment
from bhar_training.paper.recipes import ENROLLMENTS
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import InputError, UsageError

WORDS = Path(__file__).parents[2] / "data" / "words.npz"
FEATURES = FeatureConfig(fps=12.0, frames=12)
LABELS = ("-", "coffee", "hello", "no", "please")
NEW = "tea"


@pytest.fixture(scope="module")
def words() -> ClipSet:
    return load_clips(WORDS)


@pytest.fixture(scope="module")
def checkpoint(words: ClipSet) -> Checkpoint:
    """Trained for a moment on s1, without one word."""
    torch.manual_seed(5)
    torch.set_num_threads(1)
    config = ModelConfig(ModelName.PR_GCN)
    model = build_model(config, input_specs(FEATURES), len(LABELS))
    mine = words.of_signers(["s1"])
    clips = mine.where(lambda i: mine.labels[i] != NEW)
    inputs = features_of(clips, FEATURES)
    truth = torch.from_numpy(class_indices(clips, LABELS))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), truth).backward()
        optimizer.step()
    meta = CheckpointMeta(config, FEATURES, LABELS, "-", "words.npz", ("s1",), len(clips), 1, 5)
    return Checkpoint(model.eval(), meta)


def test_a_word_left_out_of_training_is_enrolled_and_scored_beside_the_others(
    checkpoint: Checkpoint, words: ClipSet
) -> None:
    """The same draws, the same figures; what the model knew before is its own top-1."""
    train, stranger = words.of_signers(["s1"]), words.of_signers(["s2"])
    found, asked = score_enrollment(checkpoint, train, stranger, shots=3, draws=3)
    assert (found, asked) == score_enrollment(checkpoint, train, stranger, shots=3, draws=3)
    assert found.gestures == asked.gestures == (NEW,)
    known = stranger.where(lambda i: stranger.labels[i] != NEW)
    with torch.no_grad():
        said = checkpoint.model(features_of(known, FEATURES)).argmax(1).numpy()
    own = 100 * float((said == class_indices(known, LABELS)).mean())
    assert found.known_before == pytest.approx(own)
    assert 0 <= found.new_top1 <= 100
    for score in (found, asked):
        assert score.known_before - score.known_after <= sum(score.lost.values())


def test_clips_to_score_must_be_left(checkpoint: Checkpoint, words: ClipSet) -> None:
    train, stranger = words.of_signers(["s1"]), words.of_signers(["s2"])
    with pytest.raises(InputError, match=r"'tea': 4}, expected more than 4"):
        score_enrollment(checkpoint, train, stranger, shots=4)
    known = stranger.where(lambda i: stranger.labels[i] != NEW)
    with pytest.raises(InputError, match=r"got clips of new labels \{\}"):
        score_enrollment(checkpoint, train, known)


def test_the_rows_of_the_command_are_the_recipes() -> None:
    """And nobody who trains one enrolls in it."""
    assert tuple(ENROLLMENTS) == ROWS
    for recipe in ENROLLMENTS.values():
        assert not set(recipe.fold.train) & set(recipe.fold.test)


def test_whoever_trained_the_model_is_no_stranger(
    checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(tmp_path, checkpoint.model, checkpoint.meta)
    command = ["enrollment", str(tmp_path), "--data", str(WORDS), "--person"]
    assert main([*command, "s1"]) == 3
    assert "who trained the model" in capsys.readouterr().err
    assert main(command[:-1]) == 2
    assert "--data and --person, or --row" in capsys.readouterr().err
    assert main([*command, "s2", "--shots", "3", "--draws", "1"]) == 0
    assert "new labels, top-1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "width"),
    [
        (ModelName.PR_GCN, 256),
        (ModelName.BHARNET_E, 512),
        (ModelName.BHARNET_E_FULL, 1024),
        (ModelName.HAND_EXPERT, 256),
    ],
)
def test_the_embedding_is_as_wide_as_all_heads_together(name: ModelName, width: int) -> None:
    """And the logits beside it are the model's."""
    torch.manual_seed(0)
    model = build_model(ModelConfig(name), input_specs(FEATURES), 4).eval().deploy()
    shape = 2, FEATURES.channels, FEATURES.frames
    inputs = {"body": torch.randn(*shape, 25, 1), "hands": torch.randn(*shape, 21, 2)}
    with torch.no_grad():
        logits, embedding = WithEmbedding(model)(inputs)
        torch.testing.assert_close(logits, model(inputs))
    assert embedding.shape == (2, width)


def test_what_never_pools_has_no_embedding() -> None:
    model = build_model(ModelConfig(ModelName.BHARNET_P), input_specs(FEATURES), 4)
    with pytest.raises(UsageError, match="BHaRNetP, which pools no features"):
        WithEmbedding(model)
