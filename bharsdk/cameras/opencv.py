"""Import OpenCV and MediaPipe when first needed, with a clear error when they are missing."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from bharsdk.errors import BackendMissingError
from bharsdk.process.silence import STDERR, quiet_outputs

__all__ = ["import_camera_module", "import_cv2", "silent_log"]

DEBIAN_PACKAGES = "libgl1 libglib2.0-0"
NEWEST = (3, 12)
"""The last Python that MediaPipe 0.10.21 has wheels for."""
SILENCE = {
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "GLOG_minloglevel": "3",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""What the libraries read at import; values that the user has set stay. -8 is AV_LOG_QUIET."""


def import_cv2() -> ModuleType:
    """Return the module ``cv2``. Raises BackendMissingError as :func:`import_camera_module`."""
    return import_camera_module("cv2")


@contextlib.contextmanager
def silent_log(cv2: Any) -> Iterator[None]:
    """Silence the log of OpenCV in the block; it prints whole addresses, also to stdout."""
    if not hasattr(cv2, "setLogLevel"):
        yield
        return
    before = cv2.getLogLevel()
    cv2.setLogLevel(0)
    try:
        yield
    finally:
        cv2.setLogLevel(before)


def import_camera_module(name: str) -> ModuleType:
    """Import a module of the extra ``camera`` without its start-up messages.

    Raises BackendMissingError. It names the pip extra, the Debian packages of a missing system
    library, or the Python versions that MediaPipe has wheels for.
    """
    for key, value in SILENCE.items():
        os.environ.setdefault(key, value)
    try:
        with quiet_outputs(STDERR):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).split(".")[0]
        if missing in ("cv2", "mediapipe") and sys.version_info[:2] > NEWEST:
            got, last = (".".join(map(str, v)) for v in (sys.version_info[:2], NEWEST))
            raise BackendMissingError(
                f"MediaPipe has no release for Python {got}, expected 3.10 to {last} to find"
                " landmarks in pictures: use such a Python, or give landmarks of your own"
            ) from error
        raise BackendMissingError.for_extra(missing, "camera") from error
    except ImportError as error:
        library = re.search(r"(lib[\w.+-]+\.so[\w.]*): cannot open", str(error))
        if library is None:
            raise BackendMissingError(
                f"{name} cannot be loaded ({error}): run  pip install --force-reinstall"
                " 'bharsdk[camera]'"
            ) from error
        raise BackendMissingError(
            f"{name} needs the system library {library[1]}, which is missing: run"
            f"  apt-get install {DEBIAN_PACKAGES}"
        ) from error
