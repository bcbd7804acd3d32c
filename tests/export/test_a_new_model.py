"""What adding a model costs: one new file and one line, from training to a bundle that runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bhar_training
from bhar_training.data.clips import load_clips
from bharsdk.bundle.bundle import load_bundle
from bharsdk.engines.engine import Backend
from bharsdk.engines.golden_check import verify_bundle

WORDS = Path(__file__).parents[1] / "data" / "words.npz"

FILE = '''"""Classify the mean of each joint over the clip."""

from torch import nn

from bhar_training.models.action_model import ActionModel


class Toy(ActionModel):
    reads = ("body",)

    def __init__(self, values, classes):
        super().__init__()
        self.head = nn.Linear(values, classes)

    def branches(self, inputs):
        return (self.head(inputs["body"].mean(2).flatten(1)),)

    def heads(self):
        return (self.head,)

    def _fold(self):
        pass


def build(config, specs, classes):
    body = specs["body"]
    return Toy(body.channels * body.joints * body.persons, classes)
'''
LINE = '    TOY = "toy", "toy:build", False\n'
BEFORE = "\n    _value_: str\n"
"""The end of the table."""

TRAIN_AND_EXPORT = """
import sys
from pathlib import Path
from bhar_export.cli import main
from bhar_training.data.clips import load_clips
from bhar_training.models import ModelConfig, ModelName
from bhar_training.paper.describe import rows_of
from bhar_training.training.config import TrainConfig
from bhar_training.training.trainer import fit

words, out = Path(sys.argv[1]), Path(sys.argv[2])
config = TrainConfig(ModelConfig(ModelName("toy")), epochs=1, draws=0, batch_size=24)
fit(load_clips(words).of_signers(["s1"]), config, out / "run", trained_on="words.npz")
assert [row.name for row in rows_of("toy")] == ["toy as shipped"]
sys.exit(main([str(out / "run"), "--eval", str(words), "--output", str(out / "toy.bhar")]))
"""


def test_a_new_model_is_one_file_and_one_line(tmp_path: Path) -> None:
    """In a copy of the training package: one step of training, an ONNX bundle that replays."""
    copy = tmp_path / "bhar_training"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(bhar_training.__file__).parent, copy, ignore=ignored)
    (copy / "models" / "toy.py").write_text(FILE)
    table = copy / "models" / "config.py"
    text = table.read_text()
    assert text.count(BEFORE) == 1
    table.write_text(text.replace(BEFORE, LINE + BEFORE))
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    subprocess.run(
        [sys.executable, "-c", TRAIN_AND_EXPORT, str(WORDS), str(tmp_path)],
        check=True,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=600,
    )
    bundle = load_bundle(tmp_path / "toy.bhar")
    assert bundle.manifest.model == "toy"
    assert list(bundle.manifest.input_shapes) == ["body"]
    assert bundle.manifest.labels == load_clips(WORDS).classes
    assert verify_bundle(bundle, Backend.ONNX).max_abs_difference <= 1e-3
