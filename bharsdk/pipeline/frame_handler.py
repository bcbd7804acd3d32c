"""Turns the frames of a run into results: one stream for each person, and maybe a recorder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from bharsdk.events import Event
from bharsdk.landmarks.frame import Frame
from bharsdk.landmarks.landmarks import Landmarks
from bharsdk.landmarks.tracking import PeopleTracker
from bharsdk.recognition.classifier import Classifier
from bharsdk.recognition.options import RecognizerOptions
from bharsdk.recognition.results import Person, Result, StageTimes
from bharsdk.recognition.stream import Stream

__all__ = ["FrameHandler", "Recorder"]


class Recorder(Protocol):
    """Records frames and their events."""

    def add(self, frame: Frame, events: Sequence[Event]) -> None:
        """Add one frame and its events. The last frame comes twice if the end brings events."""
        ...

    def close(self) -> None:
        """Finish the recording."""
        ...

    @property
    def error(self) -> str | None:
        """Why the recording is incomplete; None if it is complete."""
        ...


class FrameHandler:
    """The state of one run: a stream for each person. One thread at a time may use it.

    Only :meth:`merge_lost_events` may run in another thread. backend: what runs the model, for
    :attr:`bharsdk.Result.backend`.
    """

    def __init__(
        self,
        classifier: Classifier,
        backend: str,
        options: RecognizerOptions,
        recorder: Recorder | None = None,
    ) -> None:
        self._classifier, self._backend = classifier, backend
        self._options, self._recorder = options, recorder
        self._tracker = PeopleTracker(options.max_persons) if options.max_persons > 1 else None
        self._streams: dict[int, Stream] = {}
        if self._tracker is None:
            self._streams[0] = self._stream(0)
        self._last: Frame | None = None
        self.is_warm = False

    @property
    def recording_error(self) -> str | None:
        """Why the recording is incomplete; None if it is complete or there is none."""
        return None if self._recorder is None else self._recorder.error

    def handle(self, frame: Frame) -> Result:
        """Push each person's landmarks into their stream, and return the result of the frame."""
        stages = StageTimes(frame.capture_ms, frame.landmarks_ms)
        people, gone = self._followed(frame)
        found = []
        for track_id, landmarks in people.items():
            stream = self._streams[track_id]
            events = stream.push(landmarks)
            stages = stages.plus(stream.stages)
            found.append(self._person(track_id, landmarks, stream, events))
        for track_id in gone:
            stream = self._streams.pop(track_id)
            nowhere = Landmarks.empty(frame.timestamp_ms, frame.aspect)
            found.append(self._person(track_id, nowhere, stream, stream.flush()))
        self.is_warm = any(stream.is_warm for stream in self._streams.values())
        self._last = frame
        result = self._result(frame, found, stages)
        self._record(frame, result)
        return result

    def finish(self) -> Result | None:
        """Return the last frame again with the events of the end; None if there are none."""
        frame = self._last
        if frame is None:
            return None
        found, stages = [], StageTimes()
        for track_id, stream in self._streams.items():
            landmarks = Landmarks.empty(frame.timestamp_ms, frame.aspect)
            if self._tracker is None:
                landmarks = frame.landmarks
            events = stream.flush()
            stages = stages.plus(stream.stages)
            found.append(self._person(track_id, landmarks, stream, events))
        result = replace(self._result(frame, found, stages), is_final=True)
        if not result.events:
            return None
        self._record(frame, result)
        return result

    def merge_lost_events(self, lost: Sequence[Result], result: Result) -> Result:
        """Return ``result`` with the events of the ``lost`` results, each with its person."""
        missed: dict[int, list[Event]] = {}
        for earlier in lost:
            for event in earlier.events:
                missed.setdefault(event.track_id, []).append(event)
        if not missed:
            return result
        people = [
            replace(person, events=(*missed.pop(person.track_id, ()), *person.events))
            for person in result.people
        ]
        for earlier in lost:
            for person in earlier.people:
                if person.track_id in missed:  # left in the meantime
                    people.append(replace(person, events=tuple(missed.pop(person.track_id))))
        return replace(result, people=tuple(people))

    def close(self) -> None:
        """Finish the recording."""
        if self._recorder is not None:
            self._recorder.close()

    def _followed(self, frame: Frame) -> tuple[dict[int, Landmarks], list[int]]:
        """Landmarks by track of everyone followed, NaN where not seen now; tracks that ended."""
        if self._tracker is None:
            return {0: frame.landmarks}, []
        seen = self._tracker.update(frame.people, frame.timestamp_ms)
        for track_id in seen:
            if track_id not in self._streams:
                self._streams[track_id] = self._stream(track_id)
        gone = [track_id for track_id in self._streams if track_id not in self._tracker.track_ids]
        nowhere = Landmarks.empty(frame.timestamp_ms, frame.aspect)
        followed = {
            track_id: seen.get(track_id, nowhere)
            for track_id in self._streams
            if track_id not in gone
        }
        return followed, gone

    def _stream(self, track_id: int) -> Stream:
        return Stream(self._classifier, self._options, track_id)

    def _person(
        self, track_id: int, landmarks: Landmarks, stream: Stream, events: list[Event]
    ) -> Person:
        label, score = stream.current or (None, 0.0)
        return Person(
            track_id,
            landmarks,
            label,
            score,
            events[-1] if events else stream.ongoing,
            tuple(events),
            stream.top(self._options.max_results),
            stream.rejection,
        )

    def _result(self, frame: Frame, people: Sequence[Person], stages: StageTimes) -> Result:
        return Result(
            frame.timestamp_ms,
            frame.number,
            tuple(people),
            frame.aspect,
            stages,
            self._backend,
            image=frame.image,
        )

    def _record(self, frame: Frame, result: Result) -> None:
        if self._recorder is not None:
            self._recorder.add(frame, result.events)
