"""What the back ends took on this machine, kept for the next start.

One small JSON file for each bundle and machine, ``back-ends-*.json`` in ``$XDG_CACHE_HOME/bharsdk``
(default ``~/.cache``), which anybody may delete; ``BHAR_CACHE=0`` leaves the folder alone. A file
that cannot be read, or speaks of something else, is as good as none, and one that cannot be written
is done without.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bharsdk import __version__
from bharsdk.bundle import NATIVE_INTEGERS, NATIVE_WEIGHTS, Bundle
from bharsdk.codec import from_json_dict, to_json_dict
from bharsdk.engines import Backend, model_files
from bharsdk.errors import BundleError, InputError
from bharsdk.files import write_atomically
from bharsdk.manifest import parse_object
from bharsdk.ops import active_isa

__all__ = ["ChoiceKey", "load_latencies", "store_latencies"]

SWITCH = "BHAR_CACHE"
MAX_BYTES = 64 << 10
RUNTIMES = ("onnxruntime", "ai-edge-litert", "tflite-runtime", "tensorrt")
CPUINFO = Path("/proc/cpuinfo")
NAMES_A_CPU = ("model name", "CPU implementer", "CPU part", "Model")
"""On x86 and on Arm, where Linux states no name."""


@dataclass(frozen=True)
class ChoiceKey:
    """What a measurement holds for, and nothing else.

    models: sha256 of each file that a back end runs. backends: which were compared. isa: what
    bharsdk's kernels run on. versions: of each package, "" where it is not installed.
    """

    models: dict[str, str]
    backends: tuple[str, ...]
    processor: str
    isa: str
    versions: dict[str, str]

    @classmethod
    def of(cls, bundle: Bundle, backends: Iterable[Backend]) -> ChoiceKey:
        """That of ``backends`` and ``bundle`` here; raises as :func:`bharsdk.ops.active_isa`."""
        files = bundle.manifest.files
        runs = {*model_files(bundle).values(), NATIVE_WEIGHTS, NATIVE_INTEGERS}
        return cls(
            models={name: files[name].sha256 for name in sorted(runs & set(files))},
            backends=tuple(backend.value for backend in backends),
            processor=_processor(),
            isa=active_isa(),
            versions={"bharsdk": __version__, **{name: _version(name) for name in RUNTIMES}},
        )


@dataclass(frozen=True)
class _Kept:
    key: ChoiceKey
    latency_ms: dict[str, float]


def load_latencies(key: ChoiceKey) -> dict[Backend, float] | None:
    """Milliseconds of one clip by back end, as stored for ``key``; None if that is not known."""
    path = _path(key)
    try:
        # Asked first: to open a pipe would wait for a writer.
        if path is None or not path.is_file() or path.stat().st_size > MAX_BYTES:
            return None
        kept = from_json_dict(_Kept, parse_object(path.read_bytes(), path.name), path.name)
    except (OSError, BundleError, InputError):
        return None
    known = bool(kept.latency_ms) and set(kept.latency_ms) <= set(key.backends)
    if kept.key != key or not known or not all(map(math.isfinite, kept.latency_ms.values())):
        return None
    return {Backend(name): ms for name, ms in kept.latency_ms.items()}


def store_latencies(key: ChoiceKey, latency_ms: Mapping[Backend, float]) -> None:
    """Keep ``latency_ms`` for ``key``, if the machine lets us."""
    path = _path(key)
    if path is None:
        return
    kept = _Kept(key, {backend.value: ms for backend, ms in latency_ms.items()})
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(to_json_dict(kept), indent=1) + "\n").encode())


def _path(key: ChoiceKey) -> Path | None:
    """None where nothing is to be kept."""
    if os.environ.get(SWITCH) == "0":
        return None
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        # A relative one is to be ignored. (XDG Base Directory Specification)
        folder = given if given.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # nobody is at home
        return None
    text = json.dumps(to_json_dict(key), sort_keys=True)
    return folder / "bharsdk" / f"back-ends-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _processor() -> str:
    with contextlib.suppress(OSError), CPUINFO.open(encoding="utf-8", errors="replace") as file:
        # The first pages name the first core, and hundreds of others would take their time.
        lines = file.read(MAX_BYTES).splitlines()
        named = {" ".join(line.split()) for line in lines if line.startswith(NAMES_A_CPU)}
        return "; ".join([platform.machine(), *sorted(named)])
    return platform.machine()


def _version(package: str) -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return ""
