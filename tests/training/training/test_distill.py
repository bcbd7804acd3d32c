from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bhar_training.checkpoint import CheckpointMeta, save_checkpoint
from bhar_training.data.batches import input_specs
from bhar_training.data.clip_set import ClipSet
from bhar_training.models import ModelConfig, ModelName, build_model
from bhar_training.training.config import TrainConfig
from bhar_training.training.distill import DistillConfig, Teachers, distillation_loss
from bhar_training.training.trainer import fit
from bharsdk.bundle.feature_config import FeatureConfig, Modality
from bharsdk.errors import InputError

FEATURES = FeatureConfig(frames=6)


@pytest.fixture(scope="module")
def teacher(clips: ClipSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that holds an untrained PR-GCN."""
    torch.manual_seed(2)
    config = ModelConfig(ModelName.PR_GCN)
    meta = CheckpointMeta(config, FEATURES, clips.classes, "-", "words.npz", ("s1",), 24, 1, 2)
    run = tmp_path_factory.mktemp("teacher")
    save_checkpoint(run / "checkpoint", build_model(config, input_specs(FEATURES), 6), meta)
    return run


def test_the_loss_is_nothing_for_the_same_answer_and_has_the_gradient_of_its_formula() -> None:
    """T^2 KL; its gradient is T (softmax(student / T) - softmax(teacher / T)) / N."""
    torch.manual_seed(0)
    teacher = torch.randn(5, 4, dtype=torch.float64)
    assert float(distillation_loss(teacher, teacher, 3.0)) == pytest.approx(0, abs=1e-6)
    student = torch.randn(5, 4, requires_grad=True)
    distillation_loss(student, teacher, 3.0).backward()
    expected = 3.0 * ((student / 3).softmax(1) - (teacher / 3).softmax(1)) / 5
    torch.testing.assert_close(student.grad.double(), expected, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_teachers_answer_with_the_mean_of_their_logits() -> None:
    """In evaluation mode, folded."""
    torch.manual_seed(0)
    models = [
        build_model(ModelConfig(ModelName.PR_GCN), input_specs(FEATURES), 6).eval()
        for _ in range(2)
    ]
    inputs = {"body": torch.randn(2, 7, 6, 25, 1), "hands": torch.randn(2, 7, 6, 21, 2)}
    expected = (models[0](inputs) + models[1](inputs)) / 2
    teachers = Teachers(models, [list(range(7))] * 2)
    torch.testing.assert_close(teachers(inputs), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_teacher_reads_its_modalities_of_the_students_input(
    teacher: Path, clips: ClipSet
) -> None:
    """Joint and bone of joint-motion, bone, joint: whatever their order."""
    order = (Modality.JOINT_MOTION, Modality.BONE, Modality.JOINT)
    wide = replace(FEATURES, modalities=order)
    inputs = {"body": torch.randn(2, 10, 6, 25, 1), "hands": torch.randn(2, 10, 6, 21, 2)}
    own = [6, 7, 8, 3, 4, 5, 9]
    alone = Teachers.load((str(teacher),), clips.classes, FEATURES)
    expected = alone({name: x[:, own] for name, x in inputs.items()})
    found = Teachers.load((str(teacher),), clips.classes, wide)(inputs)
    torch.testing.assert_close(found, expected)
    with pytest.raises(InputError, match="teacher has features"):
        Teachers.load((str(teacher),), clips.classes, replace(wide, modalities=order[:2]))


def test_a_teacher_of_other_labels_or_features_is_refused(teacher: Path, clips: ClipSet) -> None:
    """It would teach nonsense without an error."""
    with pytest.raises(InputError, match="teacher has labels"):
        Teachers.load((str(teacher),), ("-", "yes"), FEATURES)
    with pytest.raises(InputError, match="teacher has features"):
        Teachers.load((str(teacher),), clips.classes, FeatureConfig(frames=8))
    with pytest.raises(InputError, match="no checkpoint"):
        Teachers.load((str(teacher / "nowhere"),), clips.classes, FEATURES)


def test_a_student_follows_its_teacher(teacher: Path, clips: ClipSet, tmp_path: Path) -> None:
    """With the labels out of the loss, its answers come nearer to the teacher's."""
    config = TrainConfig(
        ModelConfig(ModelName.PR_GCN), FEATURES, epochs=4, draws=0, batch_size=8, validation=0.0
    )
    distances = {}
    for weight in (0.0, 1.0):
        distill = DistillConfig((str(teacher),), weight=weight)
        out = tmp_path / str(weight)
        fit(clips, replace(config, distill=distill), out, trained_on="words.npz")
        student = Teachers.load((str(out),), clips.classes, FEATURES)
        told = Teachers.load((str(teacher),), clips.classes, FEATURES)
        torch.manual_seed(0)
        inputs = {"body": torch.randn(16, 7, 6, 25, 1), "hands": torch.randn(16, 7, 6, 21, 2)}
        distances[weight] = float(distillation_loss(student(inputs), told(inputs), 2.0))
    assert distances[1.0] < distances[0.0] / 2


@pytest.mark.parametrize("bad", [{"weight": 1.5}, {"weight": -0.1}, {"temperature": 0.0}])
def test_settings_out_of_range_are_bad_input(bad: dict[str, float]) -> None:
    """Named with what was expected."""
    with pytest.raises(InputError, match="distillation: got"):
        DistillConfig(**bad)
