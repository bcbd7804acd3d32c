from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from bhar_training.evaluation.calibration import MIN_CLIPS, calibrate, fit_temperature, reject_below
from bharsdk.bundle.calibration import Calibration, probabilities
from bharsdk.errors import InputError


def _drawn(clips: int, seed: int = 0) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Logits [clips, 5] and truths drawn from their softmax: calibrated as they are."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (clips, 5))
    chance = random.random(clips)[:, None]
    return logits, (probabilities(logits).cumsum(axis=1) < chance).sum(axis=1)


@pytest.mark.parametrize("scale", [0.1, 0.5, 3.0, 20.0])
def test_the_temperature_undoes_a_scale(scale: float) -> None:
    """Logits that are calibrated, times a number: the temperature is about that number."""
    logits, truth = _drawn(5000)
    assert fit_temperature(logits * scale, truth) == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_the_temperature_is_that_of_a_search_by_brute_force(seed: int) -> None:
    """In float64: the least of 20,001 losses counted term by term."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (40, 6)).astype(np.float32)
    truth = np.where(random.random(40) < 0.6, logits.argmax(1), random.integers(0, 6, 40))
    target = np.full((40, 6), 1 / 42 / 5)
    target[np.arange(40), truth] = 41 / 42
    grid = np.exp(np.linspace(math.log(0.05), math.log(50), 20_001))
    losses = [-(target * np.log(probabilities(logits, t))).sum(1).mean() for t in grid]
    best = float(grid[int(np.argmin(losses))])
    assert fit_temperature(logits, truth) == pytest.approx(best, rel=1e-3)


def test_clips_that_are_all_recognized_are_not_certain() -> None:
    """Thirty of thirty right: about 31 of 32, as the rule of succession says, and no 1."""
    logits = np.eye(4)[np.arange(30) % 4] * 7.0
    temperature = fit_temperature(logits, np.arange(30) % 4)
    assert probabilities(logits, temperature).max(axis=1) == pytest.approx(31 / 32, abs=1e-4)


@pytest.mark.parametrize("keep", [0.01, 0.5, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("clips", [1, 7, 20, 100])
def test_the_threshold_keeps_the_part_it_states_and_no_higher_one_does(
    keep: float, clips: int
) -> None:
    """Counted over every confidence there is."""
    confidence = np.random.default_rng(clips).random(clips)
    threshold = reject_below(confidence, keep)
    able = [c for c in confidence if (confidence >= c).mean() >= keep - 1e-12]
    assert threshold == max(able)


def test_the_threshold_is_that_of_recognized_signs_alone() -> None:
    """Clips that are wrong, or that show no sign, do not lower it."""
    random = np.random.default_rng(1)
    truth = np.repeat([0, 1, 2], 10)
    logits = np.eye(3)[truth] * random.uniform(2, 4, (30, 1))
    logits[:10] *= 0.1  # background, unsure
    logits[10:13] = [[0.0, 0.0, 0.1]] * 3  # wrong, unsure
    found = calibrate(logits, truth, background=0, keep=1.0)
    said = probabilities(logits, found.temperature).max(axis=1)
    assert found.reject_below == said[13:].min()
    assert (
        calibrate(logits, truth, None, keep=1.0).reject_below == np.delete(said, [10, 11, 12]).min()
    )
    assert (found.clips, found.keep) == (30, 1.0)


def test_too_little_to_calibrate_on_is_refused() -> None:
    """Too few clips, none recognized, or a part that is none."""
    logits, truth = np.zeros((MIN_CLIPS - 1, 3)), np.zeros(MIN_CLIPS - 1, np.int64)
    with pytest.raises(InputError, match=f"got {MIN_CLIPS - 1} clips .* expected at least"):
        calibrate(logits, truth)
    logits, truth = np.eye(3)[[0] * MIN_CLIPS], np.ones(MIN_CLIPS, np.int64)
    with pytest.raises(InputError, match="no sign recognized"):
        calibrate(logits, truth)
    for keep in (0.0, 1.1, math.nan):
        with pytest.raises(InputError, match="got keep"):
            reject_below(np.ones(3), keep)


def test_softmax_is_that_of_float64_whatever_the_size_of_the_logits() -> None:
    """Term by term with Python's numbers; a huge logit does not overflow."""
    logits = np.array([1.5, -2.0, 0.25], np.float32)
    raised = [math.exp(float(x) / 0.7) for x in logits]
    assert probabilities(logits, 0.7) == pytest.approx([x / sum(raised) for x in raised], rel=1e-14)
    assert probabilities(np.array([[1e30, 0.0]], np.float32)).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    "values",
    [(0.0, 0.5, 9, 0.9), (math.nan, 0.5, 9, 0.9), (1.0, 1.5, 9, 0.9), (1.0, 0.5, 0, 0.9)],
)
def test_a_calibration_out_of_range_is_refused(values: tuple[float, float, int, float]) -> None:
    """So that a manifest or checkpoint with one does not load."""
    with pytest.raises(InputError, match="calibration: got"):
        Calibration(*values)
