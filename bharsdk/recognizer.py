"""Landmarks -> events: :class:`Recognizer` holds the model, :class:`Stream` the state of a source.

::

    push(landmarks) -> window -> (every hop) features -> engine -> probabilities -> decoder
    -> events
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bharsdk.bundle import Bundle, load_bundle
from bharsdk.calibration import probabilities
from bharsdk.decode import Decoder, Event, EventPhase
from bharsdk.engines import Engine, backend_by_name
from bharsdk.engines.choice import choose_engine
from bharsdk.errors import InputError
from bharsdk.features import extract
from bharsdk.landmarks import Landmarks
from bharsdk.results import Result, StageTimes
from bharsdk.sources import SourceLike, open_source
from bharsdk.sources.frame import Landmarker
from bharsdk.window import Hop, LandmarkWindow

__all__ = ["Recognizer", "Result", "StageTimes", "Stream", "bundle_path", "shipped_bundles"]

SHIPPED = Path(__file__).parent / "models"
SUFFIX = ".bhar"

MIN_PERSON_SHARE = 0.5
"""With somebody in fewer of the window's frames there is no sign to see: the model is not asked."""
MIN_CLIP_SHARE = 0.5
"""A source that ends before its first window is filled is classified once if this much was seen."""


def shipped_bundles() -> dict[str, Path]:
    """Name -> path of the bundles that come with bharsdk."""
    return {path.stem: path for path in sorted(SHIPPED.glob(f"*{SUFFIX}"))}


def bundle_path(name: str | PathLike[str]) -> Path:
    """The path of a bundle given as a path or as the name of a shipped one.

    Raises InputError on a bare name that is neither a file nor shipped.
    """
    path = Path(name)
    if path.exists() or path.suffix == SUFFIX or len(path.parts) != 1:
        return path
    shipped = shipped_bundles()
    if str(name) not in shipped:
        known = ", ".join(shipped) or "none in this installation"
        raise InputError(
            f"model {str(name)!r}: got no file and no shipped model of this name, expected"
            f" PATH{SUFFIX} or one of: {known}"
        )
    return shipped[str(name)]


