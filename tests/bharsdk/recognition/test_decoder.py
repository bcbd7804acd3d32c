from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.errors import InputError
from bharsdk.events import Event, EventPhase
from bharsdk.files.codec import from_json_dict, to_json_dict
from bharsdk.recognition.decoder import Decoder

LABELS = ("-", "tea", "water")
PLAIN = DecoderConfig(smoothing_s=0, patience_s=0.2, min_duration_s=0.2, hop_s=0.1)
HALF_WINDOW_MS = 600.0


def _decoder(config: DecoderConfig = PLAIN, delay_ms: float = 0.0) -> Decoder:
    return Decoder(LABELS, config, background="-", delay_ms=delay_ms)


def _distribution(label: str, probability: float = 0.9) -> np.ndarray:
    values = np.full(3, (1 - probability) / 2)
    values[LABELS.index(label)] = probability
    return values


def _play(decoder: Decoder, text: str, step_ms: float = 100.0) -> list[Event]:
    """One letter a step, from 0 ms on: t tea, w water, anything else background."""
    labels = {"t": "tea", "w": "water"}
    events = []
    for i, letter in enumerate(text):
        events += decoder.step(i * step_ms, _distribution(labels.get(letter, "-")))
    return events


def _spans(events: list[Event]) -> list[tuple[str, float, float | None]]:
    return [(e.label, e.start_ms, e.end_ms) for e in events if e.phase is EventPhase.END]


def test_a_sign_gives_one_start_and_one_end():
    events = _play(_decoder(), "--ttttt-----")
    assert [(e.phase, e.label) for e in events] == [
        (EventPhase.START, "tea"),
        (EventPhase.END, "tea"),
    ]
    assert events[0].end_ms is None
    assert _spans(events) == [("tea", 200.0, 600.0)]


def test_times_are_those_of_the_middle_of_the_window():
    events = _play(_decoder(delay_ms=HALF_WINDOW_MS), "-" * 10 + "ttttt-----")
    assert _spans(events) == [("tea", 1000 - HALF_WINDOW_MS, 1400 - HALF_WINDOW_MS)]


def test_background_never_makes_an_event():
    decoder = _decoder()
    assert _play(decoder, "-" * 50) == []
    assert decoder.flush(5000.0) == []


def test_without_background_every_label_is_a_sign():
    decoder = Decoder(LABELS, PLAIN)
    assert [e.label for e in _play(decoder, "-----")] == ["-"]


def test_a_dip_shorter_than_patience_does_not_end_a_sign():
    assert _spans(_play(_decoder(), "--ttt-ttt----")) == [("tea", 200.0, 800.0)]


def test_a_blip_shorter_than_min_duration_is_not_reported():
    assert _play(_decoder(), "--tt------") == []


def test_between_the_thresholds_a_sign_goes_on_but_none_begins():
    decoder = _decoder()
    between = _distribution("tea", 0.5)
    assert [e for i in range(10) for e in decoder.step(i * 100.0, between)] == []
    for i in range(10, 15):
        decoder.step(i * 100.0, _distribution("tea"))
    assert [e for i in range(15, 40) for e in decoder.step(i * 100.0, between)] == []
    assert decoder.current == ("tea", pytest.approx(0.5))


def test_a_rejected_window_starts_no_event_and_ends_none():
    """Below the threshold a sign that goes on does so, and another cannot take over."""
    decoder = Decoder(LABELS, PLAIN, background="-", reject_below=0.85)
    unsure, sure = _distribution("tea", 0.8), _distribution("tea", 0.9)
    assert [e for i in range(10) for e in decoder.step(i * 100.0, unsure)] == []
    assert decoder.step(1000.0, sure) == []
    (start,) = (e for i in range(11, 20) for e in decoder.step(i * 100.0, unsure))
    assert (start.label, start.start_ms) == ("tea", 1000.0)
    other = _distribution("water", 0.8)
    (end,) = (e for i in range(20, 30) for e in decoder.step(i * 100.0, other))
    assert (end.phase, end.label) == (EventPhase.END, "tea")
    assert decoder.flush(3000.0) == []


