"""A model that is ready to run: :class:`Recognizer`, and where the models that ship are."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bharsdk.bundle.bundle import Bundle, load_bundle, save_bundle
from bharsdk.bundle.shipped import bundle_path, shipped_bundles
from bharsdk.cameras.pictures import Pictures
from bharsdk.cameras.source_config import SourceConfig
from bharsdk.engines.engine import Backend, backend_by_name
from bharsdk.engines.selection import choose_engine
from bharsdk.errors import UsageError
from bharsdk.events import Event, EventPhase
from bharsdk.files.codec import to_json_dict
from bharsdk.files.outputs import paths_in, refuse_overwriting
from bharsdk.gestures.classifier import Classifier
from bharsdk.gestures.enroll import (
    Clip,
    Enrolled,
    check_new_label,
    enrolled,
    gestures_in,
    read_clips,
    without,
)
from bharsdk.landmarkers.registry import LandmarkerLike, check_choice, opened_landmarker
from bharsdk.pipeline.board import StatusBoard, check_callback
from bharsdk.pipeline.frame_handler import FrameHandler
from bharsdk.pipeline.pipeline import Pipeline
from bharsdk.pipeline.run import Callbacks, Run
from bharsdk.pipeline.status import OnStatus, RunState
from bharsdk.recognition.options import NamedOptions, RecognizerOptions, options_of
from bharsdk.recognition.results import Result, StageTimes
from bharsdk.recognition.stream import Stream
from bharsdk.recordings.recorder import SessionRecorder
from bharsdk.recordings.replay import Replay
from bharsdk.sources.opening import SourceLike, open_pictures_or_frames
from bharsdk.sources.source import Source
from bharsdk.values.brief import brief
from bharsdk.values.checks import as_path, typed

if TYPE_CHECKING:
    from typing_extensions import Unpack  # what type checkers bring along

__all__ = ["Recognizer", "Result", "StageTimes", "Stream", "bundle_path", "shipped_bundles"]

LOGGER = logging.getLogger("bharsdk")


class Recognizer:
    """A model that is ready to run, to be shared between threads.

    It never changes, but for the gestures that :meth:`enroll` and :meth:`remove` teach it: runs and
    streams that are there already keep the labels they began with, later ones have the new ones.

    bundle: a path, the name of a shipped model (``asl-coffee``), or a loaded Bundle. device: what
    runs it, ``onnx``, ``native``, ``tflite`` or ``tensorrt``; ``auto`` takes the fastest, by
    measurement at the first load (:mod:`bharsdk.engines.selection`). require: raise the error of
    whatever computes something else than the exporter did, where otherwise a warning says what
    runs in its place. The choice goes to the logger ``bharsdk``. Further names are those of
    :class:`bharsdk.recognition.options.RecognizerOptions`, which ``options`` gives whole:
    score_threshold, label_allowlist, label_denylist, max_results, max_persons, min_keypoint_score,
    decoder.

    Raises InputError when there is no such bundle or an option is out of range, BundleError when it
    is damaged, IncompatibleError when it is of another version, UsageError on an unknown device or
    option, BackendMissingError when the bundle has no model for the device, or there is no package
    to run it, ParityError when this machine does not compute the golden logits of the bundle.
    """

    def __init__(
        self,
        bundle: str | PathLike[str] | Bundle,
        *,
        device: str = "auto",
        require: bool = False,
        options: RecognizerOptions | None = None,
        **named: Unpack[NamedOptions],
    ) -> None:
        typed(RecognizerOptions | None, options, "recognizer: got options")
        typed(str | Backend, device, "recognizer: got device")
        require = typed(bool, require, "recognizer: got require")
        if named and options is not None:
            raise UsageError(
                f"recognizer: got options and {', '.join(named)}, expected one of them"
            )
        self._options = options_of(named) if options is None else options
        bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self._options.allowed_labels(bundle.manifest)  # refuses unknown ones now
        self._choice = choose_engine(bundle, backend_by_name(device), require=require)
        # Replaced as a whole by one assignment, so that who reads it once sees one state.
        self._classifier = Classifier(bundle, self._choice.engine)
        self._teaching = threading.Lock()

    def __repr__(self) -> str:
        return brief(
            self,
            model=self.bundle.manifest.name,
            backend=self.backend,
            labels=len(self.labels),
            gestures=len(self.bundle.manifest.gestures) or None,
        )

    @property
    def bundle(self) -> Bundle:
        """The bundle that runs, with the gestures enrolled by now."""
        return self._classifier.bundle

    @property
    def backend(self) -> str:
        """What runs it and why: ``native int8, avx2 (one clip: native 4.6 ms, onnx 6.6 ms)``."""
        return str(self._choice)

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of the probabilities: the model's, its background too, then gestures."""
        return self.bundle.manifest.all_labels

    @property
    def receptive_field_ms(self) -> float:
        """Milliseconds of landmarks that one decision looks at."""
        return self.bundle.manifest.features.window_ms

    @property
    def options(self) -> RecognizerOptions:
        """What was asked of it."""
        return self._options

    def stream(self) -> Stream:
        """A new stream, for one person in one source. Streams share nothing but the model."""
        return Stream(self._classifier, self._options)

    def run(
        self,
        source: SourceLike,
        *,
        landmarker: LandmarkerLike | None = None,
        config: SourceConfig | None = None,
        on_status: OnStatus | None = None,
        record: str | PathLike[str] | None = None,
    ) -> Run:
        """Results of ``source``: one a frame, and a final one if its end brought events.

        source: a camera number, an address, the path of a video or recorded session, Landmarks or
        (image, timestamp_ms) in time order (:mod:`bharsdk.sources.opening`). landmarker: finds the
        joints in pictures: a name (``body-hands``, the default, or ``holistic``), which the run
        opens and closes, or an object, which stays open. config:
        back-pressure, staleness and reconnecting. on_status: told of every change of state. record:
        a ``NAME.bhar-session`` to keep landmarks and events in; UsageError when it is ``source``.

        Pictures are read, searched and recognized by threads of the run's own. A frame whose time
        does not increase is dropped and counted. With ``config.wait_for_source_s`` a camera or file
        that is not there yet is waited for, in the state STARTING; closing the run, and Ctrl-C, end
        the wait. Raises what :func:`bharsdk.sources.open_source` does: at once what can be told at
        once, else while iterating.
        """
        typed(SourceConfig | None, config, "run: got config")
        if record is not None:
            record = as_path(record, "run: got record")
        if record is not None and isinstance(source, str | Path):
            named = [("source", path) for path in paths_in(source)]
            refuse_overwriting([("record", Path(record))], named)
        config, board = config or SourceConfig(), StatusBoard(on_status)
        try:
            check_choice(landmarker, self._options.max_persons)
            opened = open_pictures_or_frames(
                source, config, on_lost=board.lose, on_back=board.regain, on_wait=board.wait
            )
            return self._start(opened, landmarker, config, board, record)
        except BaseException as error:
            board.show(RunState.ERROR, str(error))
            raise

    def start(
        self,
        source: SourceLike,
        on_result: Callable[[Result], None],
        **settings: Any,
    ) -> Callbacks:
        """As :meth:`run`, but a thread of its own calls ``on_result`` for every result.

        settings: those of :meth:`run`. A slow callback loses results, never events. An exception of
        it ends the run: ``join()`` raises it, and where nobody joins it is logged as an error.
        Raises InputError when ``on_result`` cannot be called.
        """
        check_callback("on_result", on_result)  # before anything is opened
        return Callbacks(self.run(source, **settings), on_result)

    def _start(
        self,
        opened: Pictures | Source,
        landmarker: LandmarkerLike | None,
        config: SourceConfig,
        board: StatusBoard,
        record: str | PathLike[str] | None,
    ) -> Run:
        recorder, classifier = None, self._classifier
        try:
            if record is not None:
                recorder = SessionRecorder(
                    Path(record), classifier.bundle.sha256, to_json_dict(self._options)
                )
            recognition = FrameHandler(classifier, self.backend, self._options, recorder)
            if isinstance(opened, Source):
                serial = Replay(iter(opened), recognition, opened.close, opened.interrupt)
                return Run(serial, recognition, board, opened)
            finder, owns = opened_landmarker(landmarker, self._options.max_persons)
        except BaseException:
            opened.close()
            if recorder is not None:
                recorder.close()
            raise
        pipeline = Pipeline(
            opened,
            finder,
            recognition,
            config,
            owns_landmarker=owns,
            # The pipeline has logged it, as far as a log stays readable.
            on_trouble=lambda error: board.show(
                RunState.DEGRADED, f"landmarker: {error!r}", is_logged=True
            ),
        )
        return Run(pipeline, recognition, board, opened)

    def recognize_clip(
        self, source: SourceLike, *, landmarker: LandmarkerLike | None = None
    ) -> list[Event]:
        """Every sign in ``source``, whole, in time order: the END events of :meth:`run`.

        A clip of one sign gives one event, also when it is a little shorter than the receptive
        field. Raises what :meth:`run` does.
        """
        with self.run(source, landmarker=landmarker) as results:
            events = [event for result in results for event in result.events]
        return [event for event in events if event.phase is EventPhase.END]

    def enroll(
        self,
        label: str,
        clips: Sequence[Clip],
        *,
        known: bool = False,
        landmarker: LandmarkerLike | None = None,
    ) -> Enrolled:
        """Teach it the gesture ``label`` from 3 to 5 clips, of one person, each the gesture once.

        clips: paths of videos or recorded sessions, LandmarkSequences or Sessions, of at most 10 s.
        ``"w.mp4@1.5-3.0"`` is the part of ``w.mp4`` from 1.5 to 3 s. landmarker: as of :meth:`run`.
        The model itself stays as it is. Runs and streams that are there already do not know the
        gesture. A warning names labels of the model that are much like it; so does what is
        returned. Of what the model takes for one of them, the gesture gets only what is far
        nearer to it, until that label was shown too, by the same person: enroll clips of it under
        its own name, with ``known``. Another warning names clips that are unlike the others.
        :meth:`save` keeps it all.

        Raises InputError on fewer clips, on a label that is known already, on a clip that was given
        twice, is too long, or shows nobody, nothing or several movements; BundleError when the
        bundle was exported without what enrollment needs, BackendMissingError when what runs it
        gives no features (``device="native"`` does).
        """
        typed(str, label, "enroll: got the label")
        known = typed(bool, known, "enroll: got known")
        check_new_label(self._classifier, label, known=known)  # before videos are watched
        sequences = read_clips(clips, landmarker)
        with self._teaching:
            self._classifier, found = enrolled(self._classifier, label, sequences, known=known)
        if found.alike:
            alike = ", ".join(found.alike)
            LOGGER.warning(
                "%s is much like %s, which goes first: show it clips of that too (known)",
                label,
                alike,
            )
        for name in found.unlike:
            LOGGER.warning(
                "%s: unlike the other clips of %s; look at it, and enroll again without it if it"
                " shows something else",
                name,
                label,
            )
        return found

    @property
    def gestures(self) -> tuple[Enrolled, ...]:
        """What it was taught, oldest first, and what of the model is much like each of them."""
        return gestures_in(self._classifier)

    def remove(self, label: str) -> None:
        """Forget the enrolled gesture ``label``; InputError when there is none such."""
        typed(str, label, "remove: got the label")
        with self._teaching:
            self._classifier = without(self._classifier, label)

    def save(self, path: str | PathLike[str]) -> Bundle:
        """Write the bundle with its gestures to ``path``, whole or not at all, and return it.

        ``path`` may be the bundle that was loaded: it is replaced in one step. Raises InputError
        when it cannot be written; the file of before then stays.
        """
        path, bundle = as_path(path, "save: got the path"), self.bundle
        return save_bundle(path, bundle.manifest, bundle.files)
