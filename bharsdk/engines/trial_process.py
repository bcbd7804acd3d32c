"""The process in which :mod:`bharsdk.engines.trial` tries a model. Its end is its answer."""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np

from bharsdk.bundle.bundle import GOLDEN, MANIFEST, Bundle, make_bundle
from bharsdk.bundle.manifest import parse_manifest
from bharsdk.bundle.stored_zip import unpack
from bharsdk.engines.engine import Backend, open_engine
from bharsdk.engines.golden_check import BATCH, read_golden
from bharsdk.errors import BharError, BundleError
from bharsdk.files.limits import MAX_LOAD_BYTES, MAX_LOAD_SECONDS
from bharsdk.files.untrusted import reason_of

__all__ = ["main"]

STATUS = Path("/proc/self/statm")


def main() -> NoReturn:
    """Try the bundle on stdin as the arguments say, and tell on stdout what came of it."""
    answer = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries announce themselves
    _, source, backend, fused = sys.argv[1:5]
    found = {"error": "", "reason": ""}
    try:
        files = unpack(sys.stdin.buffer.read(), source)
        manifest = parse_manifest(files.pop(MANIFEST), source)
        bundle = make_bundle(source, manifest, files)
        _limit(Backend(backend))
        _run(bundle, Backend(backend), fused=fused == "1")
    except BharError as error:
        reason = str(error).removeprefix(f"{source}: ")
        found = {"error": type(error).__name__, "reason": reason}
    except Exception as error:
        found = {"error": BundleError.__name__, "reason": reason_of(error)}
    os.write(answer, json.dumps(found).encode())
    # Not by way of destructors: what they would do to a damaged model tells nothing.
    os._exit(0)


def _limit(backend: Backend) -> None:
    """Hold this process to what loading a bundle may take, beyond what it has taken to start."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(usage.ru_utime + usage.ru_stime + MAX_LOAD_SECONDS) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if backend is not Backend.TENSORRT:  # CUDA maps all of the GPU's memory
        size = _data_bytes() + MAX_LOAD_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def _data_bytes() -> int:
    """Return what of this process RLIMIT_DATA counts (proc(5), statm)."""
    try:
        return int(STATUS.read_text().split()[5]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0


def _run(bundle: Bundle, backend: Backend, *, fused: bool) -> None:
    engine = open_engine(bundle, backend, optimized=fused, build=False)
    shapes = bundle.manifest.input_shapes
    if all(GOLDEN[name] in bundle.files for name in (*shapes, "logits")):
        clips = dict(read_golden(bundle).inputs)
    else:
        clips = {name: np.zeros((1, *shape), np.float32) for name, shape in shapes.items()}
    count = len(next(iter(clips.values())))
    for i in range(0, count, BATCH):
        engine.run({name: x[i : i + BATCH] for name, x in clips.items()})
