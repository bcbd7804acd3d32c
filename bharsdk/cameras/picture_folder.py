"""Read a folder of pictures as a clip: JPEG, PNG and what else OpenCV reads, in natural order."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from bharsdk.cameras.file_kind import FileKind, is_junk, kind_of
from bharsdk.cameras.opencv import import_cv2
from bharsdk.cameras.pictures import CapturedImage
from bharsdk.cameras.source_config import DEFAULT_FPS
from bharsdk.errors import InputError
from bharsdk.process.closeable import Closing
from bharsdk.values.image import Image

__all__ = ["DEFAULT_FPS", "PictureFolder", "is_folder", "natural_order", "pictures_in"]

LOGGER = logging.getLogger("bharsdk")
"""Pictures a second where nobody says it: files do not."""
NAMED = 5
"""So many of the files that are left out are named in one warning."""
SAME_SHAPE = 0.01
"""Pictures whose width / height differs by a larger part are not of one camera."""
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG"


class PictureFolder(Closing):
    """The pictures in ``folder``, ``fps`` a second, in natural order: ``2.jpg`` before ``10.jpg``.

    A warning names files that are no picture, unless ``warns`` is False; hidden files are passed
    over. A picture that cannot be read is left out with a warning, and the others keep their times.
    All pictures are scaled to the size of the first. Raises InputError when there is no picture,
    and while iterating when none can be read or one has another shape.
    """

    is_live = False

    def __init__(self, folder: str | Path, fps: float = DEFAULT_FPS, *, warns: bool = True) -> None:
        self._folder, self.name = Path(folder), str(folder)
        self.fps: float | None = fps
        self._files, others = pictures_in(self._folder)
        if not self._files:
            raise InputError(
                f"{folder}: got a folder without a picture, expected a video, or a folder of JPEG"
                " or PNG pictures"
            )
        self._cv2 = import_cv2()
        self.frame_count: int | None = len(self._files)
        if others and warns:
            _warn(self._folder, others)

    def __iter__(self) -> Iterator[CapturedImage]:
        step_ms = 1000.0 / (self.fps or DEFAULT_FPS)
        first: tuple[int, int] | None = None
        for number, path in enumerate(self._files):
            begin_s = time.perf_counter()
            image = self._read(path)
            if image is None:
                continue
            height, width = image.shape[:2]
            first = first or (width, height)
            if (width, height) != first:
                image = self._of_size(path, image, first)
            capture_ms = (time.perf_counter() - begin_s) * 1000.0
            yield CapturedImage(image, number * step_ms, capture_ms)
        if first is None:
            raise InputError(
                f"{self._folder}: got {len(self._files)} pictures of which none can be read,"
                " expected JPEG or PNG pictures that a viewer shows"
            )

    def _read(self, path: Path) -> Image | None:
        """The picture, turned as its EXIF data say; None, with a warning, where there is none."""
        try:
            data = path.read_bytes()
            why = "cut off" if _is_cut(data) else "damaged, or of a kind that OpenCV does not read"
            image: Image | None = None if _is_cut(data) else self._decoded(data)
        except OSError as error:
            image, why = None, str(error.strerror)
        if image is None:
            LOGGER.warning("%s: left out: the picture is %s", path, why)
        return image

    def _decoded(self, data: bytes) -> Image | None:
        try:
            found: Image | None = self._cv2.imdecode(
                np.frombuffer(data, np.uint8), self._cv2.IMREAD_COLOR
            )
        except self._cv2.error:  # of more pixels than OpenCV takes
            return None
        return found

    def _of_size(self, path: Path, image: Image, size: tuple[int, int]) -> Image:
        (width, height), (wide, high) = image.shape[1::-1], size
        if abs(width * high / (height * wide) - 1) > SAME_SHAPE:
            raise InputError(
                f"{path}: got {width} x {height} pixels after pictures of {wide} x {high}, expected"
                " the pictures of one camera: put the others into a folder of their own"
            )
        resized: Image = self._cv2.resize(image, size)
        return resized

    def interrupt(self) -> None:
        """Do nothing: a read ends by itself."""

    def close(self) -> None:
        """Nothing is open between two pictures."""


def is_folder(path: str | Path) -> bool:
    """Return whether there is a folder at ``path``; False for text that cannot be a path."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def pictures_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the pictures in ``folder`` and all other files, each in natural order.

    The content decides, not the name. Hidden files and what file managers leave are in neither
    list. Raises InputError when the folder cannot be read.
    """
    pictures: list[Path] = []
    others: list[Path] = []
    try:
        entries = natural_order(path for path in folder.iterdir() if not is_junk(path))
        for path in entries:
            is_picture = path.is_file() and kind_of(path) is FileKind.PICTURE
            (pictures if is_picture else others).append(path)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be read ({error.strerror}), expected a folder of pictures"
        ) from error
    return pictures, others


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Return ``paths`` by name, with numbers by their value: ``a2`` before ``a10``."""

    def key(path: Path) -> tuple[list[str | int], str]:
        parts = re.split(r"([0-9]+)", path.name.casefold())
        return [int(p) if i % 2 else p for i, p in enumerate(parts)], path.name

    return sorted(paths, key=key)


def _warn(folder: Path, others: Sequence[Path]) -> None:
    named = ", ".join(path.name for path in others[:NAMED])
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    LOGGER.warning("%s: left out, since it is no picture: %s%s", folder, named, more)


def _is_cut(data: bytes) -> bool:
    """Whether a JPEG or PNG ends too early, of which OpenCV would show the part that is there."""
    if data.startswith(JPEG):
        # Neither mark occurs inside the data of a scan. Previews end before the scan begins.
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    return data.startswith(PNG) and b"IEND" not in data
