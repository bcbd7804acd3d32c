"""The bytes of a sensor_msgs/Image -> the pictures of bharsdk, by numpy alone."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk import InputError

__all__ = ["Encoding", "to_bgr"]

BgrImage = npt.NDArray[np.uint8]


class Encoding(enum.Enum):
    """Those of sensor_msgs/image_encodings that a color or gray camera sends, a byte a channel.

    OpenCV's own names (8UC1) do not say the colors: they stand in its order, blue first.
    """

    BGR8 = "bgr8"
    RGB8 = "rgb8"
    MONO8 = "mono8"
    BGRA8 = "bgra8"
    RGBA8 = "rgba8"
    GRAY_8UC1 = "8UC1"
    BGR_8UC3 = "8UC3"
    BGRA_8UC4 = "8UC4"

    @property
    def bgr_channels(self) -> tuple[int, int, int]:
        """The positions of blue, green and red among the channels."""
        if self.channels == 1:
            return 0, 0, 0
        return (2, 1, 0) if self in (Encoding.RGB8, Encoding.RGBA8) else (0, 1, 2)

    @property
    def channels(self) -> int:
        """The number of bytes of one pixel."""
        return CHANNELS[self]


CHANNELS = {
    Encoding.MONO8: 1,
    Encoding.GRAY_8UC1: 1,
    Encoding.BGR8: 3,
    Encoding.RGB8: 3,
    Encoding.BGR_8UC3: 3,
    Encoding.BGRA8: 4,
    Encoding.RGBA8: 4,
    Encoding.BGRA_8UC4: 4,
}


def to_bgr(data: Any, *, height: int, width: int, encoding: str, step: int) -> BgrImage:
    """A picture, uint8 [height, width, 3] BGR.

    data: bytes, or anything else with a buffer of ``height`` rows. step: bytes from one row to the
    next, padding included. The picture never shares memory with ``data``, which ROS may reuse.
    Raises InputError on an unknown encoding, and where data or step are too small for the picture.
    """
    try:
        kind = Encoding(encoding)
    except ValueError:
        known = ", ".join(member.value for member in Encoding)
        raise InputError(
            f"image: got encoding {encoding!r}, expected one of {known}: convert it before"
        ) from None
    used = width * kind.channels
    if height < 1 or width < 1 or step < used:
        raise InputError(
            f"image: got {width} x {height} pixels of {kind.value} in rows of {step} bytes,"
            f" expected at least one pixel and {used} bytes a row"
        )
    flat = np.frombuffer(data, np.uint8)
    # Some drivers leave the padding of the last row away.
    if flat.size < (height - 1) * step + used:
        raise InputError(f"image: got {flat.size} bytes, expected {height} rows of {step} bytes")
    rows = np.lib.stride_tricks.as_strided(
        flat, (height, width, kind.channels), (step, kind.channels, 1), writeable=False
    )
    return np.ascontiguousarray(rows[:, :, kind.bgr_channels])
