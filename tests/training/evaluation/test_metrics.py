from __future__ import annotations

import math

import numpy as np
import pytest

from bhar_training.evaluation.metrics import (
    FalseAccepts,
    acceptance,
    expected_calibration_error,
    false_accepts,
    report,
)

LABELS = ("-", "no", "tea", "yes")
# Truth: five "-", three "no", two "tea", no "yes".
TRUTH = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2])
GUESS = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 3, 1, 1, 2, 2, 2]]


def test_figures_match_a_count_by_hand() -> None:
    """Seven of ten right; recalls 3/5, 2/3, 2/2; "yes" does not occur."""
    found = report(TRUTH, GUESS, LABELS, "-")
    expected = [[3, 1, 0, 1], [0, 2, 1, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(found.confusion, expected)
    assert found.top1 == pytest.approx(0.7)
    recalls = found.recalls
    assert math.isnan(recalls.pop("yes"))
    assert recalls == pytest.approx({"-": 3 / 5, "no": 2 / 3, "tea": 1.0})


def test_precisions_match_a_count_by_hand() -> None:
    """Of three, three, three and one that were taken for a label; none is NaN."""
    precisions = report(TRUTH, GUESS, LABELS, "-").precisions
    assert precisions == pytest.approx({"-": 1.0, "no": 2 / 3, "tea": 2 / 3, "yes": 0.0})
    never = report(TRUTH, GUESS[:, [0, 0, 0, 0]], LABELS, "-").precisions
    assert math.isnan(never["tea"])


def test_the_recall_of_signs_leaves_the_background_out() -> None:
    """(2/3 + 1) / 2; without a background label "-" is a sign like others."""
    assert report(TRUTH, GUESS, LABELS, "-").macro_recall_signs == pytest.approx(5 / 6)
    mean = (3 / 5 + 2 / 3 + 1) / 3
    assert report(TRUTH, GUESS, LABELS, None).macro_recall_signs == pytest.approx(mean)


def test_the_calibration_error_matches_a_count_by_hand() -> None:
    """Three bins hold clips: sure and right, sure and half right, unsure and wrong."""
    confidence = [1.0, 1.0, 0.9, 0.9, 0.5]
    probabilities = np.array([[c, 1 - c] for c in confidence], np.float32)
    truth = np.array([0, 0, 0, 1, 1])
    found = expected_calibration_error(truth, probabilities)
    assert found == pytest.approx((0 + 2 * 0.4 + 0.5) / 5, abs=1e-6)


def test_even_guesses_that_are_right_as_often_as_they_say_are_calibrated() -> None:
    """Logits of four equal classes, one of which is right: no error."""
    truth = np.array([0, 1, 2, 3] * 5)
    found = report(truth, np.zeros((20, 4), np.float32), LABELS, None)
    assert found.calibration_error == pytest.approx(0, abs=1e-6)


SAID = np.array([[0.9, 0.05, 0.05], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.6, 0.2]])


def test_accepted_clips_and_their_accuracy_match_a_count_by_hand() -> None:
    """A confidence at the threshold is accepted; where none is, there is no accuracy."""
    found = acceptance(np.array([0, 1, 1, 2]), SAID, 0.6)
    assert (found.part, found.top1) == pytest.approx((3 / 4, 2 / 3))
    assert math.isnan(acceptance(np.array([0, 1, 1, 2]), SAID, 1.0).top1)


def test_false_accepts_match_a_count_by_hand() -> None:
    """Class 0 means no sign: two clips answered as a sign, one of them sure."""
    assert false_accepts(SAID, 0, 0.7) == FalseAccepts(4, 2 / 4, 1 / 4)
    assert false_accepts(SAID, 0, 0.6).part == 2 / 4
    assert false_accepts(SAID, 0, None) == FalseAccepts(4, 2 / 4, None)
    assert false_accepts(SAID, 0, None).part == 2 / 4


def test_without_a_background_whatever_is_not_rejected_is_a_false_accept() -> None:
    """All four are answered as signs; three are sure of at least 0.6."""
    assert false_accepts(SAID, None, 0.6) == FalseAccepts(4, 1.0, 3 / 4)
