"""What can be recorded can be read and replayed; what cannot is an error before it is written."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bharsdk import Recognizer
from bharsdk.errors import BharError, InputError
from bharsdk.events import Event, EventPhase
from bharsdk.files.limits import MAX_PEOPLE, MAX_TIMESTAMP_MS
from bharsdk.landmarks.frame import Frame
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.recordings import extent as extent_module
from bharsdk.recordings.journal import JournalWriter
from bharsdk.recordings.recorder import SessionRecorder
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import load_session, save_session
from bharsdk.sources.source import Source

from .conftest import KnownLandmarker, NumberedPictures


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.bhar-session"


def crowd(one: Landmarks, count: int) -> tuple[Landmarks, ...]:
    """``one`` many times, each a little further to the right."""
    return tuple(
        dataclasses.replace(one, body=one.body + np.float32(i / 100)) for i in range(count)
    )


def same(was: Sequence[Frame], found: Sequence[Frame]) -> bool:
    """Whether all frames are equal, bit for bit."""
    return len(was) == len(found) and all(
        (a.timestamp_ms, a.aspect, len(a.people)) == (b.timestamp_ms, b.aspect, len(b.people))
        and all(
            (p.timestamp_ms, p.aspect) == (q.timestamp_ms, q.aspect)
            and p.body.tobytes() == q.body.tobytes()
            and p.hands.tobytes() == q.hands.tobytes()
            for p, q in zip(a.people, b.people, strict=True)
        )
        for a, b in zip(was, found, strict=True)
    )


@pytest.mark.parametrize("count", [1, 8, 16, 17, 20, 63, MAX_PEOPLE])
def test_as_many_people_as_a_frame_may_show_are_recorded_read_and_replayed(
    recording: LandmarkSequence, recognizer: Recognizer, path: Path, count: int
) -> None:
    """Twenty could not be read again, and 64 were lost at closing."""
    frames = [Frame(one.timestamp_ms, crowd(one, count)) for one in list(recording.frames())[:3]]
    with recognizer.run(Source(iter(frames)), record=path) as run:
        assert len(list(run)) == 3
    assert run.recording_error is None
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    session = load_session(path)
    assert same(frames, list(session.frames()))
    again = save_session(path.parent / "b.bhar-session", session)
    assert same(frames, list(load_session(again).frames()))
    assert len(list(recognizer.run(again))) == 3


@pytest.mark.parametrize("count", [MAX_PEOPLE + 1, 300])
def test_more_people_are_an_error_when_the_frame_is_made(
    recording: LandmarkSequence, count: int
) -> None:
    """300 raised struct.error while recording."""
    one = next(recording.frames())
    with pytest.raises(InputError, match=f"got {count} people, expected at most {MAX_PEOPLE}"):
        Frame(one.timestamp_ms, crowd(one, count))


def test_a_landmarker_that_finds_a_crowd_ends_the_run_with_what_was_recorded_whole(
    recording: LandmarkSequence, recognizer: Recognizer, path: Path
) -> None:
    """The frames before are in the file."""

    class Crowd(KnownLandmarker):
        def detect(self, image: Any, timestamp_ms: float) -> tuple[Landmarks, ...]:
            (one,) = super().detect(image, timestamp_ms)
            return crowd(one, 300 if len(self.seen) > 5 else 2)

    pictures = NumberedPictures([40.0 * i for i in range(10)])
    with (
        recognizer.run(pictures, landmarker=Crowd(recording), record=path) as run,
        pytest.raises(InputError, match="got 300 people"),
    ):
        list(run)
    assert len(load_session(path)) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timestamp_ms": 1e19}, "got timestamp 1e"),
        ({"timestamp_ms": math.nan}, "got timestamp nan"),
        ({"timestamp_ms": "now"}, "got timestamp 'now'"),
        ({"timestamp_ms": 5.0}, "stamped as their picture"),
        ({"aspect": math.inf}, "aspect"),
    ],
)
def test_a_frame_that_no_recording_can_hold_is_an_error_when_it_is_made(
    recording: LandmarkSequence, changes: dict[str, Any], message: str
) -> None:
    """Not when it is written, or read."""
    frame = Frame.of(next(recording.frames()))
    if "aspect" in changes:
        frame = dataclasses.replace(frame, people=())
    with pytest.raises(InputError, match=message):
        dataclasses.replace(frame, **changes)


def test_the_aspect_of_a_frame_is_that_of_its_people(recording: LandmarkSequence) -> None:
    """A landmarker may cut a square out of its picture: the recording says what landmarks mean."""
    one = dataclasses.replace(next(recording.frames()), aspect=1.0)
    assert Frame(one.timestamp_ms, (one,), 16 / 9).aspect == 1.0
    other = dataclasses.replace(one, aspect=1.5)
    with pytest.raises(InputError, match=r"aspects 1\.0 and 1\.5, expected one"):
        Frame(one.timestamp_ms, (one, other))


def test_who_was_not_seen_is_not_in_a_frame(recording: LandmarkSequence) -> None:
    """A recording cannot tell such a person from nobody, so the run does not either."""
    one = next(recording.frames())
    nobody = Landmarks.empty(one.timestamp_ms, one.aspect)
    assert Frame(one.timestamp_ms, (nobody, one)).people == (one,)
    assert Frame.of(nobody).people == ()


TIMES = st.one_of(
    st.floats(0, 2000), st.sampled_from([0.0, 100.0, -1.0, math.nan, 1e15, 1e19, math.inf])
)
EVENTS = st.fixed_dictionaries(
    {
        "label": st.sampled_from(["tea", "", "x" * 101, "a\x1b[2J", "\ud800", "é" * 100]),
        "phase": st.sampled_from(EventPhase),
        "start_ms": TIMES,
        "end_ms": st.none() | TIMES,
        "score": st.sampled_from([0, 0.5, 1.0, True, math.nan, -1, 2, np.float32(0.5)]),
        "track_id": st.sampled_from([0, 3, True, -1, 2**53, 2**60, np.int64(2)]),
    }
)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    plan=st.lists(
        st.tuples(TIMES, st.sampled_from([0, 1, 2, 3, 64, 65, 300]), st.floats(0.05, 12), EVENTS),
        min_size=1,
        max_size=6,
    )
)
def test_what_the_writer_accepts_comes_back_equal_and_what_it_refuses_harms_nothing(
    plan: list[tuple[float, int, float, dict[str, Any]]],
    recording: LandmarkSequence,
    recognizer: Recognizer,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Frames and events of any kind, good and bad in turn; then it replays."""
    path = tmp_path_factory.mktemp("plan") / "a.bhar-session"
    recorder = SessionRecorder(path, "ab")
    one = next(recording.frames())
    frames: list[Frame] = []
    events: list[Event] = []
    for time_ms, count, aspect, fields in plan:
        try:
            event = Event(**fields)
        except InputError:
            event = None
        given_events = [] if event is None else [event]
        try:
            stamped = dataclasses.replace(one, timestamp_ms=time_ms, aspect=aspect)
            frame = Frame(time_ms, crowd(stamped, count), aspect)
            recorder.add(frame, given_events)
        except InputError:
            continue
        frames.append(frame)
        events += given_events
    recorder.close()
    assert recorder.error is None
    assert path.exists() == bool(frames)
    if frames:
        session = load_session(path)
        assert same(frames, list(session.frames()))
        assert list(session.events or ()) == events
        assert len(list(recognizer.run(path))) >= len(frames)


