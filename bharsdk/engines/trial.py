"""Tries a model in a separate process, before a library of others loads it in this one.

ONNX Runtime, LiteRT and TensorRT parse files in C++. A damaged or hostile file can crash the
process that loads it. So a new process loads the model and runs the golden clips first, with limits
on memory and time. If it does not end well, this process does not load the model. The outcome is
kept for these files, versions and machine (:mod:`bharsdk.engines.machine`), so later starts cost
nothing.

There is no trial for the native backend, which checks everything itself, and for the models that
ship. ``BHAR_TRIAL=0`` switches trials off, for programs that may not start another one. A program
frozen into one file has no Python to start, so it runs without trials.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bharsdk.bundle.bundle import GOLDEN, MANIFEST, Bundle
from bharsdk.bundle.manifest import encode_manifest
from bharsdk.bundle.shipped import is_shipped
from bharsdk.bundle.stored_zip import pack
from bharsdk.engines.engine import Backend, model_files
from bharsdk.engines.machine import load_kept, processor, store_kept, versions
from bharsdk.engines.tensorrt_cache import engine_path
from bharsdk.errors import (
    BackendMissingError,
    BharError,
    BundleError,
    IncompatibleError,
    InputError,
)
from bharsdk.files.limits import MAX_LOAD_SECONDS

__all__ = ["try_model"]

SWITCH = "BHAR_TRIAL"
KIND = "tried"
TIMEOUT_S = 60.0
"""By the clock, on a busy machine; the process itself is held to ten seconds of computing."""
RUNTIMES = {
    Backend.ONNX: ("onnxruntime",),
    Backend.ONNX_STEP: ("onnxruntime",),
    Backend.TFLITE: ("ai_edge_litert", "tflite_runtime"),
    Backend.TENSORRT: ("tensorrt",),
}
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from bharsdk.engines.trial_process import main; main()"
)
"""Finds what this process finds, where this one finds it, and reads no settings of Python's."""
LATE = f"trying it does not end within {TIMEOUT_S:.0f} s"
KILLED = "the process in which it was tried was killed: is there memory left?"
PASSING, LASTING = (LATE, KILLED), ("", BundleError.__name__)
"""What may be another thing at the next start, and is not kept; and the only errors that are."""
ERRORS: dict[str, type[BharError]] = {
    error.__name__: error
    for error in (BackendMissingError, BundleError, IncompatibleError, InputError)
}


@dataclass(frozen=True)
class _Key:
    """What a trial is valid for. files: sha256 of each file it reads. shapes: of the inputs."""

    backend: str
    fused: bool
    files: dict[str, str]
    shapes: dict[str, tuple[int, ...]]
    classes: int
    embedding: int
    processor: str
    versions: dict[str, str]


@dataclass(frozen=True)
class _Tried:
    """The outcome of a trial. error: name of an error class, or empty if it ended well."""

    key: _Key
    error: str
    reason: str


_known: dict[str, _Tried] = {}
"""Of this process, also where no folder keeps it."""


def try_model(bundle: Bundle, backend: Backend, *, fused: bool = True) -> bool:
    """Run the model of ``backend`` in a separate process; return whether it is safe to load.

    fused: as ``optimized`` of :func:`bharsdk.engines.engine.open_engine`. Returns True for models
    that ship, and False without a trial: for the native backend, or if the package that runs the
    model is missing. Raises the error of loading it there, and BundleError when the process crashed
    or needed too much memory or time.
    """
    if backend not in RUNTIMES or backend not in model_files(bundle):
        return False
    if is_shipped(bundle.source):
        return True
    if os.environ.get(SWITCH) == "0" or getattr(sys, "frozen", False) or not sys.executable:
        return False
    if not any(map(_is_installed, RUNTIMES[backend])):
        return False
    if backend is Backend.TENSORRT and not engine_path(Path(bundle.source)).is_file():
        return False
    key = _key(bundle, backend, fused)
    tried = _known.get(repr(key)) or load_kept(KIND, key, _Tried)
    if tried is None:
        tried = _tried(bundle, backend, key)
        if tried.error in LASTING and tried.reason not in PASSING:
            store_kept(KIND, tried)
    _known[repr(key)] = tried
    if tried.error and backend is Backend.TENSORRT and tried.error != BundleError.__name__:
        return False  # of another TensorRT, say: it is for the caller to build it anew
    if tried.error:
        file = model_files(bundle)[backend]
        raise ERRORS.get(tried.error, BundleError)(f"{bundle.source}: {file}: {tried.reason}")
    return True


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # half loaded, or barred
        return False


def _key(bundle: Bundle, backend: Backend, fused: bool) -> _Key:
    manifest = bundle.manifest
    reads = {model_files(bundle)[backend], *(GOLDEN[name] for name in manifest.input_shapes)}
    files = {name: manifest.files[name].sha256 for name in sorted(reads & set(manifest.files))}
    if backend is Backend.TENSORRT:
        # What TensorRT reads is the engine, too large to be hashed at every start.
        status = engine_path(Path(bundle.source)).stat()
        files["engine"] = f"{status.st_size} {status.st_mtime_ns}"
    return _Key(
        backend.value,
        fused,
        files,
        manifest.input_shapes,
        len(manifest.labels),
        0 if manifest.enrollment is None else manifest.enrollment.embedding,
        processor(),
        versions(),
    )


def _tried(bundle: Bundle, backend: Backend, key: _Key) -> _Tried:
    given = pack({MANIFEST: encode_manifest(bundle.manifest), **bundle.files})
    arguments = (json.dumps(sys.path), bundle.source, backend.value, str(int(key.fused)))
    try:
        # No thread of ours is copied: subprocess starts another program. A session of its own, so
        # that Ctrl-C ends this process, which then ends that one.
        done = subprocess.run(
            [sys.executable, "-I", "-c", START, *arguments],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            start_new_session=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        return _Tried(key, BundleError.__name__, LATE)
    except OSError as error:
        raise _not_tried(bundle, backend, str(error.strerror)) from error
    if done.returncode > 0:
        raise _not_tried(bundle, backend, f"it ends with {done.returncode}")
    return _outcome(key, done)


def _not_tried(bundle: Bundle, backend: Backend, why: str) -> BackendMissingError:
    return BackendMissingError(
        f"{bundle.source}: cannot start a process to try {backend.value} in ({why}): take"
        f"  --backend native,  or set {SWITCH}=0 if you trust the bundle"
    )


def _outcome(key: _Key, done: subprocess.CompletedProcess[bytes]) -> _Tried:
    try:
        said = json.loads(done.stdout)
        return _Tried(key, str(said["error"]), str(said["reason"])[:300])
    except (ValueError, KeyError, TypeError):
        return _Tried(key, BundleError.__name__, _crash(done.returncode))


def _crash(code: int) -> str:
    """What a process that said nothing ended with."""
    if code == -signal.SIGKILL:
        return KILLED
    if code == -signal.SIGXCPU:
        return f"running its golden clips takes more than {MAX_LOAD_SECONDS:.0f} s"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(code)
    return f"loading it crashes the library that runs it ({name}); export the bundle again"
