from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from bhar_training.cli import main
from bhar_training.data.batches import input_layout
from bhar_training.data.clip_set import ClipSet
from bhar_training.models import BackboneName, ModelConfig, ModelName, build_model
from bhar_training.models.losses import complementary_loss
from bhar_training.training import trainer
from bhar_training.training.config import TrainConfig
from bhar_training.training.stages import stages_of
from bhar_training.training.trainer import fit
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import InputError

WORDS = str(Path(__file__).parents[2] / "data" / "words.npz")
CONFIG = TrainConfig(
    ModelConfig(ModelName.BHARNET_E_FULL, backbone=BackboneName.ST_GCN),
    FeatureConfig(frames=4),
    epochs=4,
    pretrain_epochs=2,
    draws=0,
    batch_size=6,
    validation=0.0,
)
WEIGHTS, STATE = "checkpoint/model.safetensors", "resume/state.safetensors"


def _stop_after(patch: pytest.MonkeyPatch, epochs: int) -> None:
    """Every call of ``fit`` is interrupted when it has trained so many epochs."""
    original, left = trainer._train_epoch, epochs

    def interrupted(*args: object) -> tuple[float, float]:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return original(*args)

    patch.setattr(trainer, "_train_epoch", interrupted)


def test_experts_learn_alone_and_then_all_learns(
    clips: ClipSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in each stage and between them, a run ends with the weights of an uninterrupted one.

    While the experts learn, the interactive branches keep the weights they were born with.
    """
    few, whole, parts = clips.take(range(6)), tmp_path / "whole", tmp_path / "parts"
    fit(few, CONFIG, whole, trained_on="words.npz")
    torch.manual_seed(CONFIG.seed)
    born = build_model(CONFIG.model, input_layout(CONFIG.features), len(few.classes)).state_dict()
    for epoch in range(1, 4):
        with monkeypatch.context() as patch:
            _stop_after(patch, 1)
            with pytest.raises(KeyboardInterrupt):
                fit(few, CONFIG, parts, trained_on="words.npz", resume=epoch > 1)
        same = {
            name for name, value in load_file(parts / WEIGHTS).items() if value.equal(born[name])
        }
        heads = {"body_interaction.head.weight", "hand_interaction.head.weight"}
        assert same >= heads if epoch <= CONFIG.pretrain_epochs else not same & heads
        assert not same & {"body.head.weight", "hand.head.weight"}
    assert fit(few, CONFIG, parts, trained_on="words.npz", resume=True).epoch == 4
    for name in (WEIGHTS, STATE):
        found, expected = load_file(parts / name), load_file(whole / name)
        assert found.keys() == expected.keys()
        for key, value in found.items():
            torch.testing.assert_close(value, expected[key], rtol=0, atol=0)
    with (parts / "curves.csv").open(newline="") as file:
        rates = [row["lr"] for row in csv.DictReader(file)]
    assert rates[:2] == rates[2:]  # each stage warms up


@pytest.mark.parametrize(
    "name", [ModelName.BHARNET_E, ModelName.BHARNET_E_FULL, ModelName.BHARNET_P]
)
def test_an_expert_alone_learns_from_its_own_loss(name: ModelName) -> None:
    """Its gradient is that of the cross-entropy of its own logits; nothing else has one."""
    torch.manual_seed(0)
    config = replace(CONFIG, model=replace(CONFIG.model, name=name), loss_weights=(1.0, 0.0, 0.0))
    model = build_model(config.model, input_layout(config.features), 3)
    stage, joint = stages_of(model, config, None)
    assert (stage.epochs, joint.epochs) == (range(2), range(2, 4))
    assert (joint.model, joint.loss_weights) == (model, config.loss_weights)
    body, hands = torch.randn(2, 7, 4, 25, 1), torch.randn(2, 7, 4, 21, 2)
    target = torch.tensor([0, 2])
    complementary_loss(stage.model.streams(body, hands), target, stage.loss_weights, 0.1).backward()
    found = {name: value.grad for name, value in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    for expert, seen in ((model.body, body), (model.hand, hands)):
        F.cross_entropy(expert(seen), target, label_smoothing=0.1).backward()
    for name, value in model.named_parameters():
        torch.testing.assert_close(found[name], value.grad, rtol=1e-4, atol=1e-6)


def test_a_model_of_one_stream_has_no_experts_to_train_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and the models that have; nothing is written."""
    command = ["fit", "--model", "pr-gcn", "--data", WORDS, "--out", str(tmp_path / "run")]
    assert main([*command, "--pretrain-epochs", "2"]) == 2
    assert "bharnet-e, bharnet-e-full, bharnet-p" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("epochs", [-1, 4])
def test_an_epoch_is_left_for_the_whole_model(epochs: int) -> None:
    """Named with what was expected."""
    with pytest.raises(InputError, match=f"got (pretrain_epochs )?{epochs}( epochs of 4|, exp)"):
        replace(CONFIG, pretrain_epochs=epochs)
