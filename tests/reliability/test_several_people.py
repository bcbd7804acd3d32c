"""Several people in one picture: each recognized as if alone, whatever they do to one another."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bharsdk import Recognizer
from bharsdk.events import Event
from bharsdk.landmarks.frame import Frame
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.recognition.results import Result
from bharsdk.recordings.session_file import load_session
from bharsdk.sources.source import Source

FRAMES = 150


@pytest.fixture(scope="module")
def pair(presence_bundle: Path) -> Recognizer:
    return Recognizer(presence_bundle, max_persons=2)


def _at(one: Landmarks, x: float, scale: float = 0.5) -> Landmarks:
    """The person smaller, and moved by ``x`` image widths."""
    shift = np.array([0.25 + x, 0.25, 0.0], np.float32)
    body = one.body.copy()
    body[:, :3] = body[:, :3] * np.float32(scale) + shift
    return dataclasses.replace(one, body=body, hands=one.hands * np.float32(scale) + shift)


def _other(sequence: LandmarkSequence) -> LandmarkSequence:
    """Somebody else who waves with the left hand, at other times."""
    hands = np.full_like(sequence.hands, np.nan)
    shown = (sequence.timestamps_ms / 1000 + 1.0) % 4.0 < 2.0
    hands[shown, 0] = 0.5 + 0.01 * np.arange(63, dtype=np.float32).reshape(21, 3)
    return sequence.replaced(hands=hands)


def _frames(
    waving: LandmarkSequence, places: tuple[np.ndarray, np.ndarray], *, gone_after: int = FRAMES
) -> list[Frame]:
    """Two people, each along a path of x; the second leaves after some frames."""
    both = zip(waving.frames(), _other(waving).frames(), strict=True)
    frames = []
    for number, (one, other) in enumerate(list(both)[:FRAMES]):
        people = [_at(one, places[0][number]), _at(other, places[1][number])]
        if number >= gone_after:
            people.pop()
        if number % 2:  # whom a detector finds first means nothing
            people.reverse()
        frames.append(Frame(one.timestamp_ms, tuple(people), one.aspect, number=number))
    return frames


def _events(results: list[Result]) -> dict[int, list[Event]]:
    found: dict[int, list[Event]] = {}
    for result in results:
        for event in result.events:
            found.setdefault(event.track_id, []).append(dataclasses.replace(event, track_id=0))
    return found


def _alone(recognizer: Recognizer, people: list[Landmarks]) -> list[Event]:
    stream = Recognizer(recognizer.bundle, backend="onnx").stream()
    return [e for one in people for e in stream.push(one)] + stream.flush()


STAND = np.full(FRAMES, -0.25), np.full(FRAMES, 0.25)
CROSS = np.linspace(-0.3, 0.3, FRAMES), np.linspace(0.3, -0.3, FRAMES)


@pytest.mark.parametrize("places", [STAND, CROSS], ids=["side by side", "crossing"])
def test_each_of_two_people_is_recognized_as_if_alone(
    pair: Recognizer, waving: LandmarkSequence, places: tuple[np.ndarray, np.ndarray]
):
    """The same events, to the bit, under an id that stays, also when they cross."""
    frames = _frames(waving, places)
    results = list(pair.run(Source(iter(frames))))
    found = _events(results)
    assert len(found) == 2
    both = zip(waving.frames(), _other(waving).frames(), strict=True)
    ones, others = zip(*list(both)[:FRAMES], strict=True)
    expected = [
        _alone(pair, [_at(p, x) for p, x in zip(people, path, strict=True)])
        for people, path in zip((ones, others), places, strict=True)
    ]
    assert sorted(map(str, found.values())) == sorted(map(str, expected))
    assert {event.label for events in found.values() for event in events} == {"left", "right"}


def test_who_leaves_has_their_sign_ended_and_nobody_else_s(
    pair: Recognizer, waving: LandmarkSequence
):
    frames = _frames(waving, STAND, gone_after=70)
    results = list(pair.run(Source(iter(frames))))
    tracks = [{person.track_id for person in result.people} for result in results]
    (left,) = tracks[60] - tracks[-1]
    gone_ms = frames[69].timestamp_ms
    ended = [e for e in _events(results)[left] if e.end_ms is not None]
    assert ended
    assert all(event.end_ms is not None and event.end_ms <= gone_ms + 1000 for event in ended)
    (stayed,) = tracks[-1]
    assert max(event.start_ms for event in _events(results)[stayed]) > gone_ms


def test_a_recording_of_two_people_replays_to_the_same_events(
    pair: Recognizer, waving: LandmarkSequence, tmp_path: Path
):
    path = tmp_path / "two.bhar-session"
    frames = _frames(waving, CROSS, gone_after=110)
    with pair.run(Source(iter(frames)), record=path) as run:
        live = [event for result in run for event in result.events]
    session = load_session(path)
    assert len(session.others) == 1
    again = [event for result in pair.run(session) for event in result.events]
    assert again == live == list(session.events or ())
    assert {event.track_id for event in live} == {1, 2}


def test_events_of_who_left_while_the_consumer_was_busy_arrive_all_the_same(
    pair: Recognizer, waving: LandmarkSequence
):
    """Results nobody took in time are absorbed by the next, those of a person gone as well."""
    from bharsdk.pipeline.frame_handler import FrameHandler

    recognition = FrameHandler(Recognizer(pair.bundle)._classifier, "", pair.options)
    results = [recognition.handle(frame) for frame in _frames(waving, STAND, gone_after=60)]
    every = [event for result in results for event in result.events]
    merged = recognition.merge_lost_events(results[:-1], results[-1])
    assert sorted(map(str, merged.events)) == sorted(map(str, every))
    assert len({event.track_id for event in every}) == 2


def test_real_pictures_of_two_people_give_two_people():
    """Two videos side by side in one picture, through MediaPipe."""
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
    pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
    folder = Path(__file__).parents[2] / "examples/data/videos"
    captures = [cv2.VideoCapture(str(path)) for path in sorted(folder.glob("*.mp4"))[:2]]

    def pictures() -> object:
        for number in range(30):
            halves = [cv2.resize(capture.read()[1], (480, 270)) for capture in captures]
            yield np.hstack(halves), number * 40.0

    recognizer = Recognizer("asl-coffee-prgcn", max_persons=2)
    results = list(recognizer.run(pictures()))  # type: ignore[arg-type]
    for capture in captures:
        capture.release()
    seen = [[p for p in result.people if p.landmarks.has_body] for result in results]
    assert [len(people) for people in seen[-4:]] == [2] * 4
    (one, other) = seen[-1]
    assert one.track_id != other.track_id
    assert one.box is not None
    assert other.box is not None
    left, right = sorted((one.box, other.box), key=lambda box: box.left)
    assert left.right < 0.6
    assert right.left > 0.4
