"""Annotated pictures: joints, bones, the sign that goes on, the last events."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bharsdk.cameras.opencv import import_cv2
from bharsdk.errors import InputError, UsageError
from bharsdk.events import Event
from bharsdk.files.writing import Replacement
from bharsdk.landmarks.box import Box
from bharsdk.landmarks.landmarks import Landmarks
from bharsdk.landmarks.skeleton import Skeleton, skeleton_by_name
from bharsdk.process.silence import STDERR, quiet_outputs
from bharsdk.values.brief import brief
from bharsdk.values.image import Image

__all__ = ["AnnotatedVideo", "draw_landmarks", "draw_result"]

BLANK_HEIGHT = 480
BODY_COLOR = (200, 160, 60)
HAND_COLORS = ((80, 200, 80), (60, 120, 250))
TEXT_COLOR, SHADOW_COLOR = (255, 255, 255), (0, 0, 0)
MIN_VISIBILITY = 0.5
FAR_OUTSIDE = 4.0
"""Image sizes. Guesses further out than this are not drawn: OpenCV's coordinates are 16 bit."""

CHECK_ROOM_EVERY = 30
"""Frames; those between two checks take far less than what is kept free."""
MIN_FREE_BYTES = 16 << 20
"""For the index at the end of a video, and what other programs take meanwhile."""


class Followed(Protocol):
    """What is drawn of a person; :class:`bharsdk.recognition.results.Person` has it."""

    @property
    def track_id(self) -> int: ...
    @property
    def landmarks(self) -> Landmarks: ...
    @property
    def label(self) -> str | None: ...
    @property
    def box(self) -> Box | None: ...


class Drawable(Protocol):
    """What is drawn of a frame; :class:`bharsdk.recognition.results.Result` has it."""

    @property
    def people(self) -> Sequence[Followed]: ...
    @property
    def aspect(self) -> float: ...
    @property
    def label(self) -> str | None: ...
    @property
    def score(self) -> float: ...
    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def image(self) -> Image | None: ...
    @property
    def is_final(self) -> bool: ...


def draw_result(result: Drawable, image: Image | None, recent: tuple[Event, ...] = ()) -> Image:
    """Return a copy of ``image`` with the result drawn on it.

    image: uint8 [height, width, 3] BGR, or None to draw on black. recent: events to list beside
    those of this frame. Raises InputError on another kind of array.
    """
    if image is None:
        width = round(BLANK_HEIGHT * result.aspect)
        canvas = np.zeros((BLANK_HEIGHT, width, 3), np.uint8)
    elif image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8:
        canvas = np.ascontiguousarray(image).copy()
    else:
        raise InputError(
            f"image: got {image.dtype} {list(image.shape)}, expected uint8 [height, width, 3]"
        )
    scale = canvas.shape[0] / 480
    for person in result.people:
        draw_landmarks(canvas, person.landmarks)
        if len(result.people) > 1 and person.box is not None:
            name = f"{person.track_id} {person.label or ''}"
            at = person.box.left * canvas.shape[1], person.box.bottom * canvas.shape[0]
            _text(canvas, name, at[1] - 6 * scale, 0.6 * scale, at[0])
    title = f"{result.label}  {result.score:.2f}" if result.label else "no known sign"
    _text(canvas, title, 30 * scale, 0.9 * scale)
    for row, event in enumerate([*recent, *result.events][-4:]):
        _text(canvas, " ".join(str(event).split()), (56 + 20 * row) * scale, 0.5 * scale)
    return canvas


def draw_landmarks(canvas: Image, landmarks: Landmarks) -> None:
    """Draw joints and bones into ``canvas``, in place.

    Joints that were not found are left out.

    Args:
        canvas: uint8 BGR [height, width, 3].
        landmarks: the joints of one person.

    Raises:
        BackendMissingError: OpenCV is not installed (the extra ``camera``).
    """
    body_skeleton, hand_skeleton = (skeleton_by_name(name) for name in landmarks.skeletons)
    body = landmarks.body[: body_skeleton.joint_count]
    _skeleton(canvas, body_skeleton, body[:, :2], body[:, 3] >= MIN_VISIBILITY, BODY_COLOR)
    shown = np.ones(hand_skeleton.joint_count, bool)
    for hand, color in zip(landmarks.hands, HAND_COLORS, strict=True):
        _skeleton(canvas, hand_skeleton, hand[:, :2], shown, color)