def test_a_time_that_does_not_increase_is_refused_before_it_is_written(
    recording: LandmarkSequence, path: Path
) -> None:
    """It made the whole recording unreadable at closing."""
    first, second, third = list(recording.frames())[:3]
    recorder = SessionRecorder(path)
    recorder.add(Frame.of(second), ())
    for late in (first, second):
        with pytest.raises(InputError, match="expected times that increase"):
            recorder.add(Frame.of(late), ())
    recorder.add(Frame.of(third), ())
    recorder.close()
    assert same([Frame.of(second), Frame.of(third)], list(load_session(path).frames()))


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_PERSON_FRAMES", 40, "41 frames times people, expected at most 40"),
        ("MAX_EVENTS", 3, "events, expected at most 3"),
        ("MAX_HEADER_BYTES", 1800, "bytes of JSON, expected at most 1800"),
    ],
)
def test_a_recording_that_is_full_stays_whole_and_the_run_goes_on(
    recognizer: Recognizer,
    waving: LandmarkSequence,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: int,
    message: str,
) -> None:
    """It is said at once, and what was recorded until then reads and replays."""
    expected = [event for result in recognizer.run(waving) for event in result.events]
    monkeypatch.setattr(extent_module, limit, value)
    with recognizer.run(waving, record=path) as run:
        assert [event for result in run for event in result.events] == expected
        assert message in (run.recording_error or "")
    session = load_session(path)
    frames = [Frame.of(one) for one in waving.frames()]
    assert 0 < len(session) < len(frames)
    assert same(frames[: len(session)], list(session.frames()))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_one_frame_of_many_people_counts_for_all_frames(
    recording: LandmarkSequence, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session keeps a place for each of them in every frame."""
    monkeypatch.setattr(extent_module, "MAX_PERSON_FRAMES", 100)
    frames = list(recording.frames())[:30]
    with JournalWriter(path) as writer:
        for one in frames[:20]:
            writer.add(Frame.of(one), ())
        with pytest.raises(InputError, match="126 frames times people"):
            writer.add(Frame(frames[20].timestamp_ms, crowd(frames[20], 6)), ())
        writer.add(Frame(frames[20].timestamp_ms, crowd(frames[20], 4)), ())
    assert len(load_session(path)) == 21


@pytest.mark.parametrize(
    "options",
    [
        {"labels": ["x" * 100] * 2000},
        {"x": math.nan},
        {"x": 10**400},
        {"x": object()},
        {"x": {1, 2}},
        {"x": "\ud800"},
        {"x": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]},
    ],
    ids=lambda options: str(options)[:20].encode("ascii", "replace").decode(),
)
def test_options_that_could_not_be_read_are_refused_at_the_start(
    options: dict[str, Any], path: Path, recording: LandmarkSequence
) -> None:
    """Nothing is left behind; the same of a session in memory."""
    with pytest.raises(InputError, match="recording"):
        SessionRecorder(path, options=options)
    if "labels" not in options:  # there is more room for them in a session
        with pytest.raises(InputError, match="session"):
            save_session(path, Session(recording, options=options))
    assert not list(path.parent.iterdir())


def test_what_a_session_in_memory_holds_is_written_or_refused_as_a_whole(
    recording: LandmarkSequence, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others at other times, aspects of no image, values that float16 has not, too many frames."""
    later = recording.replaced(timestamps_ms=recording.timestamps_ms + 1)
    with pytest.raises(InputError, match="different times"):
        Session(recording, others=(later,))
    with pytest.raises(InputError, match="aspects, expected one for each"):
        Session(recording, aspects=np.ones(3))
    with pytest.raises(InputError, match="image aspect nan"):
        Session(recording, aspects=np.full(len(recording), np.nan))
    with pytest.raises(InputError, match="65 people"):
        Session(recording, others=(recording,) * MAX_PEOPLE)
    large = recording.replaced(body=recording.body * np.float32(1e6))
    with pytest.raises(InputError, match="expected float32 for them"):
        save_session(path, Session(large), dtype=np.float16)
    with pytest.raises(InputError, match="JSON"):
        save_session(path, Session(recording, note="x" * (9 << 20)))
    monkeypatch.setattr(extent_module, "MAX_PERSON_FRAMES", len(recording))
    with pytest.raises(InputError, match="frames times people"):
        save_session(path, Session(recording, others=(recording,)))
    assert not path.exists()
    session = load_session(save_session(path, Session(recording, model="ab", options={"a": 1})))
    assert (session.model, session.options) == ("ab", {"a": 1})


@pytest.mark.parametrize("last_ms", [1.8e12, MAX_TIMESTAMP_MS])
def test_times_up_to_the_bound_are_recognized_as_any_others(
    recognizer: Recognizer, waving: LandmarkSequence, path: Path, last_ms: float
) -> None:
    """What loads runs: the events are those of a recording that begins at 0."""
    shift_ms = math.floor(last_ms - waving.timestamps_ms[-1])
    # Whole eighths of a millisecond are exact up to the bound.
    begun = waving.replaced(timestamps_ms=np.floor(waving.timestamps_ms * 8) / 8)
    late = begun.replaced(timestamps_ms=begun.timestamps_ms + shift_ms)
    save_session(path, Session(late))

    def labels(source: LandmarkSequence | Path) -> list[tuple[str, EventPhase]]:
        return [(e.label, e.phase) for result in recognizer.run(source) for e in result.events]

    assert labels(path) == labels(begun) != []


def test_one_picture_with_an_impossible_time_is_dropped_and_the_run_goes_on(
    recognizer: Recognizer, recording: LandmarkSequence
) -> None:
    """1e19 ms is a damaged frame, as NaN is: it ended the run."""
    times = [40.0, 80.0, 1e19, 120.0, math.nan, 160.0, -5.0, 200.0]
    with recognizer.run(NumberedPictures(times), landmarker=KnownLandmarker(recording)) as run:
        assert [result.timestamp_ms for result in run] == [40.0, 80.0, 120.0, 160.0, 200.0]


def test_values_at_the_bound_of_coordinates_run(
    recognizer: Recognizer, recording: LandmarkSequence
) -> None:
    """Beyond it features overflow, so it is refused when it enters."""
    random = np.random.default_rng(0)
    body, hands = recording.body[:30].copy(), recording.hands[:30].copy()
    body[..., :3] = random.choice([-1e9, 1e9], body[..., :3].shape)
    hands[:] = random.choice([-1e9, 1e9], hands.shape)
    wild = LandmarkSequence(recording.timestamps_ms[:30], body, hands)
    with np.errstate(over="raise", invalid="raise"):
        assert len(list(recognizer.run(wild))) >= 30
    with pytest.raises(InputError, match="infinite or huge body coordinate"):
        wild.replaced(body=body * np.float32(2))
    with pytest.raises(BharError, match="infinite or huge hand coordinate"):
        wild.replaced(hands=hands * np.float32(1e20))