def test_rejection_looks_at_the_window_and_not_at_the_average():
    """A threshold that no average of few windows reaches does not keep a sure sign waiting."""
    config = dataclasses.replace(PLAIN, smoothing_s=0.1, min_duration_s=0.0)
    decoder = Decoder(LABELS, config, background="-", reject_below=0.99)
    decoder.step(0.0, _distribution("-", 1.0))
    (start,) = decoder.step(100.0, _distribution("tea", 0.995))
    assert start.score < 0.99


def test_without_a_threshold_nothing_is_rejected():
    """0, the default, gives the events it always gave."""
    text = "--ttt-ttwwww--t--www----"
    zero = Decoder(LABELS, PLAIN, background="-", reject_below=0.0)
    assert _play(zero, text) == _play(_decoder(), text) != []


@pytest.mark.parametrize("reject_below", [-0.1, 1.1, math.nan])
def test_a_threshold_that_is_no_probability_is_refused(reject_below: float):
    with pytest.raises(InputError, match="reject_below"):
        Decoder(LABELS, PLAIN, reject_below=reject_below)


def test_another_sign_takes_over_without_overlap():
    events = _play(_decoder(), "-tttttwwwww---")
    assert _spans(events) == [("tea", 100.0, 500.0), ("water", 600.0, 1000.0)]


def test_a_blip_of_another_sign_does_not_cut_a_sign_in_two():
    """What is too short to be reported does not end what goes on."""
    assert _spans(_play(_decoder(), "-tttttwtttttwttt----")) == [("tea", 100.0, 1500.0)]


def test_a_sign_ends_where_the_one_begins_that_took_over():
    """Also while both are likely: the report waits, the times do not."""
    decoder = _decoder()
    for i in range(4):
        decoder.step(i * 100.0, _distribution("tea"))
    both = np.array([0.0, 0.38, 0.62])
    events = [event for i in range(4, 7) for event in decoder.step(i * 100.0, both)]
    assert _spans(events) == [("tea", 0.0, 400.0)]
    assert (events[1].phase, events[1].label, events[1].start_ms) == (
        EventPhase.START,
        "water",
        400.0,
    )


def test_without_a_minimum_a_sign_takes_over_at_once():
    """The configuration of words: end and start in the step in which the other sign enters."""
    decoder = _decoder(dataclasses.replace(PLAIN, min_duration_s=0))
    _play(decoder, "ttt")
    events = decoder.step(300.0, _distribution("water"))
    assert [(e.phase, e.label) for e in events] == [
        (EventPhase.END, "tea"),
        (EventPhase.START, "water"),
    ]


def test_the_end_of_the_source_adds_no_blip_to_a_sign():
    """A rival that had no time to last is no sign beside one that goes on."""
    decoder = _decoder()
    _play(decoder, "-tttttw")
    assert _spans(decoder.flush(650.0)) == [("tea", 100.0, 500.0)]


def test_rules_are_in_seconds_not_in_steps():
    slow = _spans(_play(_decoder(), "--ttttt-----", step_ms=100.0))
    fast = _spans(_play(_decoder(), "----tttttttttt----------", step_ms=50.0))
    assert slow == [("tea", 200.0, 600.0)]
    assert fast == [("tea", 200.0, 650.0)]


def test_smoothing_depends_on_time_not_on_the_number_of_steps():
    config = dataclasses.replace(PLAIN, smoothing_s=0.3)
    ends = []
    for step_ms in (10.0, 100.0):
        decoder = _decoder(config)
        decoder.step(0.0, _distribution("-", 1.0))
        for i in range(round(300 / step_ms)):
            decoder.step((i + 1) * step_ms, _distribution("tea", 1.0))
        ends.append(decoder.probabilities[1])
    assert ends == pytest.approx([1 - math.exp(-1)] * 2)


def test_score_is_the_highest_probability_so_far():
    decoder = _decoder()
    scores = [0.75, 0.8, 0.95, 0.7]
    for i, score in enumerate(scores):
        decoder.step(i * 100.0, _distribution("tea", score))
    (end,) = decoder.flush(400.0)
    assert end.score == pytest.approx(0.95)


def test_flush_ends_an_open_sign_where_the_source_ends():
    decoder = _decoder(delay_ms=HALF_WINDOW_MS)
    _play(decoder, "-" * 10 + "ttttt")
    assert _spans(decoder.flush(1450.0)) == [("tea", 400.0, 1450.0)]


