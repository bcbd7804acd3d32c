"""What a video file says beside its pictures, and every player obeys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bharsdk.values.image import Image

__all__ = ["UPRIGHT", "Container", "Orientation", "codec_name", "read_avi"]

CODECS = {
    "AV1": ("av01", "v_av1"),
    "VVC": ("vvc1", "vvi1"),
    "H.264": ("avc1", "avc3", "h264", "x264", "v_mpeg4/iso/avc"),
    "HEVC (H.265)": ("hvc1", "hev1", "hevc", "h265", "dvh1", "dvhe", "v_mpegh/iso/hevc"),
    "VP8": ("vp08", "vp80", "v_vp8"),
    "VP9": ("vp09", "vp90", "v_vp9"),
    "ProRes": ("apch", "apcn", "apcs", "apco", "ap4h", "ap4x"),
    "MPEG-4": ("mp4v", "xvid", "divx", "dx50", "fmp4", "v_mpeg4/iso/asp"),
    "Motion JPEG": ("mjpg", "jpeg", "mjpa", "mjpb", "v_mjpeg"),
}
AVI_HEAD = 4096
"""The header of an AVI's first stream lies within so many bytes."""


@dataclass(frozen=True)
class Orientation:
    """How stored pictures are turned before they are shown.

    Attributes:
        is_transposed: rows become columns, before the flips.
        flips_x: left and right are swapped.
        flips_y: top and bottom are swapped.
    """

    is_transposed: bool = False
    flips_x: bool = False
    flips_y: bool = False

    @classmethod
    def of_matrix(cls, matrix: Sequence[float]) -> Orientation | None:
        """Return the orientation of ``matrix`` (a, b, c, d); None for other angles than 90 degrees.

        A point (x, y) of the stored picture is shown at (a x + c y, b x + d y), y downwards.
        """
        scale = max(abs(value) for value in matrix)
        if not 0 < scale < math.inf:
            return None
        a, b, c, d = (round(value / scale) for value in matrix)
        if any(abs(v / scale - r) > 0.1 for v, r in zip(matrix, (a, b, c, d), strict=True)):
            return None
        if a and d and not (b or c):
            return cls(False, a < 0, d < 0)
        if b and c and not (a or d):
            return cls(True, c < 0, b < 0)
        return None

    def apply(self, image: Image) -> Image:
        """Return ``image`` [height, width, 3] as it is shown."""
        if self == UPRIGHT:
            return image
        shown = image.swapaxes(0, 1) if self.is_transposed else image
        if self.flips_x:
            shown = shown[:, ::-1]
        if self.flips_y:
            shown = shown[::-1]
        return np.ascontiguousarray(shown)


UPRIGHT = Orientation()


@dataclass(frozen=True)
class Container:
    """What a file says about its first video track.

    Attributes:
        codec: as the container writes it; None where it does not say.
        orientation: how its pictures are turned.
        size: (width, height) of the stored pictures; None where unknown.
        pictures: how many a player shows; None where the container does not count them.
        is_cut: the file ends before the container does.
    """

    codec: str | None = None
    orientation: Orientation = UPRIGHT
    size: tuple[int, int] | None = None
    pictures: int | None = None
    is_cut: bool = False


def codec_name(code: str) -> str:
    """Return the usual name of a codec with its code, without characters that are no letters."""
    shown = "".join(sign for sign in code if sign.isascii() and sign.isprintable())[:32].strip()
    for name, codes in CODECS.items():
        if shown.lower() in codes:
            return f"{name} ({shown})"
    return shown or "an unnamed codec"


def read_avi(head: bytes, size: int) -> Container:
    """Return what the first bytes of an AVI of ``size`` bytes say."""
    at = head[:AVI_HEAD].find(b"vids")
    code = head[at + 4 : at + 8] if at >= 0 and head[at - 8 : at - 4] == b"strh" else b""
    is_cut = int.from_bytes(head[4:8], "little") + 8 > size
    return Container(code.decode("latin-1").strip("\0 ") or None, is_cut=is_cut)
