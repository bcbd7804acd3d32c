"""From what a user names to pictures, or to frames whose landmarks are known already."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bharsdk.cameras.address import CameraKind, parse_address
from bharsdk.cameras.camera import open_address
from bharsdk.cameras.given_pictures import (
    GivenPictures,
    LimitedPictures,
    ReconnectingPictures,
    TakenPictures,
)
from bharsdk.cameras.opencv import import_cv2
from bharsdk.cameras.picture_folder import PictureFolder, is_folder
from bharsdk.cameras.pictures import Pictures
from bharsdk.cameras.source_config import SourceConfig
from bharsdk.cameras.video import Video
from bharsdk.cameras.waiting import AwaitedPictures, wait_for
from bharsdk.errors import BharError, InputError, SourceError
from bharsdk.landmarkers.registry import (
    LandmarkerLike,
    check_choice,
    opened_landmarker,
)
from bharsdk.landmarks.frame import Frame
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.pipeline.pipeline import Pipeline
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import SUFFIX, load_session
from bharsdk.sources.source import Source
from bharsdk.values.checks import typed
from bharsdk.values.image import Image

__all__ = ["SourceLike", "open_pictures_or_frames", "open_source"]

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
"""A camera number, an address (:mod:`bharsdk.cameras.address`), a path (also as text), a recording
in memory, or in time order single Landmarks or (image, timestamp_ms). Images are uint8, BGR, BGRA
or gray; they are copied, so their memory may be used again for the next one."""


def open_source(
    source: SourceLike,
    landmarker: LandmarkerLike | None = None,
    config: SourceConfig | None = None,
) -> Source:
    """Open whatever ``source`` names; use it in a ``with`` block.

    A path that ends in ``.bhar-session`` is a recorded session, a folder holds pictures, any other
    file is a video. landmarker: finds the joints in pictures. A name
    (:mod:`bharsdk.landmarkers.registry`; default ``body-hands``) is opened and closed with the
    source. An object stays open.

    Raises InputError on another type, when a file is missing or unusable, and at the end of a video
    that shows nobody. Raises UsageError on an address or a landmarker's name that is unknown.
    Raises SourceError when a camera cannot be opened or is lost, and when the landmarker fails on
    ten pictures in a row or on all pictures; an error of bharsdk that the landmarker raises keeps
    its class. Raises BackendMissingError when OpenCV or MediaPipe is missing. When the landmarker
    fails on a single picture, that picture is counted as dropped, with a warning.
    """
    config = typed(SourceConfig | None, config, "source: got config") or SourceConfig()
    check_choice(landmarker)
    opened = open_pictures_or_frames(source, config)
    if isinstance(opened, Source):
        return opened
    try:
        finder, owns = opened_landmarker(landmarker)
    except BaseException:
        opened.close()
        raise
    pipeline = Pipeline(opened, finder, _Frames(), config, owns_landmarker=owns)
    return _FoundFrames(pipeline, opened)


def open_pictures_or_frames(
    source: SourceLike,
    config: SourceConfig,
    *,
    on_lost: Callable[[SourceError], None] = lambda error: None,
    on_back: Callable[[], None] = lambda: None,
    on_wait: Callable[[BharError], None] = lambda error: None,
) -> Pictures | Source:
    """Open pictures, which need a landmarker, or a source of frames that have their landmarks.

    on_lost, on_back: told when a live source is lost, and when it delivers again. on_wait: told
    when a source is waited for that is not there yet. Raises what :func:`open_source` does.
    """
    if isinstance(source, Source):
        return _limited_frames(source, config.max_frames)
    if isinstance(source, int | str | Path) and not isinstance(source, bool):
        address = parse_address(source)
        if not isinstance(address, Path):
            camera = address

            def open_camera() -> Pictures:
                origin_s = time.monotonic()
                return ReconnectingPictures(
                    lambda: open_address(camera, origin_s), config, on_lost=on_lost, on_back=on_back
                )

            if config.wait_for_source_s == 0:
                return _limited_pictures(open_camera(), config.max_frames)
            if camera.kind is not CameraKind.MODULE:
                import_cv2()  # what is not installed does not come by waiting
            awaited = AwaitedPictures(open_camera, camera.name, config, on_wait=on_wait)
            return _limited_pictures(awaited, config.max_frames)
        if config.wait_for_source_s > 0 and not address.exists():
            return _awaited_file(address, config, on_wait)
        if address.suffix != SUFFIX:
            return _limited_pictures(_of_path(address, config), config.max_frames)
        source = load_session(address)
    if isinstance(source, LandmarkSequence):
        source = Session(source)
    if isinstance(source, Session):
        known = Source(source.frames(), fps=source.fps, frame_count=len(source))
        return _limited_frames(known, config.max_frames)
    if hasattr(source, "is_live"):
        pictures_of_users: Any = source
        if not isinstance(source, Video | PictureFolder):
            pictures_of_users = TakenPictures(pictures_of_users)
        return _limited_pictures(pictures_of_users, config.max_frames)
    if isinstance(source, Iterable):
        return _of_iterable(iter(source), config.max_frames)
    raise InputError(
        f"source: got {type(source).__name__}, expected a camera number, an address, a path,"
        " landmarks, or (image, timestamp_ms)"
    )


def _of_path(path: Path, config: SourceConfig) -> Pictures:
    return PictureFolder(path, config.folder_fps) if is_folder(path) else Video(path)


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


def _awaited_file(
    path: Path, config: SourceConfig, on_wait: Callable[[BharError], None]
) -> Pictures | Source:
    if path.suffix == SUFFIX:
        return _limited_frames(awaited_session(path, config, on_wait), config.max_frames)
    import_cv2()  # what is not installed does not come by waiting
    video = AwaitedPictures(
        lambda: _of_path(path, config), str(path), config, path=path, on_wait=on_wait
    )
    return _limited_pictures(video, config.max_frames)


def _limited_frames(source: Source, max_frames: int | None) -> Source:
    if max_frames is None:
        return source
    count = max_frames if source.frame_count is None else min(max_frames, source.frame_count)
    frames = itertools.islice(source, max_frames)
    return Source(
        frames, source.close, fps=source.fps, frame_count=count, interrupt=source.interrupt
    )


def _limited_pictures(pictures: Pictures, max_frames: int | None) -> Pictures:
    return pictures if max_frames is None else LimitedPictures(pictures, max_frames)


class _FoundFrames(Source):
    """The frames of a pipeline, which ends by itself in time."""

    def __init__(self, pipeline: Pipeline[Frame], pictures: Pictures) -> None:
        frames = (delivery.result for delivery in pipeline)
        super().__init__(frames, fps=pictures.fps, frame_count=pictures.frame_count)
        self._pipeline = pipeline

    def close(self) -> None:
        self._pipeline.close()


class _Frames:
    """The handler that hands frames on as they are."""

    def handle(self, frame: Frame) -> Frame:
        return frame

    def finish(self) -> None:
        return None

    def merge_lost_events(self, lost: Sequence[Frame], result: Frame) -> Frame:
        return result

    def close(self) -> None:
        pass


def awaited_session(
    path: Path, config: SourceConfig, on_wait: Callable[[BharError], None] = lambda error: None
) -> Source:
    """Return the frames of a recorded session, which is loaded as soon as it is there.

    Its frame rate and length are not known before. Raises while iterating what loading raises.
    """
    closed = threading.Event()

    def frames() -> Iterator[Frame]:
        session = wait_for(
            lambda: load_session(path), lambda error: not path.exists(), config, closed, on_wait
        )
        if session is not None:
            yield from session.frames()

    return Source(frames(), interrupt=closed.set)
