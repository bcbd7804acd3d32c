"""One person's landmarks -> events: :class:`Stream` holds the state of one person.

::

    push(landmarks) -> window -> (every hop) features -> model -> probabilities -> decoder
    -> events
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bharsdk.events import Event, Rejection
from bharsdk.landmarks.landmarks import BODY_SHAPE, Landmarks
from bharsdk.landmarks.motion import movement
from bharsdk.landmarks.skeleton import BodyJoint
from bharsdk.recognition.classifier import Classifier
from bharsdk.recognition.decoder import Decoder
from bharsdk.recognition.features import extract
from bharsdk.recognition.options import RecognizerOptions
from bharsdk.recognition.results import Score, StageTimes
from bharsdk.recognition.window import Hop, LandmarkWindow
from bharsdk.values.brief import brief
from bharsdk.values.checks import typed

__all__ = ["Stream"]

MIN_PERSON_SHARE = 0.5
"""If fewer of the window's frames show the person, the model does not run: there is no sign."""
MIN_CLIP_SHARE = 0.5
"""If a source ends before it fills a window, the model runs once if it filled this much of it."""
SHOULDERS = [BodyJoint.LEFT_SHOULDER, BodyJoint.RIGHT_SHOULDER]
VISIBILITY = 3


class Stream:
    """The state of one person: landmarks in, events out.

    ::

        stream = recognizer.stream()
        for landmarks in frames:
            for event in stream.push(landmarks):
                print(event)

    Made by :meth:`bharsdk.Recognizer.stream`. One thread at a time may use it.
    """

    def __init__(
        self,
        classifier: Classifier,
        options: RecognizerOptions | None = None,
        track_id: int = 0,
    ) -> None:
        manifest, options = classifier.bundle.manifest, options or RecognizerOptions()
        self._classifier = classifier
        self._track_id = track_id
        self._min_keypoint_score = options.min_keypoint_score
        config = options.decoder_config(manifest)
        self._features = manifest.features
        self._skeletons = manifest.skeletons
        calibration = manifest.calibration
        self._window = LandmarkWindow(manifest.features, config.restart_gap_s, manifest.subject)
        self._hop = Hop(config.hop_s)
        self._wants_movement = config.min_movement > 0
        self._decoder = Decoder(
            manifest.all_labels,
            config,
            background=manifest.background,
            delay_ms=manifest.features.window_ms / 2,
            reject_below=0.0 if calibration is None else calibration.reject_below,
            allowed=options.allowed_labels(manifest),
        )
        self._labels = manifest.all_labels
        self._nobody = np.array([float(x == manifest.background) for x in manifest.all_labels])
        self._forget()

    def __repr__(self) -> str:
        return brief(self, track_id=self._track_id, is_warm=self.is_warm, current=self.current)

    @property
    def receptive_field_ms(self) -> float:
        """Milliseconds of landmarks that the model looks at. No event comes before them."""
        return self._features.window_ms

    @property
    def probabilities(self) -> npt.NDArray[np.float64] | None:
        """The last probabilities of the model, float64 [labels], not smoothed; None at first."""
        return None if self._probabilities is None else self._probabilities.copy()

    @property
    def current(self) -> tuple[str, float] | None:
        """Label and smoothed probability of the current sign, or None."""
        return self._decoder.current

    @property
    def ongoing(self) -> Event | None:
        """The current event with the phase HOLD, or None."""
        event = self._decoder.ongoing
        return None if event is None else replace(event, track_id=self._track_id)

    @property
    def is_warm(self) -> bool:
        """Whether there are enough landmarks for a decision."""
        return self._window.is_filled

    @property
    def rejection(self) -> Rejection | None:
        """Why there is no event now; None during an event."""
        if self._decoder.current is not None:
            return None
        if self._probabilities is None or not self._window.is_filled:
            return Rejection.WARMING
        return Rejection.NOBODY if self._is_nobody else self._decoder.rejection

    def top(self, count: int) -> tuple[Score, ...]:
        """Return the ``count`` most likely labels, best first; empty before the model ran."""
        count = typed(int, count, "stream: got the count")
        if self._probabilities is None:
            return ()
        smoothed = self._decoder.probabilities
        best = np.argsort(-smoothed, kind="stable")[:count]
        return tuple(Score(self._labels[i], float(smoothed[i])) for i in best)

    @property
    def stages(self) -> StageTimes:
        """Milliseconds of each stage in the last push or flush."""
        return self._stages

    def push(self, landmarks: Landmarks) -> list[Event]:
        """Take one frame, and return the events that it makes certain.

        Raises:
            InputError: the frame is not later than the last one, or its skeleton is neither the
                model's nor mapped to it. The state stays as it was.
        """
        begin_s = time.perf_counter()
        typed(Landmarks, landmarks, "stream: got")
        landmarks = landmarks.mapped(self._skeletons)
        self._window.check(landmarks)
        landmarks = self._as_seen(landmarks)
        events: list[Event] = []
        self._features_ms = self._action_ms = 0.0
        if self._window.breaks(landmarks):
            events = self._finish()
        self._window.push(landmarks)
        if self._window.is_filled and self._hop.is_due(landmarks.timestamp_ms):
            events += self._step(landmarks.timestamp_ms)
        self._note_stages(begin_s)
        return self._stamped(events)

    def flush(self) -> list[Event]:
        """Return the events that the end of the source makes certain.

        You can push more frames afterwards. They must be later than the last one, unless you call
        :meth:`reset`.
        """
        begin_s = time.perf_counter()
        self._features_ms = self._action_ms = 0.0
        events = self._finish()
        self._note_stages(begin_s)
        return self._stamped(events)

    def reset(self) -> None:
        """Forget everything, also an open event: no END follows for it."""
        self._window.reset()
        self._hop.reset()
        self._decoder.reset()
        self._forget()

    def _forget(self) -> None:
        self._probabilities: npt.NDArray[np.float64] | None = None
        self._stepped_ms: float | None = None
        self._is_nobody = False
        self._stages = StageTimes()
        self._features_ms = self._action_ms = 0.0

    def _as_seen(self, landmarks: Landmarks) -> Landmarks:
        """Return ``landmarks``, without the body if its shoulders are not visible enough."""
        if (landmarks.body[SHOULDERS, VISIBILITY] < self._min_keypoint_score).any():
            return replace(landmarks, body=np.full(BODY_SHAPE, np.nan, np.float32))
        return landmarks

    def _stamped(self, events: list[Event]) -> list[Event]:
        return [replace(event, track_id=self._track_id) for event in events]

    def _finish(self) -> list[Event]:
        """Classify the frames after the last hop, end an open event, and clear the window."""
        last_ms, events = self._window.last_ms, []
        if last_ms is not None and len(self._window):
            seen = self._window.span_ms / self._features.window_ms
            if self._stepped_ms != last_ms and seen >= MIN_CLIP_SHARE:
                events = self._step(last_ms)
            events += self._decoder.flush(last_ms)
        self._window.clear()
        self._hop.reset()
        self._stepped_ms = None
        return events

    def _step(self, now_ms: float) -> list[Event]:
        self._probabilities = self._classify(now_ms)
        self._stepped_ms = now_ms
        return self._decoder.step(
            now_ms, self._probabilities, self._window.first_ms, self._movement(now_ms)
        )

    def _movement(self, now_ms: float) -> float:
        """Return the movement in the window; infinity if it does not matter."""
        if self._is_nobody or not self._wants_movement:
            return math.inf
        return movement(self._window.sequence(), now_ms - self._features.window_ms)

    def _classify(self, now_ms: float) -> npt.NDArray[np.float64]:
        """Return the probabilities of the window that ends now, float64 [labels]."""
        self._is_nobody = self._window.person_share() < MIN_PERSON_SHARE
        if self._is_nobody:
            return self._nobody
        begin_s = time.perf_counter()
        features = extract(self._window.sequence(), self._features, now_ms)
        middle_s = time.perf_counter()
        row: npt.NDArray[np.float64] = self._classifier.probabilities(features.batch())[0]
        self._features_ms = (middle_s - begin_s) * 1000.0
        self._action_ms = (time.perf_counter() - middle_s) * 1000.0
        return row

    def _note_stages(self, begin_s: float) -> None:
        own_ms = (time.perf_counter() - begin_s) * 1000.0
        self._stages = StageTimes(
            features_ms=self._features_ms,
            action_ms=self._action_ms,
            decode_ms=max(own_ms - self._features_ms - self._action_ms, 0.0),
        )
