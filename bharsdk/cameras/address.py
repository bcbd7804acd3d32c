"""What the text that names a source means: ``0``, ``rtsp://...``, ``clip.mp4``.

::

    0, v4l2:///dev/video0, /dev/video0     a camera of this machine
    csi://0?width=1280&height=720&fps=30   a camera on a Jetson's ribbon cable, through GStreamer
    rtsp://, rtsps://, http://, https://   a camera in the network
    file:///home/me/clip.mp4, clip.mp4     a video, a folder of pictures, or a recorded session

A further scheme is a module of its own and a row in :data:`SCHEME_MODULES`. The module has two
functions: ``target_of(rest)`` checks what follows ``SCHEME://`` and returns what to open, or raises
UsageError; ``open_one(address, origin_s)`` returns the live pictures.

Text is an address when it begins with one of these schemes and ``://``. All other text is a path,
whatever colons it holds. What an address may say in a message decides
:func:`bharsdk.values.redaction.address_name`.
"""

from __future__ import annotations

import enum
import importlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from bharsdk.errors import UsageError
from bharsdk.files.limits import MAX_ADDRESS_LENGTH, MAX_CAMERA_NUMBER
from bharsdk.values.redaction import address_name

__all__ = ["CameraAddress", "CameraKind", "parse_address"]

NETWORK = frozenset({"rtsp", "rtsps", "http", "https"})
SCHEMES = ("v4l2://", "csi://", "rtsp://", "rtsps://", "http://", "https://", "file://")
SCHEME_MODULES: dict[str, str] = {}
"""Scheme -> module that reads and opens its addresses: ``"screen": "bharsdk.cameras.screen"``."""
CSI_DEFAULTS = {"width": 1280, "height": 720, "fps": 30}
MAX_CSI_VALUE = 10_000
MAX_PORT = 65_535
WITH_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://(.*?)\s*", re.DOTALL)
HOST = re.compile(r"(?P<host>[\w.~-]+|\[[0-9A-Fa-f:.]+(?:%[\w.~-]+)?\])(?::(?P<port>[0-9]*))?")
LIKE_AN_ADDRESS = re.compile(r"\s*(rtsps?|rtmps?|https?|[a-z][a-z0-9+.-]+(?=:/)):", re.IGNORECASE)
LIKE_A_PASSWORD = re.compile(r":.*@", re.DOTALL)
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
ESCAPES = "(in a user name or password, write / as %2F, @ as %40, ? as %3F and # as %23)"


class CameraKind(enum.Enum):
    """How a camera is reached."""

    NUMBER = "number"
    DEVICE = "device"
    CSI = "csi"
    NETWORK = "network"
    MODULE = "module"
    """By a module of its own, see :data:`SCHEME_MODULES`."""


@dataclass(frozen=True)
class CameraAddress:
    """A live source.

    Attributes:
        name: for messages, without a password.
        target: what is opened.
        module: the module that opens it; None for OpenCV.
    """

    kind: CameraKind
    name: str
    target: int | str = field(repr=False)
    module: str = ""


def parse_address(source: int | str | Path) -> CameraAddress | Path:
    """Return the camera or the path that ``source`` names.

    Raises UsageError on an unknown scheme, a wrong address, and a camera number above 99. Messages
    show only scheme, host and port.
    """
    if isinstance(source, int):
        return _numbered(source, str(source) if abs(source) < 10**9 else "of many digits")
    text = str(source)
    if isinstance(source, str) and text.isdecimal():
        return _numbered_text(text)
    found = None if isinstance(source, Path) else WITH_SCHEME.fullmatch(text)
    if found is None:
        return _path(source)
    scheme, rest = found[1].lower(), found[2]
    if scheme in NETWORK:
        return _network(scheme, rest, text.strip())
    if scheme == "file":
        return Path(
            unquote(rest.removeprefix("localhost") if rest.startswith("localhost/") else rest)
        )
    if scheme == "v4l2":
        return _numbered_text(rest) if rest.isdecimal() else _device(rest)
    if scheme == "csi":
        return _csi(rest)
    if scheme in SCHEME_MODULES:
        module = SCHEME_MODULES[scheme]
        target = importlib.import_module(module).target_of(rest)
        return CameraAddress(CameraKind.MODULE, address_name(text.strip()), target, module)
    if _is_there(text):
        return Path(text)
    raise UsageError(
        f"source: got {address_name(text)!r}, expected a camera number, a path, or one of"
        f" {', '.join([*SCHEMES, *(f'{scheme}://' for scheme in SCHEME_MODULES)])}"
    )


