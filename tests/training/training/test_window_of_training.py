"""Training on long clips against training on the same signs, trimmed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bhar_training.data.augment import AugmentConfig
from bhar_training.data.batches import features_of, training_batches
from bhar_training.data.clip_set import ClipSet
from bhar_training.data.clips import load_clips
from bhar_training.evaluation.evaluate import class_indices
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.landmarks.landmarks import LandmarkSequence

ROOT = Path(__file__).parents[3]
WORDS = ROOT.parent / "shared" / "data" / "traduttore" / "words.npz"
FEATURES = FeatureConfig()


def _long(clips: ClipSet, seed: int) -> ClipSet:
    """Every clip between two idle ones of the set: 20 frames of each, 4 s."""
    random = np.random.default_rng(seed)
    idle = [clip for clip, label in zip(clips.sequences, clips.labels, strict=True) if label == "-"]
    made = []
    for clip in clips.sequences:
        before, after = (idle[i] for i in random.integers(len(idle), size=2))
        made.append(
            LandmarkSequence(
                np.arange(60) * (1000 / 15),
                np.concatenate([before.body, clip.body, after.body]),
                np.concatenate([before.hands, clip.hands, after.hands]),
                clip.aspect,
            )
        )
    return replace(clips, sequences=tuple(made))


def _top1(train: ClipSet, test: ClipSet, epochs: int = 4) -> float:
    """Of a small network of hands alone that is trained as any model is; percent."""
    torch.manual_seed(0)
    classes = train.classes
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(64), nn.ReLU(), nn.Linear(64, len(classes)))
    optimizer = None
    for epoch in range(epochs):
        batches = training_batches(
            train, classes, FEATURES, AugmentConfig(), 32, "-", (0, epoch), 600
        )
        for inputs, target in batches:
            loss = F.cross_entropy(model(inputs["hands"]), target)
            optimizer = optimizer or torch.optim.Adam(model.parameters(), 1e-3)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        said = model(features_of(test, FEATURES)["hands"]).argmax(1).numpy()
    return 100 * float((said == class_indices(test, classes)).mean())


@pytest.mark.long
@pytest.mark.skipif(not WORDS.exists(), reason="needs the recordings in ../shared")
def test_long_clips_train_about_as_well_as_trimmed_ones() -> None:
    """Both are tested on trimmed clips of another signer, and on long ones of the same."""
    words = load_clips(WORDS)
    mine, other = words.of_signers(["s2"]), words.of_signers(["s1"])
    train = mine.take(range(0, len(mine), 3))
    trimmed = _top1(train, other)
    print(f"\ntrained on trimmed clips: top-1 {trimmed:.1f} % of another signer's")
    long = _top1(_long(train, 0), other)
    print(f"trained on 4 s clips:     top-1 {long:.1f} %")
    held_out = _long(mine.take(range(1, len(mine), 9)), 1)
    same = _top1(_long(train, 0), held_out)
    print(f"the same, on 4 s clips of the same signer: {same:.1f} %")
    assert long >= trimmed - 8
    assert same >= 85
