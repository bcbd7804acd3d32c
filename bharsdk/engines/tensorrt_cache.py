"""Engines that TensorRT built on this machine, kept beside the bundle.

::

    NAME.bhar               the bundle
    NAME.bhar.engine        the serialized engine
    NAME.bhar.engine.json   EngineKey, and the engine's sha256

TensorRT executes the content of an engine. So an engine is loaded only if the same TensorRT built
it on the same machine, for the same GPU and from the same graph. Otherwise TensorRT builds a new
one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path

from bharsdk.bundle.manifest import parse_object
from bharsdk.errors import BundleError, InputError
from bharsdk.files.codec import from_json_dict, to_json_dict
from bharsdk.files.writing import write_together

__all__ = ["EngineKey", "engine_path", "load_engine", "machine_id", "store_engine"]

MAX_ENGINE_BYTES = 512 << 20
MAX_SIDECAR_BYTES = 64 << 10


@dataclass(frozen=True)
class EngineKey:
    """What an engine was built for. It is valid for nothing else.

    model_sha256: hash of its graph. gpu: name of the GPU. compute_capability: for example ``8.7``.
    jetpack: release of JetPack, or empty. machine: see :func:`machine_id`.
    """

    model_sha256: str
    precision: str
    tensorrt: str
    gpu: str
    compute_capability: str
    jetpack: str
    machine: str

    def differs(self, other: EngineKey) -> str:
        """Return the differences as text; empty if there are none."""
        pairs = [(f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        return ", ".join(f"{name} {a[:40]} -> {b[:40]}" for name, a, b in pairs if a != b)


@dataclass(frozen=True)
class _Sidecar:
    key: EngineKey
    engine_sha256: str


def engine_path(bundle: Path) -> Path:
    """Return the path of the engine of the bundle at ``bundle``."""
    return bundle.with_name(bundle.name + ".engine")


def load_engine(path: Path, key: EngineKey) -> tuple[bytes | None, str]:
    """Return the engine at ``path`` if it is valid for ``key``, else None and why not."""
    sidecar = _sidecar_path(path)
    try:
        if sidecar.stat().st_size > MAX_SIDECAR_BYTES or path.stat().st_size > MAX_ENGINE_BYTES:
            return None, "it is larger than any that was built here"
        fields_of = parse_object(sidecar.read_bytes(), sidecar.name)
        found = from_json_dict(_Sidecar, fields_of, sidecar.name)
        if found.key != key:
            return None, found.key.differs(key)
        engine = path.read_bytes()
    except OSError:
        return None, "there is none"
    except (BundleError, InputError):
        return None, "its description is damaged"
    if hashlib.sha256(engine).hexdigest() != found.engine_sha256:
        return None, "it is damaged"
    return engine, ""


def store_engine(path: Path, key: EngineKey, engine: bytes) -> None:
    """Write ``engine`` and its key, each as a whole or not at all.

    Raises InputError when the folder cannot be written; older files then stay.
    """
    sidecar = _Sidecar(key, hashlib.sha256(engine).hexdigest())
    text = json.dumps(to_json_dict(sidecar), indent=1) + "\n"
    try:
        # Between the two, an engine has the hash of another one, and is built anew.
        write_together({path: engine, _sidecar_path(path): text.encode()})
    except InputError as error:
        raise InputError(f"cannot keep the engine: {error}") from error


def machine_id() -> str:
    """Return a hash that names this machine, because the system's own id is confidential."""
    with contextlib.suppress(OSError):
        return hashlib.sha256(b"bharsdk" + Path("/etc/machine-id").read_bytes()).hexdigest()[:16]
    return ""


def _sidecar_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")