def _path(source: str | Path) -> CameraAddress | Path:
    """Text without a scheme: a path, unless it is an address that somebody wrote in another way."""
    text = str(source)
    if text.startswith("/dev/video"):
        return _device(text)
    if not _is_there(text):
        like = LIKE_AN_ADDRESS.match(text)
        if like is not None:
            kind = "a Path" if isinstance(source, Path) else f"{like[1].lower()}: without //"
            raise UsageError(
                f"source: got {kind} where an address was meant, expected text:"
                f" {like[1].lower()}://HOST/..."
            )
        if LIKE_A_PASSWORD.search(text):
            raise UsageError(
                "source: got what looks like a user name and a password, and no file of this name,"
                " expected an address with its scheme: rtsp://USER:PASSWORD@HOST/..."
            )
    return Path(source)


def _is_there(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long, or no name of a file
        return False


def _network(scheme: str, rest: str, text: str) -> CameraAddress:
    if len(text) > MAX_ADDRESS_LENGTH or UNPRINTABLE.search(text):
        raise UsageError(
            f"source: got {scheme}://... with control characters or of more than"
            f" {MAX_ADDRESS_LENGTH} characters, expected an address"
        )
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    # FFmpeg ends the host at the first / as the rules say: it would call another one.
    if "@" in rest[len(authority) :]:
        raise UsageError(
            f"source: got {scheme}://... with an @ behind the host, expected"
            f" {scheme}://USER:PASSWORD@HOST/... {ESCAPES}"
        )
    host = HOST.fullmatch(authority.rpartition("@")[2])
    if host is None:
        raise UsageError(
            f"source: got {scheme}://... without a host, or with brackets or a port that are none,"
            f" expected {scheme}://USER:PASSWORD@HOST:PORT/... {ESCAPES}"
        )
    port = host["port"] or "1"
    if len(port) > 5 or not 1 <= int(port) <= MAX_PORT:
        raise UsageError(
            f"source: got a port outside 1 to {MAX_PORT} in {scheme}://..., expected"
            f" {scheme}://HOST:PORT/..."
        )
    return CameraAddress(CameraKind.NETWORK, address_name(text), text)


def _numbered_text(digits: str) -> CameraAddress:
    if len(digits) > 9:  # Python refuses to read thousands of digits as a number
        return _numbered(-1, f"of {len(digits)} digits")
    return _numbered(int(digits), digits)


def _numbered(number: int, shown: str) -> CameraAddress:
    # OpenCV takes the hundreds for a backend, and would open another camera.
    if isinstance(number, bool) or not 0 <= number <= MAX_CAMERA_NUMBER:
        raise UsageError(
            f"source: got a camera number {shown}, expected 0 to {MAX_CAMERA_NUMBER}, or a device:"
            " /dev/video100"
        )
    return CameraAddress(CameraKind.NUMBER, f"camera {number}", number)


def _device(path: str) -> CameraAddress:
    if not path.startswith("/dev/"):
        raise UsageError(f"source: got v4l2://{path}, expected v4l2:///dev/video0 or v4l2://0")
    return CameraAddress(CameraKind.DEVICE, f"camera {path}", path)


def _csi(rest: str) -> CameraAddress:
    """A camera sensor of a Jetson: frames leave its image processor as BGR in main memory."""
    sensor, _, query = rest.partition("?")
    sensor = sensor.rstrip("/") or "0"
    settings = dict(CSI_DEFAULTS)
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in settings or not _is_whole(value) or not 0 < int(value) <= MAX_CSI_VALUE:
            raise UsageError(
                f"source: got {key[:20]}={value[:20]} for a csi camera, expected whole numbers up"
                f" to {MAX_CSI_VALUE} for {', '.join(settings)}"
            )
        settings[key] = int(value)
    if not _is_whole(sensor) or int(sensor) > MAX_CAMERA_NUMBER:
        raise UsageError(f"source: got csi://{sensor[:20]}, expected csi://0")
    number = int(sensor)
    width, height, fps = settings["width"], settings["height"], settings["fps"]
    pipeline = (
        f"nvarguscamerasrc sensor-id={number}"
        f" ! video/x-raw(memory:NVMM),width={width},height={height},framerate={fps}/1"
        " ! nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR"
        " ! appsink drop=true max-buffers=1 sync=false"
    )
    return CameraAddress(CameraKind.CSI, f"csi camera {number}", pipeline)


def _is_whole(text: str) -> bool:
    return text.isdecimal() and len(text) <= 9