def _skeleton(
    canvas: Image,
    skeleton: Skeleton,
    points: npt.NDArray[np.float32],
    shown: npt.NDArray[np.bool_],
    color: tuple[int, int, int],
) -> None:
    """Joints at ``points`` [V, 2], fractions of the image, where ``shown``; and their bones."""
    cv2: Any = import_cv2()
    height, width = canvas.shape[:2]
    with np.errstate(invalid="ignore"):
        shown = shown & (np.abs(points) < FAR_OUTSIDE).all(axis=1)
    pixels = np.where(shown[:, None], points * np.array([width, height], np.float32), 0)
    at = [(round(float(x)), round(float(y))) for x, y in pixels]
    thick = max(1, height // 360)
    for a, b in skeleton.bones:
        if shown[a] and shown[b]:
            cv2.line(canvas, at[a], at[b], color, thick, cv2.LINE_AA)
    for point in np.flatnonzero(shown):
        cv2.circle(canvas, at[point], thick + 1, color, -1, cv2.LINE_AA)


def _text(canvas: Image, text: str, y: float, scale: float, x: float = 0.0) -> None:
    cv2: Any = import_cv2()
    at, font = (round(x + 12 * scale) + 4, round(y)), cv2.FONT_HERSHEY_SIMPLEX
    # OpenCV's fonts are ASCII; anything else would print as question marks of its own choosing.
    text = text.encode("ascii", "replace").decode()
    for color, extra in ((SHADOW_COLOR, 3), (TEXT_COLOR, 1)):
        cv2.putText(canvas, text, at, font, scale, color, round(scale) + extra, cv2.LINE_AA)


class AnnotatedVideo:
    """Writes results as an mp4 video, with joints, labels and events drawn. Use it in ``with``.

    ::

        with recognizer.run("in.mp4") as run, AnnotatedVideo("out.mp4", run.fps or 30.0) as video:
            for result in run:
                video.write(result)

    The file has a temporary name until the block ends. It is kept if the block ends normally or by
    Ctrl-C. If the disk is nearly full, the pictures so far go to ``NAME.part.mp4``. After any other
    error, or without a picture, no file is left. The video is read once before it is kept, because
    OpenCV does not report a full disk.

    Args:
        path: name of the video, ends in ``.mp4``.
        fps: frames each second of the written video, or a function that returns it, called at the
            first picture.

    Raises:
        UsageError: ``path`` has another suffix, or is a video that is being read.
        InputError: the file cannot be written or read again. An older file then stays.
        BackendMissingError: OpenCV is not installed (the extra ``camera``).
    """

    def __init__(self, path: str | Path, fps: float | Callable[[], float]) -> None:
        self._path, self._fps = Path(path), fps
        if self._path.suffix.lower() != ".mp4":
            raise UsageError(f"video: got {self._path.name!r}, expected a name that ends in .mp4")
        self._cv2: Any = import_cv2()
        self._writer: Any = None
        self._written = 0
        self._is_out_of_room = False
        self._size = (0, 0)
        self._recent: tuple[Event, ...] = ()
        # OpenCV chooses the container by the suffix, which the temporary name keeps.
        self._replacement = Replacement(self._path, parents=True)

    def __repr__(self) -> str:
        return brief(self, path=str(self._path), frames=self._written)

    def write(self, result: Drawable) -> None:
        """Draw a result and append it.

        Raises:
            InputError: the file cannot be written.
        """
        self._recent = (*self._recent, *result.events)[-4:]
        if result.is_final:
            return
        if self._written % CHECK_ROOM_EVERY == 0:
            self._check_room()
        earlier = tuple(event for event in self._recent if event not in result.events)
        picture = draw_result(result, result.image, earlier)
        if self._writer is None:
            self._size = (picture.shape[1], picture.shape[0])
            with quiet_outputs(STDERR):
                self._writer = self._cv2.VideoWriter(
                    str(self._replacement.temporary),
                    self._cv2.VideoWriter_fourcc(*"mp4v"),
                    self._fps() if callable(self._fps) else self._fps,
                    self._size,
                )
            if not self._writer.isOpened():
                raise InputError(
                    f"{self._path}: cannot be written as mp4, expected free disk space"
                )
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = self._cv2.resize(picture, self._size)
        self._writer.write(picture)
        self._written += 1

    def _check_room(self) -> None:
        """Stop while there is still room for the index, without which no player opens the file."""
        free = shutil.disk_usage(self._replacement.temporary.parent).free
        if free >= MIN_FREE_BYTES:
            return
        self._is_out_of_room = True
        kept = "nothing was drawn yet"
        if self._written:
            kept = f"{self._replacement.part_path} holds the first {self._written} frames"
        raise InputError(
            f"{self._path}: cannot be written on: got {free >> 20} MB of free disk space, expected"
            f" {MIN_FREE_BYTES >> 20} MB or more; {kept}"
        )

    def __enter__(self) -> AnnotatedVideo:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.release()
        is_whole = kind is None or issubclass(kind, KeyboardInterrupt)
        if not self._written or not (is_whole or self._is_out_of_room):
            self._replacement.discard()
        elif self._is_out_of_room:
            self._replacement.keep(self._check, as_part=True)
        else:
            self._replacement.keep(self._check)

    def _check(self, path: Path) -> None:
        """Raise InputError unless the video at ``path`` holds every picture, the last one too."""
        with quiet_outputs(STDERR):
            capture = self._cv2.VideoCapture(str(path))
            announced = int(capture.get(self._cv2.CAP_PROP_FRAME_COUNT))
            is_read = capture.isOpened() and capture.read()[0]
            # Not every build of OpenCV can count or seek.
            is_counted = announced <= 0 or announced >= self._written
            last = self._cv2.CAP_PROP_POS_FRAMES, self._written - 1
            if is_read and is_counted and capture.set(*last):
                is_read = capture.read()[0]
            capture.release()
        if not (is_read and is_counted):
            raise InputError(
                f"{self._path}: what was drawn cannot be read again, expected room on the disk for"
                f" {self._written} frames; the video was not kept, and a file of before stays"
            )
