"""Recognize body-and-hand actions from a camera, on the device.

::

    from bharsdk import Recognizer

    for result in Recognizer("words.bhar").run(source=0):
        print(result)

Every name that a program needs is here: ``from bharsdk import ...``. All modules below are private
and may change. Each name loads when you first use it, so ``import bharsdk`` takes no time.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as of typing, which would have to be imported for it
if TYPE_CHECKING:
    from bharsdk.bundle.bundle import Bundle, load_bundle, save_bundle
    from bharsdk.bundle.decoder_config import DecoderConfig
    from bharsdk.bundle.shipped import bundle_path, shipped_bundles
    from bharsdk.cameras.pictures import CapturedImage, Pictures
    from bharsdk.cameras.source_config import Backpressure, SourceConfig
    from bharsdk.cli.exit_codes import exit_code_of
    from bharsdk.engines.engine import ModelStream
    from bharsdk.errors import (
        AccuracyGateError,
        BackendMissingError,
        BharError,
        BundleError,
        IncompatibleError,
        InputError,
        ParityError,
        SourceError,
        UsageError,
    )
    from bharsdk.events import DropCause, Event, EventPhase, Rejection
    from bharsdk.gestures.enroll import Enrolled
    from bharsdk.landmarkers.body_hands import BodyHandsConfig, BodyHandsLandmarker
    from bharsdk.landmarkers.landmarker import Landmarker, PipelinedLandmarker
    from bharsdk.landmarkers.mediapipe import HolisticLandmarker
    from bharsdk.landmarkers.registry import LANDMARKERS, LandmarkerLike, open_landmarker
    from bharsdk.landmarks.box import Box
    from bharsdk.landmarks.frame import Frame
    from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
    from bharsdk.pipeline.backpressure import FrameCounts
    from bharsdk.pipeline.run import Callbacks, Run
    from bharsdk.pipeline.status import OnStatus, RunState, Status
    from bharsdk.recognition.drawing import AnnotatedVideo, draw_landmarks
    from bharsdk.recognition.options import RecognizerOptions
    from bharsdk.recognition.results import Person, Result, Score, StageSummary, StageTimes
    from bharsdk.recognition.stream import Stream
    from bharsdk.recognizer import Recognizer
    from bharsdk.recordings.session import Session, TrueEvent
    from bharsdk.recordings.session_file import load_session, save_session
    from bharsdk.sources.opening import SourceLike, open_source
    from bharsdk.sources.source import Source
    from bharsdk.values.image import Image

__all__ = [
    "LANDMARKERS",
    "AccuracyGateError",
    "AnnotatedVideo",
    "BackendMissingError",
    "Backpressure",
    "BharError",
    "BodyHandsConfig",
    "BodyHandsLandmarker",
    "Box",
    "Bundle",
    "BundleError",
    "Callbacks",
    "CapturedImage",
    "DecoderConfig",
    "DropCause",
    "Enrolled",
    "Event",
    "EventPhase",
    "Frame",
    "FrameCounts",
    "HolisticLandmarker",
    "Image",
    "IncompatibleError",
    "InputError",
    "LandmarkSequence",
    "Landmarker",
    "LandmarkerLike",
    "Landmarks",
    "ModelStream",
    "OnStatus",
    "ParityError",
    "Person",
    "Pictures",
    "PipelinedLandmarker",
    "Recognizer",
    "RecognizerOptions",
    "Rejection",
    "Result",
    "Run",
    "RunState",
    "Score",
    "Session",
    "Source",
    "SourceConfig",
    "SourceError",
    "SourceLike",
    "StageSummary",
    "StageTimes",
    "Status",
    "Stream",
    "TrueEvent",
    "UsageError",
    "__version__",
    "bundle_path",
    "draw_landmarks",
    "exit_code_of",
    "load_bundle",
    "load_session",
    "open_landmarker",
    "open_source",
    "save_bundle",
    "save_session",
    "shipped_bundles",
]

__version__ = "0.1.0"

_HOME = {
    "AccuracyGateError": "errors",
    "AnnotatedVideo": "recognition.drawing",
    "BackendMissingError": "errors",
    "Backpressure": "cameras.source_config",
    "BharError": "errors",
    "BodyHandsConfig": "landmarkers.body_hands",
    "BodyHandsLandmarker": "landmarkers.body_hands",
    "Box": "landmarks.box",
    "Bundle": "bundle.bundle",
    "BundleError": "errors",
    "Callbacks": "pipeline.run",
    "CapturedImage": "cameras.pictures",
    "DecoderConfig": "bundle.decoder_config",
    "DropCause": "events",
    "Enrolled": "gestures.enroll",
    "Event": "events",
    "EventPhase": "events",
    "Frame": "landmarks.frame",
    "FrameCounts": "pipeline.backpressure",
    "HolisticLandmarker": "landmarkers.mediapipe",
    "Image": "values.image",
    "IncompatibleError": "errors",
    "InputError": "errors",
    "LANDMARKERS": "landmarkers.registry",
    "LandmarkSequence": "landmarks.landmarks",
    "Landmarker": "landmarkers.landmarker",
    "LandmarkerLike": "landmarkers.registry",
    "Landmarks": "landmarks.landmarks",
    "ModelStream": "engines.engine",
    "OnStatus": "pipeline.status",
    "ParityError": "errors",
    "Person": "recognition.results",
    "Pictures": "cameras.pictures",
    "PipelinedLandmarker": "landmarkers.landmarker",
    "Recognizer": "recognizer",
    "RecognizerOptions": "recognition.options",
    "Rejection": "events",
    "Result": "recognition.results",
    "Run": "pipeline.run",
    "RunState": "pipeline.status",
    "Score": "recognition.results",
    "Session": "recordings.session",
    "Source": "sources.source",
    "SourceConfig": "cameras.source_config",
    "SourceError": "errors",
    "SourceLike": "sources.opening",
    "StageSummary": "recognition.results",
    "StageTimes": "recognition.results",
    "Status": "pipeline.status",
    "Stream": "recognition.stream",
    "TrueEvent": "recordings.session",
    "UsageError": "errors",
    "bundle_path": "bundle.shipped",
    "draw_landmarks": "recognition.drawing",
    "exit_code_of": "cli.exit_codes",
    "load_bundle": "bundle.bundle",
    "load_session": "recordings.session_file",
    "open_landmarker": "landmarkers.registry",
    "open_source": "sources.opening",
    "save_bundle": "bundle.bundle",
    "save_session": "recordings.session_file",
    "shipped_bundles": "bundle.shipped",
}
"""Public name -> the module that defines it."""


def __getattr__(name: str) -> object:
    if name == "_ops":  # asked for by  from bharsdk import _ops
        from bharsdk.kernels.compiled import load_compiled

        return load_compiled()
    if name not in _HOME:
        raise AttributeError(f"module 'bharsdk' has no attribute {name!r}")
    import importlib

    try:
        value: object = getattr(importlib.import_module(f"bharsdk.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        from bharsdk.kernels.compiled import explain_missing

        explain_missing(error)
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
