"""Holds :class:`Recognizer`: a bundle, the backend that runs its model, and its gestures."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bharsdk.bundle.bundle import Bundle, load_bundle, save_bundle
from bharsdk.bundle.shipped import bundle_path, shipped_bundles
from bharsdk.cameras.pictures import Pictures
from bharsdk.cameras.source_config import SourceConfig
from bharsdk.engines.engine import Backend, ModelStream, backend_by_name, model_stream
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
    """A model that is ready to run. Several threads may share it.

    ::

        recognizer = Recognizer("asl-coffee", score_threshold=0.7)
        for result in recognizer.run(0):
            print(result.label, result.score)

    The logger ``bharsdk`` says which backend was chosen. Only :meth:`enroll` and :meth:`remove`
    change a recognizer. Runs and streams that exist already keep their labels; later ones have the
    new labels.

    Args:
        bundle: a path, the name of a shipped model (``asl-coffee``), or a loaded Bundle.
        backend: what runs the model: ``native``, ``onnx``, ``tflite`` or ``tensorrt``. ``auto``
            measures them at the first load and takes the fastest.
        require: raise an error when a backend computes something else than the exporter did. By
            default a warning says so, and the next backend runs.
        options: all options in one object.
        device: the old name of ``backend``. It warns, and goes with the next release.
        **named: single options by name; see :class:`bharsdk.RecognizerOptions`.

    Raises:
        InputError: the bundle does not exist, or an option is out of range.
        BundleError: the bundle is damaged.
        IncompatibleError: this version of bharsdk does not support the bundle.
        UsageError: the backend or an option is unknown.
        BackendMissingError: the bundle has no model for the backend, or the package that runs it is
            not installed.
        ParityError: this machine does not compute the golden logits of the bundle.
    """

    def __init__(
        self,
        bundle: str | PathLike[str] | Bundle,
        *,
        backend: str = "auto",
        require: bool = False,
        options: RecognizerOptions | None = None,
        device: str | None = None,
        **named: Unpack[NamedOptions],
    ) -> None:
        typed(RecognizerOptions | None, options, "recognizer: got options")
        if device is not None:
            backend = _renamed_to_backend(device, backend)
        typed(str | Backend, backend, "recognizer: got backend")
        require = typed(bool, require, "recognizer: got require")
        if named and options is not None:
            raise UsageError(
                f"recognizer: got options and {', '.join(named)}, expected one of them"
            )
        self._options = options_of(named) if options is None else options
        bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self._options.allowed_labels(bundle.manifest)  # refuses unknown ones now
        self._choice = choose_engine(bundle, backend_by_name(backend), require=require)
        # Replaced as a whole by one assignment, so each reader sees one consistent state.
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
        """The loaded bundle, with the gestures that are enrolled now."""
        return self._classifier.bundle

    @property
    def backend(self) -> str:
        """What runs the model, with which instruction set, and why.

        For example ``native int8, avx2 (one clip: native 4.6 ms, onnx 6.6 ms)``.
        """
        return str(self._choice)

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels in the order of the probabilities.

        First the labels of the model, with its background label, then the enrolled gestures.
        """
        return self.bundle.manifest.all_labels

    @property
    def receptive_field_ms(self) -> float:
        """Milliseconds of landmarks that the model looks at for one decision."""
        return self.bundle.manifest.features.window_ms

    @property
    def options(self) -> RecognizerOptions:
        """The options that this recognizer was made with."""
        return self._options

    def stream(self) -> Stream:
        """Return a new stream: the state of one person in one source.

        Use it to push landmarks yourself. Streams share nothing but the model.
        """
        return Stream(self._classifier, self._options)

    def model_stream(self) -> ModelStream:
        """Return a new stream of the model alone: model inputs in, logits out, frame by frame.

        Only causal models have one (``bhar-train fit --causal``). Use it if you compute the model
        inputs yourself.

        Raises:
            UsageError: the model is not causal.
            BackendMissingError: the backend takes whole clips only; ``native`` and ``onnx`` take
                frames.
        """
        return model_stream(self._choice.engine)

    def run(
        self,
        source: SourceLike,
        *,
        landmarker: LandmarkerLike | None = None,
        config: SourceConfig | None = None,
        on_status: OnStatus | None = None,
        record: str | PathLike[str] | None = None,
    ) -> Run:
        """Return the results of ``source``, one for each frame, to iterate over.

        If the end of the source makes events certain, one more result brings them (``is_final``).

        The run has threads of its own, which read pictures, find joints and recognize. It drops
        and counts each frame whose time does not increase. With ``config.wait_for_source_s`` the
        run waits for a camera or file that does not exist yet, in the state STARTING; ``close()``
        and Ctrl-C end the wait.

        Args:
            source: a camera number, an address, the path of a video or recorded session, Landmarks
                or (image, timestamp_ms) pairs in time order.
            landmarker: finds the joints in pictures. The run opens and closes a name:
                ``body-hands`` (the default) or ``holistic``. An object stays open.
            config: back-pressure, age limit and reconnecting.
            on_status: called at each change of state.
            record: the file ``NAME.bhar-session`` that gets landmarks and events.

        Raises:
            UsageError: ``record`` is ``source``.
            BharError: the errors of :func:`bharsdk.open_source`, at once if possible, else while
                you iterate.
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
        """Start a run in the background: a thread calls ``on_result`` with every result.

        A slow function loses results of live sources, but never an event: the next result brings
        it. If the function raises an exception, the run ends. ``join()`` raises that exception; if
        nobody joins, it is logged as an error.

        Args:
            source: as in :meth:`run`.
            on_result: a function that takes a Result.
            **settings: the other arguments of :meth:`run`.

        Raises:
            InputError: ``on_result`` is not callable.
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
        """Return all signs of ``source`` in time order: the END events of :meth:`run`.

        A clip of one sign gives one event, even if the clip is a little shorter than
        :attr:`receptive_field_ms`. Raises the errors of :meth:`run`.
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
        """Teach the gesture ``label`` from 3 to 5 clips of one person.

        Each clip shows the gesture once. The model itself does not change. Call :meth:`save` to
        keep the gesture.

        The new gesture may be much like a label of the model. A warning and the returned
        :class:`bharsdk.Enrolled` name such labels. The label of the model then wins, unless a
        movement is far nearer to the new gesture. To change that, enroll clips of the label itself
        too, from the same person, with ``known=True``. Another warning names clips that are unlike
        the others.

        Args:
            label: name of the gesture.
            clips: paths of videos or recorded sessions, LandmarkSequences or Sessions, each at most
                10 s long. ``"w.mp4@1.5-3.0"`` is the part of ``w.mp4`` from 1.5 to 3 s.
            known: whether ``label`` is a label of the model.
            landmarker: as in :meth:`run`.

        Raises:
            InputError: there are too few clips, or the label exists already, or a clip is given
                twice, is too long, or shows nobody, no movement or several movements.
            BundleError: the bundle was exported without enrollment data.
            BackendMissingError: the backend returns no features (``native`` and ``onnx`` do).
        """
        typed(str, label, "enroll: got the label")
        known = typed(bool, known, "enroll: got known")
        check_new_label(self._classifier, label, known=known)  # before the videos are read
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
        """The enrolled gestures, oldest first, each with the labels of the model most like it."""
        return gestures_in(self._classifier)

    def remove(self, label: str) -> None:
        """Forget the enrolled gesture ``label``.

        Raises:
            InputError: it is not enrolled.
        """
        typed(str, label, "remove: got the label")
        with self._teaching:
            self._classifier = without(self._classifier, label)

    def save(self, path: str | PathLike[str]) -> Bundle:
        """Write the bundle with its gestures to ``path``, and return the bundle.

        The file is written as a whole or not at all. ``path`` may be the bundle that was loaded: it
        is replaced in one step.

        Raises:
            InputError: the file cannot be written. An older file then stays.
        """
        path, bundle = as_path(path, "save: got the path"), self.bundle
        return save_bundle(path, bundle.manifest, bundle.files)


def _renamed_to_backend(device: str, backend: str) -> str:
    """Return the value of the old argument ``device``, and warn. UsageError if both are given."""
    if backend != "auto":
        raise UsageError(
            f"recognizer: got backend {backend!r} and device {device!r}, which is its old name,"
            " expected backend alone"
        )
    warnings.warn(
        "Recognizer(device=...) is deprecated: use Recognizer(backend=...)",
        DeprecationWarning,
        stacklevel=3,
    )
    return device
