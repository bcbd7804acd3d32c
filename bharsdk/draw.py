"""Annotated pictures: joints, bones, the sign that goes on, the last events."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError, UsageError
from bharsdk.events import Event
from bharsdk.landmarks import Landmarks
from bharsdk.quiet import STDERR, quiet_outputs
from bharsdk.results import Result
from bharsdk.skeleton import MEDIAPIPE_BODY25, MEDIAPIPE_HAND21, Skeleton
from bharsdk.sources.frame import Image
from bharsdk.sources.opencv import import_cv2

__all__ = ["AnnotatedVideo", "draw_landmarks", "draw_result"]

BLANK_HEIGHT = 480
BODY_COLOUR = (200, 160, 60)
HAND_COLOURS = ((80, 200, 80), (60, 120, 250))
TEXT_COLOUR, SHADOW_COLOUR = (255, 255, 255), (0, 0, 0)
MIN_VISIBILITY = 0.5
FAR_OUTSIDE = 4.0
"""Image sizes. Guesses further out than this are not drawn: OpenCV's coordinates are 16 bit."""


def draw_result(result: Result, image: Image | None, recent: tuple[Event, ...] = ()) -> Image:
    """A copy of ``image`` with the result drawn on it.

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
    """Draw joints and bones into ``canvas``, uint8 [height, width, 3] BGR."""
    count = MEDIAPIPE_BODY25.joint_count
    body = landmarks.body[:count]
    _skeleton(canvas, MEDIAPIPE_BODY25, body[:, :2], body[:, 3] >= MIN_VISIBILITY, BODY_COLOUR)
    shown = np.ones(MEDIAPIPE_HAND21.joint_count, bool)
    for hand, colour in zip(landmarks.hands, HAND_COLOURS, strict=True):
        _skeleton(canvas, MEDIAPIPE_HAND21, hand[:, :2], shown, colour)


def _skeleton(
    canvas: Image,
    skeleton: Skeleton,
    points: npt.NDArray[np.float32],
    shown: npt.NDArray[np.bool_],
    colour: tuple[int, int, int],
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
            cv2.line(canvas, at[a], at[b], colour, thick, cv2.LINE_AA)
    for point in np.flatnonzero(shown):
        cv2.circle(canvas, at[point], thick + 1, colour, -1, cv2.LINE_AA)


def _text(canvas: Image, text: str, y: float, scale: float, x: float = 0.0) -> None:
    cv2: Any = import_cv2()
    at, font = (round(x + 12 * scale) + 4, round(y)), cv2.FONT_HERSHEY_SIMPLEX
    # OpenCV's fonts are ASCII; anything else would print as question marks of its own choosing.
    text = text.encode("ascii", "replace").decode()
    for colour, extra in ((SHADOW_COLOUR, 3), (TEXT_COLOUR, 1)):
        cv2.putText(canvas, text, at, font, scale, colour, round(scale) + extra, cv2.LINE_AA)


class AnnotatedVideo:
    """An mp4 of annotated pictures, under a temporary name until the ``with`` block ends.

    Kept when the block ends by itself or by Ctrl-C; without a picture, or on any other error,
    nothing is left behind.
    path: ends in ``.mp4``. fps: of the written file. Raises UsageError on another suffix,
    InputError when the file cannot be written, BackendMissingError without OpenCV.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self._path, self._fps = Path(path), fps
        if self._path.suffix.lower() != ".mp4":
            raise UsageError(f"video: got {self._path.name!r}, expected a name that ends in .mp4")
        self._cv2: Any = import_cv2()
        self._writer: Any = None
        self._written = False
        self._size = (0, 0)
        self._recent: tuple[Event, ...] = ()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # OpenCV chooses the container by the suffix, so the temporary name keeps it.
            handle, name = tempfile.mkstemp(
                prefix=f".{self._path.stem}.", suffix=".mp4", dir=self._path.parent
            )
        except OSError as error:
            raise InputError(
                f"{self._path}: cannot be written ({error.strerror}), expected a folder with write"
                " permission"
            ) from error
        os.close(handle)
        self._temporary = Path(name)

    def write(self, result: Result) -> None:
        """Append one frame, annotated. Raises InputError when the file cannot be written."""
        self._recent = (*self._recent, *result.events)[-4:]
        if result.is_final:
            return
        earlier = tuple(event for event in self._recent if event not in result.events)
        picture = draw_result(result, result.image, earlier)
        if self._writer is None:
            self._size = (picture.shape[1], picture.shape[0])
            with quiet_outputs(STDERR):
                self._writer = self._cv2.VideoWriter(
                    str(self._temporary),
                    self._cv2.VideoWriter_fourcc(*"mp4v"),
                    self._fps,
                    self._size,
                )
            if not self._writer.isOpened():
                raise InputError(
                    f"{self._path}: cannot be written as mp4, expected free disk space"
                )
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = self._cv2.resize(picture, self._size)
        self._writer.write(picture)
        self._written = True

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
        if self._written and (kind is None or issubclass(kind, KeyboardInterrupt)):
            self._temporary.chmod(0o644)
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink(missing_ok=True)