def test_flush_reports_a_sign_that_had_no_time_to_last():
    decoder = _decoder(delay_ms=HALF_WINDOW_MS)
    assert decoder.step(1300.0, _distribution("tea")) == []
    phases = [(e.phase, e.start_ms, e.end_ms) for e in decoder.flush(1300.0)]
    assert phases == [(EventPhase.START, 700.0, None), (EventPhase.END, 700.0, 1300.0)]


def test_a_sign_that_fills_the_first_window_starts_with_the_source():
    decoder = _decoder(delay_ms=HALF_WINDOW_MS)
    decoder.step(1300.0, _distribution("tea"), source_start_ms=50.0)
    assert _spans(decoder.flush(1300.0)) == [("tea", 50.0, 1300.0)]
    decoder.step(1300.0, _distribution("-"), source_start_ms=50.0)
    decoder.step(1400.0, _distribution("tea"), source_start_ms=50.0)
    assert _spans(decoder.flush(1400.0)) == [("tea", 800.0, 1400.0)]


def test_flush_leaves_a_decoder_as_newly_made():
    decoder = _decoder()
    first = [*_play(decoder, "--ttttt"), *decoder.flush(700.0)]
    assert [*_play(decoder, "--ttttt"), *decoder.flush(700.0)] == first


@pytest.mark.parametrize("time_ms", [100.0, 50.0, math.nan, math.inf])
def test_a_time_that_does_not_increase_is_refused(time_ms: float):
    decoder = _decoder()
    decoder.step(100.0, _distribution("tea"))
    with pytest.raises(InputError, match="increasing"):
        decoder.step(time_ms, _distribution("tea"))


@pytest.mark.parametrize(
    "values", [[math.nan, 0.5, 0.5], [0.5, 0.5], [-0.1, 0.6, 0.5], [1.5, 0.0, 0.0], [[1, 0, 0]]]
)
def test_unusable_probabilities_are_refused_and_change_nothing(values: list[float]):
    decoder, untouched = _decoder(), _decoder()
    _play(decoder, "--tt")
    _play(untouched, "--tt")
    with pytest.raises(InputError, match="probabilit"):
        decoder.step(400.0, np.array(values))
    step = (400.0, _distribution("tea"))
    assert decoder.step(*step) == untouched.step(*step) != []


@pytest.mark.parametrize(
    "changes",
    [
        {"enter_threshold": 0.3, "exit_threshold": 0.4},
        {"exit_threshold": 0.0},
        {"enter_threshold": 1.5},
        {"patience_s": -1.0},
        {"hop_s": math.nan},
        {"restart_gap_s": 0.0},
    ],
)
def test_a_configuration_out_of_range_is_refused(changes: dict[str, float]):
    with pytest.raises(InputError, match="decoder: got"):
        dataclasses.replace(DecoderConfig(), **changes)


def test_labels_that_repeat_and_an_unknown_background_are_refused():
    with pytest.raises(InputError, match="distinct"):
        Decoder(("a", "a"), PLAIN)
    with pytest.raises(InputError, match="background"):
        Decoder(("a", "b"), PLAIN, background="-")


def test_configuration_survives_json():
    config = dataclasses.replace(DecoderConfig(), hop_s=0.25)
    assert from_json_dict(DecoderConfig, to_json_dict(config), "test") == config


def test_an_event_gives_plain_json_values():
    event = Event("tea", EventPhase.END, 1.0, 2.0, 0.5)
    assert event.to_dict() == {
        "label": "tea",
        "phase": "end",
        "start_ms": 1.0,
        "end_ms": 2.0,
        "score": 0.5,
        "track_id": 0,
    }
    assert event.duration_ms == 1.0


def test_an_event_prints_as_one_line_in_seconds() -> None:
    """What the example of the README shows."""
    end = Event("tea", EventPhase.END, 1000.0, 2500.0, 0.88)
    assert " ".join(str(end).split()) == "end tea 1.00 s to 2.50 s score 0.88"
    start = Event("tea", EventPhase.START, 1000.0, None, 0.5)
    assert " ".join(str(start).split()) == "start tea 1.00 s score 0.50"
