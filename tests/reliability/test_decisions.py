"""What is said, when nothing is said, and why: with the models that ship, on real clips."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bharsdk import Recognizer, load_bundle
from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.errors import InputError, UsageError
from bharsdk.events import EventPhase, Rejection
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.landmarks.motion import movement
from bharsdk.recognition.results import Result
from bharsdk.recognizer import bundle_path
from bharsdk.recordings.session_file import load_session

FPS = 15.0
SESSION = Path(__file__).parents[2] / "examples/data/sessions/s2-a.bhar-session"
Clips = dict[str, npt.NDArray[np.float16]]


@pytest.fixture(scope="module")
def coffee() -> Recognizer:
    return Recognizer("asl-coffee-prgcn")


def _sequence(*parts: npt.NDArray[np.float16]) -> LandmarkSequence:
    return LandmarkSequence.from_flat(np.concatenate(parts), fps=FPS)


def _held(frame: npt.NDArray[np.float16], seconds: float) -> npt.NDArray[np.float16]:
    return np.repeat(frame[None], round(seconds * FPS), axis=0)


def _signs(word_clips: Clips) -> list[tuple[str, npt.NDArray[np.float16]]]:
    return [(label, clip) for label, clips in word_clips.items() if label != "-" for clip in clips]


def test_a_pose_that_is_held_is_not_the_gesture_that_ends_in_it(
    coffee: Recognizer, word_clips: Clips
):
    """The last and the middle frame of every sign, held: no event, and it says why."""
    said = set()
    for label, clip in _signs(word_clips):
        for frame in (clip[len(clip) // 2], clip[-1]):
            results = list(coffee.run(_sequence(_held(frame, 2.5))))
            assert [e for r in results for e in r.events] == [], label
            said.add(results[-1].people[0].rejected)
    assert Rejection.STILL in said


def test_a_gesture_that_ends_in_a_held_pose_is_that_gesture_once(
    coffee: Recognizer, word_clips: Clips
):
    """At rest, the sign, its last pose held: four of five are found, and none twice."""
    signs, right = _signs(word_clips), 0
    for label, clip in signs:
        sequence = _sequence(_held(clip[0], 2.0), clip, _held(clip[-1], 3.0))
        labels = [event.label for event in coffee.recognize_clip(sequence)]
        assert labels.count(label) <= 1
        right += labels == [label]
    assert right >= 0.8 * len(signs) > 10


def test_letters_are_poses_and_may_be_held(recording: LandmarkSequence):
    assert load_bundle(bundle_path("asl-letters")).manifest.decoder.min_movement == 0


def test_movement_is_that_of_the_body_and_not_of_the_camera_or_its_distance(
    recording: LandmarkSequence,
):
    """A pan, and somebody who stands twice as far away, change nothing."""
    sequence = LandmarkSequence.from_frames(list(recording.frames())[:24])
    moved = movement(sequence, 0.0)
    pan = np.linspace(0, 0.3, len(sequence), dtype=np.float32)[:, None, None]
    shift = np.concatenate([pan, 0 * pan, 0 * pan], axis=2)
    body = sequence.body.copy()
    body[..., :3] += shift
    panned = sequence.replaced(body=body, hands=sequence.hands + shift[:, None])
    assert movement(panned, 0.0) == pytest.approx(moved, rel=1e-3)
    half = np.array([0.5, 0.5, 0.5], np.float32)
    body = sequence.body.copy()
    body[..., :3] *= half
    far = sequence.replaced(body=body, hands=sequence.hands * half)
    assert movement(far, 0.0) == pytest.approx(moved, rel=1e-3)
    still = LandmarkSequence.from_frames(
        dataclasses.replace(next(sequence.frames()), timestamp_ms=50.0 * i) for i in range(20)
    )
    assert movement(still, 0.0) == 0.0
    nobody = LandmarkSequence.from_frames(Landmarks.empty(50.0 * i) for i in range(20))
    assert movement(nobody, 0.0) == 0.0


def test_missing_hands_and_half_a_body_bring_fewer_signs_and_no_false_ones(coffee: Recognizer):
    """Both hands lost, or everything below the shoulders guessed: silence, not inventions."""
    session = load_session(SESSION)
    sequence = session.sequence
    truth = {true.label for true in session.truth}
    without = sequence.replaced(hands=np.full_like(sequence.hands, np.nan))
    assert len(coffee.recognize_clip(without)) <= 0.2 * len(session.truth)
    body = sequence.body.copy()
    body[:, 13:, 3] = 0.0  # elbows and below are not in the picture
    half = coffee.recognize_clip(sequence.replaced(body=body))
    assert {event.label for event in half} <= truth


def test_a_body_whose_shoulders_are_guessed_is_nobody_if_that_is_asked(
    recording: LandmarkSequence, presence_bundle: Path
):
    body = recording.body.copy()
    body[:, 11, 3] = 0.3
    guessed = recording.replaced(body=body)
    strict = Recognizer(presence_bundle, min_keypoint_score=0.5)
    assert Recognizer(presence_bundle).recognize_clip(guessed) != []
    results = list(strict.run(guessed))
    assert [e for r in results for e in r.events] == []
    assert results[-1].people[0].rejected is Rejection.NOBODY


def _results(coffee: Recognizer, **options: object) -> list[Result]:
    bundle = coffee.bundle
    return list(Recognizer(bundle, backend="native", **options).run(load_session(SESSION)))


def _labels(results: list[Result]) -> list[str]:
    return [e.label for r in results for e in r.events if e.phase is EventPhase.END]


def test_only_allowed_labels_make_events_and_denied_ones_make_none(coffee: Recognizer):
    labels = _labels(_results(coffee))
    chosen, rest = labels[0], set(labels[1:]) - {labels[0]}
    allowed = _results(coffee, label_allowlist=[chosen])
    assert set(_labels(allowed)) == {chosen}
    assert Rejection.NOT_ALLOWED in {r.people[0].rejected for r in allowed}
    assert set(_labels(_results(coffee, label_denylist=[chosen]))) == rest


def test_a_higher_score_threshold_brings_fewer_and_surer_events(coffee: Recognizer):
    low, high = _results(coffee), _results(coffee, score_threshold=0.9)
    assert 0 < len(_labels(high)) < len(_labels(low))
    assert all(event.score >= 0.9 for r in high for event in r.events)


def test_the_same_sign_again_within_debounce_is_not_reported(
    presence_bundle: Path, waving: LandmarkSequence
):
    plain = Recognizer(presence_bundle)
    config = dataclasses.replace(plain.bundle.manifest.decoder, debounce_s=20.0)
    debounced = Recognizer(presence_bundle, decoder=config)
    assert len(plain.recognize_clip(waving)) >= 3
    results = list(debounced.run(waving))
    assert _labels(results) == ["right"]
    assert Rejection.DEBOUNCED in {r.people[0].rejected for r in results}


def test_every_frame_says_what_goes_on_or_why_nothing_does(coffee: Recognizer):
    results = _results(coffee, max_results=5)
    phases = []
    for result in results[:-1]:
        (person,) = result.people
        assert (person.rejected is None) == (person.label is not None)
        going_on = person.event is not None and person.event.phase is not EventPhase.END
        assert going_on == (person.label is not None)
        if person.top:
            scores = [score.score for score in person.top]
            assert len(scores) == 5
            assert scores == sorted(scores, reverse=True)
        else:
            assert person.rejected is Rejection.WARMING
        phases.append(person.event.phase if person.event is not None else None)
    assert {None, *EventPhase} == set(phases)
    text = results[60].to_json()
    assert "\n" not in text
    assert {"people", "events", "stages", "age_ms", "dropped", "backend"} <= results[
        60
    ].to_dict().keys()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"score_threshold": 1.5}, InputError, "score_threshold 1.5"),
        ({"label_allowlist": ["tea"], "label_denylist": ["no"]}, InputError, "one of the two"),
        ({"label_allowlist": "tea"}, InputError, "expected a list of text"),
        ({"label_denylist": ["latte"]}, InputError, "'latte', expected some of"),
        ({"max_persons": 0}, InputError, "max_persons 0"),
        ({"score_treshold": 0.5}, UsageError, "'score_treshold', expected one of"),
    ],
)
def test_an_option_that_cannot_be_says_what_is_expected(
    coffee: Recognizer, options: dict[str, object], error: type[Exception], match: str
):
    with pytest.raises(error, match=match):
        Recognizer(coffee.bundle, **options)


def test_a_movement_that_no_body_makes_is_refused():
    with pytest.raises(InputError, match="min_movement"):
        DecoderConfig(min_movement=-0.1)
