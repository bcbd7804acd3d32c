"""Where landmarks come from: a camera, a video file, a recorded session, or any iterable.

Importing this package loads neither OpenCV nor MediaPipe; a camera or a video does, when opened.
"""

from __future__ import annotations

from bharsdk.sources.backpressure import Backpressure, DropCause, FrameCounts
from bharsdk.sources.config import SourceConfig
from bharsdk.sources.frame import (
    CapturedImage,
    Frame,
    Landmarker,
    Pictures,
    PipelinedLandmarker,
    Source,
)
from bharsdk.sources.opening import SourceLike, open_source
from bharsdk.sources.session import Session, TrueEvent
from bharsdk.sources.session_file import load_session, save_session

__all__ = [
    "Backpressure",
    "CapturedImage",
    "DropCause",
    "Frame",
    "FrameCounts",
    "Landmarker",
    "Pictures",
    "PipelinedLandmarker",
    "Session",
    "Source",
    "SourceConfig",
    "SourceLike",
    "TrueEvent",
    "load_session",
    "open_source",
    "save_session",
]
