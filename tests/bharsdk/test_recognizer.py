from __future__ import annotations

import dataclasses
import math
import threading
from pathlib import Path

import numpy as np
import pytest

from bharsdk import Recognizer, load_bundle
from bharsdk.bundle.bundle import make_bundle
from bharsdk.bundle.calibration import Calibration, probabilities
from bharsdk.engines.engine import open_engine
from bharsdk.errors import InputError, UsageError
from bharsdk.events import Event, EventPhase
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.recognition.features import extract
from bharsdk.recognition.results import StageSummary, StageTimes
from bharsdk.recognizer import shipped_bundles
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import save_session


@pytest.fixture(scope="module")
def recognizer(presence_bundle: Path) -> Recognizer:
    return Recognizer(presence_bundle)


def _with_hand(sequence: LandmarkSequence, start_s: float, stop_s: float) -> LandmarkSequence:
    """The right hand seen between two times only, the left one never; the body as recorded."""
    hands = np.full_like(sequence.hands, np.nan)
    seconds = (sequence.timestamps_ms - sequence.timestamps_ms[0]) / 1000
    shown = (seconds >= start_s) & (seconds < stop_s)
    hands[shown, 1] = 0.5 + 0.01 * np.arange(63, dtype=np.float32).reshape(21, 3)
    return sequence.replaced(hands=hands)


def _first(sequence: LandmarkSequence, frames: int) -> LandmarkSequence:
    return LandmarkSequence.from_frames(list(sequence.frames())[:frames])


def _live(recognizer: Recognizer, sequence: LandmarkSequence) -> list[Event]:
    stream = recognizer.stream()
    events = [event for frame in sequence.frames() for event in stream.push(frame)]
    return events + stream.flush()


def test_labels_are_the_manifest_s(recognizer: Recognizer):
    assert recognizer.labels == ("-", "left", "right")
    assert recognizer.receptive_field_ms == recognizer.stream().receptive_field_ms > 0


def test_a_sign_is_found_with_its_label_and_time(
    recognizer: Recognizer, recording: LandmarkSequence
):
    (event,) = recognizer.recognize_clip(_with_hand(recording, 4.0, 7.0))
    assert event.label == "right"
    assert event.start_ms == pytest.approx(4000, abs=350)
    assert event.end_ms == pytest.approx(7000, abs=350)
    assert 0.9 < event.score <= 1


def test_live_pushing_and_replay_of_a_file_give_identical_events(
    recognizer: Recognizer, recording: LandmarkSequence, tmp_path: Path
):
    path = save_session(tmp_path / "real.bhar-session", Session(recording))
    live = _live(recognizer, recording)
    replayed = [event for result in recognizer.run(path) for event in result.events]
    assert live == replayed
    assert len(live) >= 4
    assert [e for e in live if e.phase is EventPhase.END] == recognizer.recognize_clip(path)


def test_a_loaded_bundle_gives_the_same_as_its_path(
    recognizer: Recognizer, presence_bundle: Path, recording: LandmarkSequence
):
    loaded = Recognizer(load_bundle(presence_bundle))
    assert loaded.recognize_clip(recording) == recognizer.recognize_clip(recording)


def test_eight_interleaved_streams_give_what_one_alone_gives(
    recognizer: Recognizer, recording: LandmarkSequence
):
    alone = _live(recognizer, recording)
    streams = [recognizer.stream() for _ in range(8)]
    events: list[list[Event]] = [[] for _ in streams]
    for frame in recording.frames():
        for stream, found in zip(streams, events, strict=True):
            found += stream.push(frame)
    assert all(found + s.flush() == alone for s, found in zip(streams, events, strict=True))


