"""Keep what was measured on this machine for the next start, as small JSON files in one folder.

The folder is ``$XDG_CACHE_HOME/bharsdk`` (default ``~/.cache``); anybody may delete it.
``BHAR_CACHE=0`` leaves it alone. A file that cannot be read counts as missing, and a file that
cannot be written is done without.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from bharsdk import __version__
from bharsdk.errors import BharError
from bharsdk.files.codec import from_json_dict, to_json_dict
from bharsdk.files.untrusted import read_json
from bharsdk.files.writing import write_atomically

try:
    import fcntl
except ImportError:  # no Unix: starts do not wait for each other
    fcntl = None  # type: ignore[assignment]

__all__ = ["alone", "load_kept", "processor", "store_kept", "versions"]

T = TypeVar("T")
SWITCH = "BHAR_CACHE"
MAX_BYTES = 64 << 10
RUNTIMES = ("onnxruntime", "ai-edge-litert", "tflite-runtime", "tensorrt")
CPUINFO = Path("/proc/cpuinfo")
NAMES_A_CPU = ("model name", "CPU implementer", "CPU part", "Model")
"""On x86 and on Arm, where Linux states no name."""
WAIT_S = 20.0
"""For another start, before going on without."""
POLL_S = 0.02


def load_kept(kind: str, key: Any, kept: type[T]) -> T | None:
    """Return what was stored under ``key``; None if nothing was."""
    path = _path(kind, key)
    try:
        # read_json asks first whether it is a file: to open a pipe would wait for a writer.
        if path is None or not path.is_file():
            return None
        found = from_json_dict(kept, read_json(path, max_bytes=MAX_BYTES), path.name)
    except (OSError, BharError):
        return None
    return found if found.key == key else None  # type: ignore[attr-defined]


def store_kept(kind: str, kept: Any) -> None:
    """Store ``kept`` under its key, if the machine allows it."""
    path = _path(kind, kept.key)
    if path is None:
        return
    with contextlib.suppress(OSError, BharError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(to_json_dict(kept), indent=1) + "\n").encode())


@contextlib.contextmanager
def alone(wait_s: float = WAIT_S) -> Iterator[bool]:
    """Hold the lock of the folder in the block; yield whether another start was waited for.

    The lock ends with the process. Without locks, or after ``wait_s``, the block runs without one.
    """
    folder = _folder()
    handle, waited = None, False
    try:
        if fcntl is not None and folder is not None:
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                waited = _locked(handle, wait_s)
        yield waited
    finally:
        if handle is not None:
            os.close(handle)


def _locked(handle: int, wait_s: float) -> bool:
    """Take the lock; return whether it was somebody else's at first."""
    end_s, waited = time.monotonic() + wait_s, False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return waited
        except BlockingIOError:
            waited = True
            if time.monotonic() > end_s:
                return waited
            time.sleep(POLL_S)


def _folder() -> Path | None:
    """None where nothing is to be kept."""
    if os.environ.get(SWITCH) == "0":
        return None
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        # A relative one is to be ignored. (XDG Base Directory Specification)
        return (given if given.is_absolute() else Path.home() / ".cache") / "bharsdk"
    except RuntimeError:  # nobody is at home
        return None


def _path(kind: str, key: Any) -> Path | None:
    folder = _folder()
    text = json.dumps(to_json_dict(key), sort_keys=True)
    name = f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    return None if folder is None else folder / name


def processor() -> str:
    """Return the name of this machine's CPU."""
    with contextlib.suppress(OSError), CPUINFO.open(encoding="utf-8", errors="replace") as file:
        # The first pages name the first core, and hundreds of others would take their time.
        lines = file.read(MAX_BYTES).splitlines()
        named = {" ".join(line.split()) for line in lines if line.startswith(NAMES_A_CPU)}
        return "; ".join([platform.machine(), *sorted(named)])
    return platform.machine()


def versions() -> dict[str, str]:
    """Return the version of bharsdk and of each runtime, "" where one is not installed."""
    return {"bharsdk": __version__, **{name: _version(name) for name in RUNTIMES}}


def _version(package: str) -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return ""
