"""One person's landmarks -> events: :class:`Stream` holds the state of one source.

::

    push(landmarks) -> window -> (every hop) features -> engine -> probabilities -> decoder
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
"""With somebody in fewer of the window's frames there is no sign to see: the model is not asked."""
MIN_CLIP_SHARE = 0.5
"""A source that ends before its first window is filled is classified once if this much was seen."""
SHOULDERS = [BodyJoint.LEFT_SHOULDER, BodyJoint.RIGHT_SHOULDER]
VISIBILITY = 3


class Stream:
    """The state of one source: not to be shared between threads. Made by ``Recognizer.stream``."""

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
        """Milliseconds of landmarks that one decision looks at; no event before they are there."""
        return self._features.window_ms

    @property
    def probabilities(self) -> npt.NDArray[np.float64] | None:
        """What the model said last, float64 [classes], not smoothed; None before it ran."""
        return None if self._probabilities is None else self._probabilities.copy()

    @property
    def current(self) -> tuple[str, float] | None:
        """Label and smoothed probability of the sign that is going on, or None."""
        return self._decoder.current

    @property
    def ongoing(self) -> Event | None:
        """The event that is going on, its phase HOLD, or None."""
        event = self._decoder.ongoing
        return None if event is None else replace(event, track_id=self._track_id)

    @property
    def is_warm(self) -> bool:
        """Whether the receptive field is filled."""
        return self._window.is_filled

    @property
    def rejection(self) -> Rejection | None:
        """Why there is no event now; None while one goes on."""
        if self._decoder.current is not None:
            return None
        if self._probabilities is None or not self._window.is_filled:
            return Rejection.WARMING
        return Rejection.NOBODY if self._is_nobody else self._decoder.rejection

    def top(self, count: int) -> tuple[Score, ...]:
        """The likeliest labels with their smoothed probabilities; empty before the model ran."""
        count = typed(int, count, "stream: got the count")
        if self._probabilities is None:
            return ()
        smoothed = self._decoder.probabilities
        best = np.argsort(-smoothed, kind="stable")[:count]
        return tuple(Score(self._labels[i], float(smoothed[i])) for i in best)

    @property
    def stages(self) -> StageTimes:
        """What the last push or flush took."""
        return self._stages

    def push(self, landmarks: Landmarks) -> list[Event]:
        """Take one frame; the events that become certain with it.

        Raises InputError, with the state unchanged, when its time is not later than the last, and
        when its skeleton is neither the model's nor mapped to it.
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
        """The events that the end of the source makes certain; then ready for what follows later.

        Time goes on: a frame pushed afterwards must still be later than the last. :meth:`reset`
        forgets that too.
        """
        begin_s = time.perf_counter()
        self._features_ms = self._action_ms = 0.0
        events = self._finish()
        self._note_stages(begin_s)
        return self._stamped(events)

    def reset(self) -> None:
        """As newly made. An open event vanishes without an END."""
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
        """``landmarks`` without a body whose shoulders, the unit of all features, are guessed."""
        if (landmarks.body[SHOULDERS, VISIBILITY] < self._min_keypoint_score).any():
            return replace(landmarks, body=np.full(BODY_SHAPE, np.nan, np.float32))
        return landmarks

    def _stamped(self, events: list[Event]) -> list[Event]:
        return [replace(event, track_id=self._track_id) for event in events]

    def _finish(self) -> list[Event]:
        """Let the frames after the last hop speak, end what is open, and clear the window."""
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
        """Within the window; measured only where it counts."""
        if self._is_nobody or not self._wants_movement:
            return math.inf
        return movement(self._window.sequence(), now_ms - self._features.window_ms)

    def _classify(self, now_ms: float) -> npt.NDArray[np.float64]:
        """Probabilities float64 [classes] of the window that ends now."""
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
