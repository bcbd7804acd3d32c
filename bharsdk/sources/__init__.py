"""Where landmarks come from: a camera, a video file, a recorded session, or any iterable.

Importing this package loads neither OpenCV nor MediaPipe; a camera or a video does, when opened.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bharsdk.errors import InputError, UsageError
from bharsdk.landmarks import Landmarks, LandmarkSequence
from bharsdk.sources.camera import Camera
from bharsdk.sources.frame import Frame, Landmarker, Source
from bharsdk.sources.session import SUFFIX, Session, TrueEvent, load_session, save_session
from bharsdk.sources.video import Video

__all__ = [
    "Frame",
    "Landmarker",
    "Session",
    "Source",
    "SourceLike",
    "TrueEvent",
    "load_session",
    "open_source",
    "save_session",
]

SourceLike = int | str | Path | Session | LandmarkSequence | Source | Iterable[Landmarks]
"""A camera number, a path (also as text), a recording in memory, or single frames in time order."""


def open_source(source: SourceLike, landmarker: Landmarker | None = None) -> Source:
    """Open whatever ``source`` names; use it in a ``with`` block.

    A number, also as text, is a camera; a path that ends in ``.bhar-session`` a recorded session;
    any other path a video. landmarker: finds the joints in pictures; default MediaPipe Holistic,
    made and closed with the source.

    Raises InputError when a file is missing or unusable (a video without any person: at its end),
    SourceError when a camera cannot be opened or is lost, BackendMissingError when OpenCV or
    MediaPipe is missing, UsageError on another type.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, str) and source.isdecimal():
        source = int(source)
    if isinstance(source, int):
        return _with_landmarks(Camera(source), landmarker, name=None)
    if isinstance(source, str | Path):
        path = Path(source)
        if path.suffix != SUFFIX:
            return _with_landmarks(Video(path), landmarker, name=str(path))
        source = load_session(path)
    if isinstance(source, Session):
        source = source.sequence
    if isinstance(source, LandmarkSequence):
        frames = map(Frame, source.frames())
        return Source(frames, fps=_mean_fps(source), frame_count=len(source))
    if isinstance(source, Iterable):
        return Source(map(Frame, source))
    raise UsageError(
        f"source: got {type(source).__name__}, expected a camera number, a path or landmarks"
    )


def _mean_fps(sequence: LandmarkSequence) -> float | None:
    if len(sequence) < 2:
        return None
    times = sequence.timestamps_ms
    return float((len(times) - 1) * 1000.0 / (times[-1] - times[0]))


def _with_landmarks(
    pictures: Camera | Video, landmarker: Landmarker | None, name: str | None
) -> Source:
    """Pictures through a landmarker. name: of a file, whose end is checked; None for a camera."""
    own = landmarker is None
    if landmarker is None:
        from bharsdk.sources.mediapipe import HolisticLandmarker

        try:
            landmarker = HolisticLandmarker()
        except BaseException:
            pictures.close()
            raise

    def close() -> None:
        pictures.close()
        if own:
            landmarker.close()

    return Source(
        _detect(pictures, landmarker, name),
        close,
        fps=pictures.fps,
        frame_count=pictures.frame_count,
    )


def _detect(pictures: Camera | Video, landmarker: Landmarker, name: str | None) -> Iterator[Frame]:
    count, people = 0, 0
    for picture in pictures:
        begin_s = time.perf_counter()
        landmarks = landmarker.detect(picture.image, picture.timestamp_ms)
        landmarks_ms = (time.perf_counter() - begin_s) * 1000.0
        count, people = count + 1, people + landmarks.has_body
        yield Frame(landmarks, picture.image, picture.capture_ms, landmarks_ms)
    if name is not None and people == 0:
        raise InputError(
            f"{name}: no person found in {count} frames, expected a video that shows one, from"
            " the hips up"
        )
