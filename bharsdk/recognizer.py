"""A model that is ready to run: :class:`Recognizer`, and where the models that ship are."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bharsdk.bundle import Bundle, load_bundle, save_bundle
from bharsdk.classifier import Classifier
from bharsdk.codec import to_json_dict
from bharsdk.engines import backend_by_name
from bharsdk.engines.choice import choose_engine
from bharsdk.errors import InputError, UsageError
from bharsdk.events import Event, EventPhase
from bharsdk.options import NamedOptions, RecognizerOptions, options_of
from bharsdk.recognition import Recognition
from bharsdk.results import Result, StageTimes
from bharsdk.run import Callbacks, Run, StatusBoard
from bharsdk.serial_run import SerialRun
from bharsdk.sources.config import SourceConfig
from bharsdk.sources.frame import Landmarker, Pictures, Source
from bharsdk.sources.opening import SourceLike, default_landmarker, open_pictures_or_frames
from bharsdk.sources.pipeline import Pipeline
from bharsdk.sources.recorder import SessionRecorder
from bharsdk.status import OnStatus, RunState
from bharsdk.stream import Stream
from bharsdk.teaching import Clip, Enrolled, enrolled, gestures_in, read_clips, without

if TYPE_CHECKING:
    from typing_extensions import Unpack  # what type checkers bring along

__all__ = ["Recognizer", "Result", "StageTimes", "Stream", "bundle_path", "shipped_bundles"]

LOGGER = logging.getLogger("bharsdk")

SHIPPED = Path(__file__).parent / "models"
SUFFIX = ".bhar"


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
    """A model that is ready to run, to be shared between threads.

    It never changes, but for the gestures that :meth:`enroll` and :meth:`remove` teach it: runs and
    streams that are there already keep the labels they began with, later ones have the new ones.

    bundle: a path, the name of a shipped model (``asl-coffee``), or a loaded Bundle. device: what
    runs it, ``onnx``, ``native``, ``tflite`` or ``tensorrt``; ``auto`` takes the fastest, by
    measurement at the first load (:mod:`bharsdk.engines.choice`). require: raise the error of
    whatever computes something else than the exporter did, where otherwise a warning says what
    runs in its place. The choice goes to the logger ``bharsdk``. Further names are those of
    :class:`bharsdk.options.RecognizerOptions`, which ``options`` gives whole: score_threshold,
    label_allowlist, label_denylist, max_results, max_persons, min_keypoint_score, decoder.

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
        if named and options is not None:
            raise UsageError(
                f"recognizer: got options and {', '.join(named)}, expected one of them"
            )
        self._options = options_of(named) if options is None else options
        bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle_path(bundle))
        self._options.allowed_labels(bundle.manifest)  # refuses unknown ones now
        self._choice = choose_engine(bundle, backend_by_name(device), require=require)
        # Replaced as a whole by one assignment, so that who reads it once sees one state.
        self._classifier = Classifier(bundle, self._choice.engine)
        self._teaching = threading.Lock()

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
        landmarker: Landmarker | None = None,
        config: SourceConfig | None = None,
        on_status: OnStatus | None = None,
        record: str | PathLike[str] | None = None,
    ) -> Run:
        """Results of ``source``: one a frame, and a final one if its end brought events.

        source: a camera number, an address, the path of a video or recorded session, Landmarks or
        (image, timestamp_ms) in time order (:mod:`bharsdk.sources.opening`). landmarker: finds the
        joints in pictures, and stays open; default MediaPipe's, made and closed by the run. config:
        back-pressure, staleness and reconnecting. on_status: told of every change of state. record:
        a ``NAME.bhar-session`` to keep landmarks and events in.

        Pictures are read, searched and recognised by threads of the run's own. A frame whose time
        does not increase is dropped and counted. Raises what :func:`bharsdk.sources.open_source`
        does: at once what can be told at once, else while iterating.
        """
        config, board = config or SourceConfig(), StatusBoard(on_status)
        try:
            opened = open_pictures_or_frames(
                source, config, on_lost=board.lose, on_back=board.regain
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

        settings: those of :meth:`run`. A slow callback loses results, never events.
        """
        return Callbacks(self.run(source, **settings), on_result)

    def _start(
        self,
        opened: Pictures | Source,
        landmarker: Landmarker | None,
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
            recognition = Recognition(classifier, self.backend, self._options, recorder)
            if isinstance(opened, Source):
                serial = SerialRun(iter(opened), recognition, opened.close)
                return Run(serial, recognition, board, opened.fps, opened.frame_count)
            owns = landmarker is None
            landmarker = landmarker or default_landmarker(self._options.max_persons)
        except BaseException:
            opened.close()
            if recorder is not None:
                recorder.close()
            raise
        pipeline = Pipeline(
            opened,
            landmarker,
            recognition,
            config,
            owns_landmarker=owns,
            on_trouble=lambda error: board.show(RunState.DEGRADED, f"landmarker: {error!r}"),
        )
        return Run(pipeline, recognition, board, opened.fps, opened.frame_count)

    def recognize_clip(
        self, source: SourceLike, *, landmarker: Landmarker | None = None
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
        landmarker: Landmarker | None = None,
    ) -> Enrolled:
        """Teach it the gesture ``label`` from 3 to 5 clips, of one person, each the gesture once.

        clips: paths of videos or recorded sessions, LandmarkSequences or Sessions. landmarker: as
        of :meth:`run`. The model itself stays as it is. Runs and streams that are there already do
        not know the gesture. A warning names labels of the model that are much like it; so does
        what is returned. Of what the model takes for one of them, the gesture gets only what is far
        nearer to it, until that label was shown too, by the same person: enrol clips of it under
        its own name, with ``known``. :meth:`save` keeps it all.

        Raises InputError on fewer clips, on a label that is known already, and on a clip that shows
        nobody; BundleError when the bundle was exported without what enrolment needs,
        BackendMissingError when what runs it gives no features (``device="native"`` does).
        """
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
        return found

    @property
    def gestures(self) -> tuple[Enrolled, ...]:
        """What it was taught, oldest first, and what of the model is much like each of them."""
        return gestures_in(self._classifier)

    def remove(self, label: str) -> None:
        """Forget the enrolled gesture ``label``; InputError when there is none such."""
        with self._teaching:
            self._classifier = without(self._classifier, label)

    def save(self, path: str | PathLike[str]) -> Bundle:
        """Write the bundle with its gestures to ``path``, whole or not at all, and return it.

        Raises InputError when it cannot be written.
        """
        bundle = self.bundle
        return save_bundle(path, bundle.manifest, bundle.files)
