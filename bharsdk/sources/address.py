"""What the text that names a source means: ``0``, ``rtsp://...``, ``clip.mp4``.

::

    0, v4l2:///dev/video0, /dev/video0     a camera of this machine
    csi://0?width=1280&height=720&fps=30   a camera on a Jetson's ribbon cable, through GStreamer
    rtsp://, rtsps://, http://, https://   a camera in the network
    file:///home/me/clip.mp4, clip.mp4     a video, or a recorded session (NAME.bhar-session)
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from bharsdk.errors import UsageError

__all__ = ["CameraAddress", "CameraKind", "parse_address"]

NETWORK = frozenset({"rtsp", "rtsps", "http", "https"})
SCHEMES = ("v4l2://", "csi://", "rtsp://", "rtsps://", "http://", "https://", "file://")
CSI_DEFAULTS = {"width": 1280, "height": 720, "fps": 30}
MAX_CSI_VALUE = 10_000


class CameraKind(enum.Enum):
    """How a camera is reached."""

    NUMBER = "number"
    DEVICE = "device"
    CSI = "csi"
    NETWORK = "network"


@dataclass(frozen=True)
class CameraAddress:
    """A live source. name: for messages, without a password. target: what OpenCV is to open."""

    kind: CameraKind
    name: str
    target: int | str


def parse_address(source: int | str | Path) -> CameraAddress | Path:
    """The camera, or the path, that ``source`` names. Raises UsageError on an unknown scheme."""
    if isinstance(source, int) or (isinstance(source, str) and source.isdecimal()):
        return _numbered(int(source))
    text = str(source)
    if isinstance(source, Path) or "://" not in text:
        return _device(text) if text.startswith("/dev/video") else Path(source)
    parts = urlsplit(text)
    scheme = parts.scheme.lower()
    if scheme in NETWORK:
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
        return CameraAddress(CameraKind.NETWORK, f"{scheme}://{host}{port}{parts.path}", text)
    if scheme == "file":
        return Path(unquote(parts.netloc + parts.path))
    if scheme == "v4l2":
        rest = parts.netloc + parts.path
        return _numbered(int(rest)) if rest.isdecimal() else _device(rest)
    if scheme == "csi":
        return _csi(parts.netloc, parts.query)
    raise UsageError(
        f"source: got {text!r}, expected a camera number, a path, or one of {', '.join(SCHEMES)}"
    )


def _numbered(number: int) -> CameraAddress:
    return CameraAddress(CameraKind.NUMBER, f"camera {number}", number)


def _device(path: str) -> CameraAddress:
    if not path.startswith("/dev/"):
        raise UsageError(f"source: got v4l2://{path}, expected v4l2:///dev/video0 or v4l2://0")
    return CameraAddress(CameraKind.DEVICE, f"camera {path}", path)


def _csi(sensor: str, query: str) -> CameraAddress:
    """A camera sensor of a Jetson: frames leave its image processor as BGR in main memory."""
    settings = dict(CSI_DEFAULTS)
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in settings or not value.isdecimal() or not 0 < int(value) <= MAX_CSI_VALUE:
            raise UsageError(
                f"source: got {key}={value} for a csi camera, expected whole numbers for"
                f" {', '.join(settings)}"
            )
        settings[key] = int(value)
    if not (sensor or "0").isdecimal():
        raise UsageError(f"source: got csi://{sensor}, expected csi://0")
    number = int(sensor or 0)
    width, height, fps = settings["width"], settings["height"], settings["fps"]
    pipeline = (
        f"nvarguscamerasrc sensor-id={number}"
        f" ! video/x-raw(memory:NVMM),width={width},height={height},framerate={fps}/1"
        " ! nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR"
        " ! appsink drop=true max-buffers=1 sync=false"
    )
    return CameraAddress(CameraKind.CSI, f"csi camera {number}", pipeline)
