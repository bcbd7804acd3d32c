"""Promises of the answers that evaluation counts: numerics against float64 written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from bhar_training.checkpoint import Checkpoint, CheckpointMeta
from bhar_training.data.batches import features_of, input_specs
from bhar_training.data.clip_set import ClipSet
from bhar_training.evaluation.evaluate import (
    answers,
    class_indices,
    evaluate,
    evaluate_unknown,
    split_unknown,
)
from bhar_training.models import Fusion, ModelConfig, ModelName, build_model
from bharsdk.bundle.calibration import Calibration
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import InputError, UsageError

FEATURES = FeatureConfig(frames=6)


def _checkpoint(clips: ClipSet, seed: int, calibration: Calibration | None = None) -> Checkpoint:
    """Fresh weights."""
    torch.manual_seed(seed)
    config = ModelConfig(ModelName.PR_GCN)
    model = build_model(config, input_specs(FEATURES), len(clips.classes)).eval()
    meta = CheckpointMeta(
        model=config,
        features=FEATURES,
        labels=clips.classes,
        background="-",
        trained_on="nothing",
        signers=(),
        clips=0,
        epoch=0,
        seed=seed,
        calibration=calibration,
    )
    return Checkpoint(model, meta)


def _logits(checkpoint: Checkpoint, clips: ClipSet) -> npt.NDArray[np.float64]:
    with torch.no_grad():
        return checkpoint.model(features_of(clips, FEATURES)).double().numpy()


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def _calibration(temperature: float, reject_below: float = 0.5) -> Calibration:
    return Calibration(temperature, reject_below, clips=30, keep=0.95)


def test_a_stored_calibration_is_applied_and_what_it_changed_is_told(clips: ClipSet) -> None:
    """Errors before and after, accepted part and accuracy on it, counted clip by clip."""
    plain = _checkpoint(clips, 0)
    logits, truth = _logits(plain, clips), class_indices(clips, clips.classes)
    said = _softmax(logits / 0.2)
    threshold = float(np.median(said.max(axis=1)))
    found = evaluate([_checkpoint(clips, 0, _calibration(0.2, threshold))], clips)
    before = evaluate([plain], clips)
    assert found.uncalibrated_error == before.calibration_error
    assert (before.uncalibrated_error, before.acceptance) == (None, None)
    np.testing.assert_array_equal(found.confusion, before.confusion)
    gaps = np.zeros(15)
    for row, label in zip(said, truth, strict=True):
        gaps[int(np.ceil(15 * row.max())) - 1] += row.max() - (row.argmax() == label)
    assert found.calibration_error == pytest.approx(np.abs(gaps).sum() / len(truth), abs=1e-5)
    kept = [i for i in range(len(clips)) if said[i].max() >= threshold]
    assert found.acceptance is not None
    assert found.acceptance.part == len(kept) / len(clips) == 0.5
    idle = [i for i in range(len(clips)) if clips.labels[i] == "-"]
    assert found.of_background is not None
    through = [i for i in kept if i in idle and said[i].argmax() != 0]
    assert found.of_background.accepted == len(through) / len(idle)
    assert found.of_background.as_sign == 1 - found.recalls["-"]
    right = np.mean([said[i].argmax() == truth[i] for i in kept])
    assert found.acceptance.top1 == right


def test_without_calibration_the_logits_are_those_of_the_model(clips: ClipSet) -> None:
    """To the bit, alone and as an ensemble of which only some are calibrated."""
    plain = _checkpoint(clips, 0)
    alone = answers([plain], clips)
    assert alone.logits is alone.raw
    assert not alone.calibrated
    other = _checkpoint(clips, 1)
    mixed = answers([plain, _checkpoint(clips, 1, _calibration(3.0))], clips)
    np.testing.assert_array_equal(mixed.logits, answers([plain, other], clips).raw)
    assert (mixed.calibrated, mixed.reject_below) == (False, None)


@pytest.mark.parametrize("fusion", list(Fusion))
def test_an_ensemble_that_is_calibrated_is_fused_at_its_temperatures(
    clips: ClipSet, fusion: Fusion
) -> None:
    """Each member's logits by its own temperature, written out; it has no threshold."""
    members = [_checkpoint(clips, s, _calibration(t)) for s, t in ((0, 0.3), (1, 2.0))]
    scaled = [_logits(m, clips) / t for m, t in zip(members, (0.3, 2.0), strict=True)]
    if fusion is Fusion.MEAN:
        expected = (scaled[0] + scaled[1]) / 2
    else:
        expected = np.log(1 - (1 - _softmax(scaled[0])) * (1 - _softmax(scaled[1])))
    found = answers(members, clips, fusion)
    np.testing.assert_allclose(found.logits, expected, atol=1e-4)
    assert (found.calibrated, found.reject_below) == (True, None)
    assert evaluate(members, clips, fusion).acceptance is None


def test_checkpoints_of_other_labels_and_no_clips_are_refused(clips: ClipSet) -> None:
    """Whatever is asked of them."""
    one = _checkpoint(clips, 0)
    other = Checkpoint(one.model, replace(one.meta, labels=("-", "a", "b", "c", "d", "e")))
    with pytest.raises(InputError, match="expected those of the first checkpoint"):
        answers([one, other], clips)
    with pytest.raises(InputError, match="got no clips"):
        answers([one], clips.take([]))


def test_false_accepts_are_those_of_the_calibrated_model(clips: ClipSet) -> None:
    """Counted clip by clip in float64; without a calibration nothing is rejected."""
    known, strange = split_unknown(clips, ("-", "coffee", "hello", "no", "please"), ["tea"])
    said = _softmax(_logits(_checkpoint(known, 0), strange) / 0.2)
    as_sign = said.argmax(axis=1) != 0
    threshold = float(np.sort(said.max(axis=1))[[1, 2]].mean())  # between two clips
    found = evaluate_unknown([_checkpoint(known, 0, _calibration(0.2, threshold))], strange)
    assert found.clips == 4
    assert found.as_sign == as_sign.mean()
    assert found.accepted == (as_sign & (said.max(axis=1) >= threshold)).mean()
    plain = evaluate_unknown([_checkpoint(known, 0)], strange)
    assert (plain.as_sign, plain.accepted) == (found.as_sign, None)


def test_unknown_labels_are_told_from_known_ones(clips: ClipSet) -> None:
    """Named, or all that the model does not have; the rest stays to be scored."""
    labels = ("-", "coffee", "hello", "no")
    known, strange = split_unknown(clips, labels, ["tea"])
    assert (set(known.labels), set(strange.labels)) == ({*labels, "please"}, {"tea"})
    known, strange = split_unknown(clips, labels, ["all"])
    assert (set(known.labels), set(strange.labels)) == (set(labels), {"please", "tea"})
    with pytest.raises(UsageError, match="got 'coffee', which the model knows"):
        split_unknown(clips, labels, ["tea", "coffee"])
    for wanted, others in ((["dance"], "please"), (["all"], r"\[\]")):
        has = labels if wanted == ["dance"] else clips.classes
        with pytest.raises(InputError, match=f"got {wanted[0]}, expected labels .*{others}"):
            split_unknown(clips, has, wanted)