def test_threads_may_share_a_recognizer(recognizer: Recognizer, recording: LandmarkSequence):
    alone = _live(recognizer, recording)
    found: list[list[Event]] = []
    threads = [
        threading.Thread(target=lambda: found.append(_live(recognizer, recording)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 4


def _calibrated(bundle: Path, temperature: float, reject_below: float) -> Recognizer:
    loaded = load_bundle(bundle)
    calibration = Calibration(temperature, reject_below, clips=20, keep=0.95)
    manifest = dataclasses.replace(loaded.manifest, calibration=calibration)
    return Recognizer(make_bundle("calibrated", manifest, loaded.files))


def test_probabilities_are_those_of_the_logits_over_the_temperature(
    presence_bundle: Path, recording: LandmarkSequence
):
    """Those of the first window, from the engine and written out; without calibration over 1."""
    loaded = load_bundle(presence_bundle)
    recognizers = {1.0: Recognizer(loaded), 4.0: _calibrated(presence_bundle, 4.0, 0.0)}
    for temperature, recognizer in recognizers.items():
        stream, frames = recognizer.stream(), []
        for frame in recording.frames():
            stream.push(frame)
            frames.append(frame)
            if stream.probabilities is not None:
                break
        window = LandmarkSequence.from_frames(frames)
        features = extract(window, loaded.manifest.features, frames[-1].timestamp_ms)
        logits = open_engine(loaded).run(features.batch())[0]
        raised = [math.exp((float(x) - 10) / temperature) for x in logits]
        assert stream.probabilities == pytest.approx([x / sum(raised) for x in raised], abs=1e-5)


def test_softmax_without_calibration_is_the_same_to_the_bit():
    """As computed before there were temperatures."""
    for seed in range(50):
        logits = np.random.default_rng(seed).normal(0, 5, 16).astype(np.float32)
        shifted = np.exp(logits.astype(np.float64) - float(np.max(logits)))
        np.testing.assert_array_equal(probabilities(logits), shifted / shifted.sum())


def test_an_answer_that_is_not_sure_enough_is_no_event(
    presence_bundle: Path, recording: LandmarkSequence
):
    """The same sign, found as before with a threshold it reaches, not found with one it misses."""
    sign = _with_hand(recording, 4.0, 7.0)
    expected = Recognizer(presence_bundle).recognize_clip(sign)
    assert _calibrated(presence_bundle, 1.0, 0.5).recognize_clip(sign) == expected != []
    assert _calibrated(presence_bundle, 1.0, 1.0).recognize_clip(sign) == []


def test_nothing_is_said_before_the_receptive_field_is_filled(
    recognizer: Recognizer, recording: LandmarkSequence
):
    stream = recognizer.stream()
    for frame in _with_hand(recording, 0, 99).frames():
        events = stream.push(frame)
        if frame.timestamp_ms < stream.receptive_field_ms - 1:
            assert events == []
            assert stream.probabilities is None
            assert stream.current is None
    assert stream.probabilities is not None
    assert stream.current is not None


@pytest.mark.parametrize("frames", [11, 14, 17, 19, 20, 21, 25, 30])
def test_a_clip_of_one_sign_gives_one_event(
    recognizer: Recognizer, recording: LandmarkSequence, frames: int
):
    """Also when it is somewhat shorter than the receptive field."""
    clip = _first(_with_hand(recording, 0, 99), frames)
    (event,) = recognizer.recognize_clip(clip)
    assert event.label == "right"
    assert event.start_ms == 0
    assert event.end_ms == clip.timestamps_ms[-1]


def test_a_clip_of_less_than_half_a_receptive_field_says_nothing(
    recognizer: Recognizer, recording: LandmarkSequence
):
    assert recognizer.recognize_clip(_first(_with_hand(recording, 0, 99), 8)) == []


def test_a_time_that_does_not_increase_is_refused_and_changes_nothing(
    recognizer: Recognizer, recording: LandmarkSequence
):
    sequence = _with_hand(recording, 2.0, 5.0)
    stream, events = recognizer.stream(), []
    for i, frame in enumerate(sequence.frames()):
        events += stream.push(frame)
        if i % 10 == 5:
            for wrong_ms in (frame.timestamp_ms, frame.timestamp_ms - 50.0):
                with pytest.raises(InputError, match="strictly increasing"):
                    stream.push(dataclasses.replace(frame, timestamp_ms=wrong_ms))
    assert events + stream.flush() == _live(recognizer, sequence)


def test_nan_landmarks_are_refused_before_they_reach_a_stream():
    body = np.full((33, 4), 0.5, np.float32)
    body[3, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        Landmarks(0.0, body, np.full((2, 21, 3), np.nan, np.float32))
    with pytest.raises(InputError, match="timestamp"):
        Landmarks.empty(float("nan"))


def test_a_gap_ends_the_open_sign_and_starts_the_window_anew(
    recognizer: Recognizer, recording: LandmarkSequence
):
    sequence = _with_hand(recording, 0, 99)
    times = sequence.timestamps_ms.copy()
    times[100:] += 5000.0
    stream = recognizer.stream()
    for i, frame in enumerate(sequence.replaced(timestamps_ms=times).frames()):
        events = stream.push(frame)
        if i == 100:
            (end,) = events
            assert (end.phase, end.end_ms) == (EventPhase.END, times[99])
        if 100 <= i < 100 + 15 * stream.receptive_field_ms // 1000:
            assert stream.current is None
    assert stream.current is not None


def test_without_a_person_there_is_no_sign(recognizer: Recognizer, recording: LandmarkSequence):
    sequence = _with_hand(recording, 0, 99)
    nobody = sequence.replaced(body=np.full_like(sequence.body, np.nan))
    assert recognizer.recognize_clip(nobody) == []


def test_reset_makes_a_stream_as_new(recognizer: Recognizer, recording: LandmarkSequence):
    stream = recognizer.stream()
    for frame in list(recording.frames())[:70]:
        stream.push(frame)
    stream.reset()
    again = [event for frame in recording.frames() for event in stream.push(frame)]
    assert again + stream.flush() == _live(recognizer, recording)


def test_the_frame_rate_does_not_decide_what_is_found(
    recognizer: Recognizer, recording: LandmarkSequence
):
    sequence = _with_hand(recording, 4.0, 7.0)
    frames = np.linspace(0, len(sequence) - 1, len(sequence) * 2 - 1)
    doubled = LandmarkSequence(
        frames * 1000 / 15,
        sequence.body[frames.astype(int)],
        sequence.hands[frames.astype(int)],
        sequence.aspect,
    )
    (slow,), (fast,) = (recognizer.recognize_clip(s) for s in (sequence, doubled))
    assert fast.start_ms == pytest.approx(slow.start_ms, abs=150)
    assert fast.end_ms == pytest.approx(slow.end_ms, abs=150)


def test_run_gives_a_result_for_every_frame_and_one_for_the_end(
    recognizer: Recognizer, recording: LandmarkSequence
):
    sequence = _first(_with_hand(recording, 0, 99), 40)
    *results, last = recognizer.run(sequence)
    assert [r.frame_number for r in results] == list(range(40))
    assert [r.timestamp_ms for r in results] == list(sequence.timestamps_ms)
    assert not any(r.is_final for r in results)
    assert last.is_final
    assert [e.phase for e in last.events] == [EventPhase.END]
    going_on = [r.label for r in results if r.label is not None]
    assert set(going_on) == {"right"}
    assert results[-1].score > 0.9
    assert results[-1].stages.total_ms > 0
    assert set(results[0].to_dict()["stages"]) >= {"capture_ms", "landmarks_ms", "total_ms"}


def test_any_iterable_of_landmarks_is_a_source(recognizer: Recognizer, recording: LandmarkSequence):
    frames = (frame for frame in recording.frames())
    assert recognizer.recognize_clip(frames) == recognizer.recognize_clip(recording)


def test_an_unknown_model_name_lists_the_shipped_ones():
    with pytest.raises(InputError, match="no shipped model of this name") as caught:
        Recognizer("no-such-model")
    assert all(name in str(caught.value) for name in shipped_bundles())


def test_a_missing_bundle_file_is_bad_input(tmp_path: Path):
    with pytest.raises(InputError, match=r"gone\.bhar"):
        Recognizer(tmp_path / "gone.bhar")


def test_a_summary_shows_the_model_that_most_frames_do_not_run():
    idle, busy = StageTimes(decode_ms=0.1), StageTimes(5.0, 30.0, 1.0, 4.0, 0.1)
    summary = StageSummary.of([busy, idle, idle])
    assert (summary.frames, summary.model_runs) == (3, 1)
    assert summary.action_ms == 4.0
    assert summary.own_median_ms == pytest.approx(0.1)
    assert summary.own_mean_ms == pytest.approx(5.3 / 3)
    assert summary.own_run_median_ms == pytest.approx(5.1)
    busy_only = StageSummary.of([busy]).lines()
    assert [line.split()[0] for line in busy_only if "bottleneck" in line] == ["landmarks"]


def test_the_old_names_of_0_1_0_work_and_warn(presence_bundle: Path, recording: LandmarkSequence):
    told = r"^Recognizer\(device=.*: use Recognizer\(backend="
    with pytest.warns(DeprecationWarning, match=told) as found:
        model = Recognizer(presence_bundle, device="onnx")
    assert found[0].filename == __file__  # where it is to be changed
    assert model.backend.startswith("onnxruntime")
    result = next(model.run(recording))
    with pytest.warns(DeprecationWarning, match=r"use Result\.frame_number") as found:
        assert result.frame == result.frame_number == 0
    assert found[0].filename == __file__
    assert result.to_dict()["frame"] == 0


def test_a_backend_given_twice_is_a_contradiction(presence_bundle: Path):
    with pytest.raises(UsageError, match=r"got backend 'native' and device 'onnx'"):
        Recognizer(presence_bundle, backend="native", device="onnx")


def test_an_unknown_backend_is_refused_with_those_there_are(presence_bundle: Path):
    with pytest.raises(UsageError) as refused:
        Recognizer(presence_bundle, backend="gpu")
    assert str(refused.value) == (
        "backend: got 'gpu', expected one of auto, onnx, native, tflite, tensorrt"
    )
