from __future__ import annotations

import numpy as np
import pytest

from bharsdk.bundle.feature_config import FeatureConfig, ModelInput
from bharsdk.errors import InputError
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.recognition.features import extract
from bharsdk.recognition.window import INITIAL_FRAMES, Hop, LandmarkWindow

CONFIG = FeatureConfig()


def _window() -> LandmarkWindow:
    return LandmarkWindow(CONFIG, restart_gap_s=0.5)


def test_the_ring_holds_the_end_of_the_recording_bit_for_bit(recording: LandmarkSequence):
    window = _window()
    for i, frame in enumerate(recording.frames()):
        window.push(frame)
        kept, stop = window.sequence(), i + 1
        start = stop - len(kept)
        np.testing.assert_array_equal(kept.timestamps_ms, recording.timestamps_ms[start:stop])
        np.testing.assert_array_equal(kept.body, recording.body[start:stop])
        np.testing.assert_array_equal(kept.hands, recording.hands[start:stop])
        assert kept.aspect == recording.aspect
    assert len(window) < 40


def test_features_of_the_ring_are_those_of_the_recording(recording: LandmarkSequence):
    """Where hands are never lost for long; a hand not in the ring is not known to be lost."""
    whole = recording.replaced(hands=np.nan_to_num(recording.hands, nan=0.5))
    window = _window()
    for frame in whole.frames():
        window.push(frame)
    kept, expected = extract(window.sequence(), CONFIG), extract(whole, CONFIG)
    np.testing.assert_array_equal(kept.body, expected.body)
    np.testing.assert_array_equal(kept.hands, expected.hands)


def test_it_is_filled_once_a_receptive_field_was_seen():
    window = _window()
    filled = []
    for i in range(60):
        window.push(Landmarks.empty(1000.0 + i * 25.0))
        filled.append(window.is_filled)
    first = filled.index(True)
    assert all(filled[first:])
    assert first * 25.0 >= CONFIG.window_ms > (first - 1) * 25.0


@pytest.mark.parametrize("step_ms", [0.5, 5.0, 33.3])
def test_the_ring_keeps_no_more_and_no_less_than_needed(step_ms: float):
    window = _window()
    needed_ms = CONFIG.window_ms + CONFIG.max_gap_s * 1000.0
    count = round(4 * needed_ms / step_ms)
    for i in range(count):
        window.push(Landmarks.empty(i * step_ms))
    times = window.sequence().timestamps_ms
    assert times[-1] == (count - 1) * step_ms
    np.testing.assert_allclose(np.diff(times), step_ms)
    assert times[0] <= times[-1] - needed_ms < times[1]
    if step_ms < 1:
        assert len(times) > INITIAL_FRAMES


def test_time_that_does_not_increase_is_refused_and_changes_nothing():
    window = _window()
    window.push(Landmarks.empty(100.0))
    for time_ms in (100.0, 40.0):
        with pytest.raises(InputError, match="strictly increasing"):
            window.push(Landmarks.empty(time_ms))
    assert len(window) == 1
    assert window.last_ms == 100.0


def test_time_cannot_run_back_over_a_cleared_window():
    window = _window()
    window.push(Landmarks.empty(100.0))
    window.clear()
    with pytest.raises(InputError, match="strictly increasing"):
        window.push(Landmarks.empty(50.0))
    window.reset()
    window.push(Landmarks.empty(50.0))


def test_a_long_pause_or_another_aspect_breaks_the_window():
    window = _window()
    assert not window.breaks(Landmarks.empty(99_999.0))
    window.push(Landmarks.empty(0.0, aspect=16 / 9))
    assert not window.breaks(Landmarks.empty(500.0, aspect=16 / 9))
    assert window.breaks(Landmarks.empty(500.1, aspect=16 / 9))
    assert window.breaks(Landmarks.empty(33.0, aspect=4 / 3))


def test_person_share_counts_the_newest_window_only(recording: LandmarkSequence):
    window = _window()
    for frame in list(recording.frames())[:60]:
        window.push(frame)
    assert window.person_share() == 1.0
    last_ms = recording.timestamps_ms[59]
    for i in range(1, 13):
        window.push(Landmarks.empty(float(last_ms + i * 66.0)))
    assert 0.2 < window.person_share() < 0.6


def test_a_hand_is_enough_where_hands_are_the_subject():
    """Either hand counts, a body does not; where the body is the subject it is the other way."""
    shares = {}
    nobody, body = np.full((33, 4), np.nan, np.float32), np.full((33, 4), 0.5, np.float32)
    for subject in ModelInput:
        window = LandmarkWindow(CONFIG, restart_gap_s=0.5, subject=subject)
        for i in range(40):
            hands = np.full((2, 21, 3), np.nan, np.float32)
            if i % 4:  # left, right, both, none, in turn
                hands[[0, 1] if i % 4 == 3 else i % 4 - 1] = 0.5
            window.push(Landmarks(i * 40.0, body if i % 2 else nobody, hands))
        shares[subject] = window.person_share()
    assert shares[ModelInput.HANDS] == pytest.approx(0.75, abs=0.03)
    assert shares[ModelInput.BODY] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("fps", [15.0, 25.0, 30.0, 60.0])
def test_hops_keep_their_mean_whatever_the_frame_rate(fps: float):
    hop = Hop(0.1)
    runs = [t for t in np.arange(0, 10_000, 1000 / fps) if hop.is_due(float(t))]
    assert 98 <= len(runs) <= 101
    assert max(np.diff(runs)) < 100 + 1000 / fps


def test_a_pause_is_not_made_up_for_by_a_burst_of_runs():
    hop = Hop(0.1)
    assert hop.is_due(0.0)
    assert hop.is_due(5000.0)
    assert not hop.is_due(5050.0)
    assert hop.is_due(5100.0)
