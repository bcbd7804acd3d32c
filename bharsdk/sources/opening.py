"""From what a user names to pictures, or to frames whose landmarks are known already."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bharsdk.errors import SourceError, UsageError
from bharsdk.landmarks import Landmarks, LandmarkSequence
from bharsdk.sources.address import parse_address
from bharsdk.sources.camera import Camera
from bharsdk.sources.config import SourceConfig
from bharsdk.sources.frame import Frame, Image, Landmarker, Pictures, Source
from bharsdk.sources.pictures import GivenPictures, LimitedPictures, ReconnectingPictures
from bharsdk.sources.pipeline import Pipeline
from bharsdk.sources.session import Session
from bharsdk.sources.session_file import SUFFIX, load_session
from bharsdk.sources.video import Video

__all__ = ["SourceLike", "default_landmarker", "open_pictures_or_frames", "open_source"]

SourceLike = (
    int
    | str
    | Path
    | Session
    | LandmarkSequence
    | Source
    | Pictures
    | Iterable[Landmarks]
    | Iterable[tuple[Image, float]]
)
"""A camera number, an address (:mod:`bharsdk.sources.address`), a path (also as text), a recording
in memory, or in time order single Landmarks or (image, timestamp_ms)."""


def open_source(
    source: SourceLike,
    landmarker: Landmarker | None = None,
    config: SourceConfig | None = None,
) -> Source:
    """Open whatever ``source`` names; use it in a ``with`` block.

    A path that ends in ``.bhar-session`` is a recorded session, any other a video. landmarker:
    finds the joints in pictures; default :func:`default_landmarker`, closed with the source.

    Raises InputError when a file is missing or unusable (a video without any person: at its end),
    SourceError when a camera cannot be opened or is lost, BackendMissingError when OpenCV or
    MediaPipe is missing, UsageError on another type.
    """
    config = config or SourceConfig()
    opened = open_pictures_or_frames(source, config)
    if isinstance(opened, Source):
        return opened
    owns = landmarker is None
    pipeline = Pipeline(
        opened, landmarker or _landmarker_for(opened), _Frames(), config, owns_landmarker=owns
    )
    frames = (delivery.result for delivery in pipeline)
    return Source(frames, pipeline.close, fps=opened.fps, frame_count=opened.frame_count)


def open_pictures_or_frames(
    source: SourceLike,
    config: SourceConfig,
    *,
    on_lost: Callable[[SourceError], None] = lambda error: None,
    on_back: Callable[[], None] = lambda: None,
) -> Pictures | Source:
    """Pictures that need a landmarker, or a source of frames that have their landmarks.

    on_lost, on_back: told when a live source is lost, and when it delivers again. Raises what
    :func:`open_source` does.
    """
    if isinstance(source, Source):
        return _limited_frames(source, config.max_frames)
    if isinstance(source, int | str | Path):
        address = parse_address(source)
        if not isinstance(address, Path):
            camera, origin_s = address, time.monotonic()
            pictures = ReconnectingPictures(
                lambda: Camera(camera, origin_s), config, on_lost=on_lost, on_back=on_back
            )
            return _limited_pictures(pictures, config.max_frames)
        if address.suffix != SUFFIX:
            return _limited_pictures(Video(address), config.max_frames)
        source = load_session(address)
    if isinstance(source, LandmarkSequence):
        source = Session(source)
    if isinstance(source, Session):
        known = Source(source.frames(), fps=source.fps, frame_count=len(source))
        return _limited_frames(known, config.max_frames)
    if hasattr(source, "is_live"):
        pictures_of_users: Any = source
        return _limited_pictures(pictures_of_users, config.max_frames)
    if isinstance(source, Iterable):
        return _of_iterable(iter(source), config.max_frames)
    raise UsageError(
        f"source: got {type(source).__name__}, expected a camera number, an address, a path,"
        " landmarks, or (image, timestamp_ms)"
    )


def default_landmarker(max_persons: int = 1) -> Landmarker:
    """MediaPipe's pose and hands. Raises BackendMissingError when MediaPipe is missing."""
    from bharsdk.sources.body_hands import BodyHandsConfig, BodyHandsLandmarker

    return BodyHandsLandmarker(BodyHandsConfig(max_persons=max_persons))


def _landmarker_for(pictures: Pictures) -> Landmarker:
    try:
        return default_landmarker()
    except BaseException:
        pictures.close()
        raise


def _of_iterable(items: Iterator[Any], max_frames: int | None) -> Pictures | Source:
    """Landmarks or pictures: the first item says which."""
    first = next(items, None)
    if first is None:
        return Source(iter(()))
    whole = itertools.chain([first], items)
    if isinstance(first, Landmarks):
        close = getattr(items, "close", None)
        return _limited_frames(Source(map(Frame.of, whole), close), max_frames)
    return _limited_pictures(GivenPictures(whole, getattr(items, "close", None)), max_frames)


def _limited_frames(source: Source, max_frames: int | None) -> Source:
    if max_frames is None:
        return source
    count = max_frames if source.frame_count is None else min(max_frames, source.frame_count)
    frames = itertools.islice(source, max_frames)
    return Source(frames, source.close, fps=source.fps, frame_count=count)


def _limited_pictures(pictures: Pictures, max_frames: int | None) -> Pictures:
    return pictures if max_frames is None else LimitedPictures(pictures, max_frames)


class _Frames:
    """The handler that hands frames on as they are."""

    def handle(self, frame: Frame) -> Frame:
        return frame

    def finish(self) -> None:
        return None

    def absorb(self, lost: Sequence[Frame], result: Frame) -> Frame:
        return result

    def close(self) -> None:
        pass