class Recognizer:
    """A model that is ready to run: immutable, to be shared between threads.

    bundle: a path, the name of a shipped model (``asl-coffee``), or a loaded Bundle. device: what
    runs it, ``onnx``, ``native``, ``tflite`` or ``tensorrt``; ``auto`` takes the fastest, by
    measurement at the first load (:mod:`bharsdk.engines.choice`). require: raise the error of
    whatever computes something else than the exporter did, where otherwise a warning says what
    runs in its place. The choice goes to the logger ``bharsdk``.

    Raises InputError when there is no such bundle, BundleError when it is damaged,
    IncompatibleError when it is of another version, UsageError on an unknown device,
    BackendMissingError when the bundle has no model for the device or its package is not installed,
    ParityError when this machine does not compute the golden logits of the bundle.
    """

    def __init__(
        self, bundle: str | PathLike[str] | Bundle, *, device: str = "auto", require: bool = False
    ) -> None:
        self._bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle_path(bundle))
        self._choice = choose_engine(self._bundle, backend_by_name(device), require=require)

    @property
    def bundle(self) -> Bundle:
        """The bundle that runs."""
        return self._bundle

    @property
    def backend(self) -> str:
        """What runs it and why: ``native int8, avx2 (one clip: native 4.6 ms, onnx 6.6 ms)``."""
        return str(self._choice)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities, the background label among them."""
        return self._bundle.manifest.labels

    @property
    def receptive_field_ms(self) -> float:
        """Milliseconds of landmarks that one decision looks at."""
        return self._bundle.manifest.features.window_ms

    def stream(self) -> Stream:
        """A new stream, for one source. Streams share nothing but the model."""
        return Stream(self._bundle, self._choice.engine)

    def run(
        self, source: SourceLike, *, landmarker: Landmarker | None = None
    ) -> Generator[Result, None, None]:
        """A result for every frame of ``source``, and a final one if its end brought events.

        source: a camera number, the path of a video or recorded session, or Landmarks in time
        order. landmarker: finds the joints in pictures, default MediaPipe Holistic. The source is
        closed when the iterator ends or is closed. Raises what :func:`bharsdk.sources.open_source`
        does, and InputError on a time that does not increase.
        """
        stream = self.stream()
        last: Result | None = None
        with open_source(source, landmarker) as frames:
            for number, frame in enumerate(frames):
                events = stream.push(frame.landmarks)
                label, score = stream.current or (None, 0.0)
                stages = replace(
                    stream.stages, capture_ms=frame.capture_ms, landmarks_ms=frame.landmarks_ms
                )
                last = Result(
                    timestamp_ms=frame.landmarks.timestamp_ms,
                    frame=number,
                    landmarks=frame.landmarks,
                    label=label,
                    score=score,
                    events=tuple(events),
                    stages=stages,
                    image=frame.image,
                )
                yield last
            events = stream.flush()
            if last is not None and events:
                yield replace(
                    last,
                    label=None,
                    score=0.0,
                    events=tuple(events),
                    stages=stream.stages,
                    is_final=True,
                )

    def recognize_clip(
        self, source: SourceLike, *, landmarker: Landmarker | None = None
    ) -> list[Event]:
        """Every sign in ``source``, whole, in time order: the END events of :meth:`run`.

        A clip of one sign gives one event, also when it is a little shorter than the receptive
        field. Raises what :meth:`run` does.
        """
        results = self.run(source, landmarker=landmarker)
        events = (event for result in results for event in result.events)
        return [event for event in events if event.phase is EventPhase.END]


class Stream:
    """The state of one source: not to be shared between threads. Made by ``Recognizer.stream``."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        manifest = bundle.manifest
        self._engine = engine
        self._features = manifest.features
        calibration = manifest.calibration
        self._temperature = 1.0 if calibration is None else calibration.temperature
        self._window = LandmarkWindow(
            manifest.features, manifest.decoder.restart_gap_s, manifest.subject
        )
        self._hop = Hop(manifest.decoder.hop_s)
        self._decoder = Decoder(
            manifest.labels,
            manifest.decoder,
            background=manifest.background,
            delay_ms=manifest.features.window_ms / 2,
            reject_below=0.0 if calibration is None else calibration.reject_below,
        )
        self._nobody = np.array([float(x == manifest.background) for x in manifest.labels])
        self._forget()

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
    def stages(self) -> StageTimes:
        """What the last push or flush took."""
        return self._stages

    def push(self, landmarks: Landmarks) -> list[Event]:
        """Take one frame; the events that become certain with it.

        Raises InputError, with the state unchanged, when its time is not later than the last.
        """
        begin_s = time.perf_counter()
        self._window.check(landmarks)
        events: list[Event] = []
        self._features_ms = self._action_ms = 0.0
        if self._window.breaks(landmarks):
            events = self._finish()
        self._window.push(landmarks)
        if self._window.is_filled and self._hop.is_due(landmarks.timestamp_ms):
            events += self._step(landmarks.timestamp_ms)
        self._note_stages(begin_s)
        return events

    def flush(self) -> list[Event]:
        """The events that the end of the source makes certain; then ready for what follows later.

        Time goes on: a frame pushed afterwards must still be later than the last. :meth:`reset`
        forgets that too.
        """
        begin_s = time.perf_counter()
        self._features_ms = self._action_ms = 0.0
        events = self._finish()
        self._note_stages(begin_s)
        return events

    def reset(self) -> None:
        """As newly made. An open event vanishes without an END."""
        self._window.reset()
        self._hop.reset()
        self._decoder.reset()
        self._forget()

    def _forget(self) -> None:
        self._probabilities: npt.NDArray[np.float64] | None = None
        self._stepped_ms: float | None = None
        self._stages = StageTimes()
        self._features_ms = self._action_ms = 0.0

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
        return self._decoder.step(now_ms, self._probabilities, self._window.first_ms)

    def _classify(self, now_ms: float) -> npt.NDArray[np.float64]:
        """Probabilities float64 [classes] of the window that ends now."""
        if self._window.person_share() < MIN_PERSON_SHARE:
            return self._nobody
        begin_s = time.perf_counter()
        features = extract(self._window.sequence(), self._features, now_ms)
        middle_s = time.perf_counter()
        logits = self._engine.run(features.batch())[0]
        self._features_ms = (middle_s - begin_s) * 1000.0
        self._action_ms = (time.perf_counter() - middle_s) * 1000.0
        return probabilities(logits, self._temperature)

    def _note_stages(self, begin_s: float) -> None:
        own_ms = (time.perf_counter() - begin_s) * 1000.0
        self._stages = StageTimes(
            features_ms=self._features_ms,
            action_ms=self._action_ms,
            decode_ms=max(own_ms - self._features_ms - self._action_ms, 0.0),
        )
