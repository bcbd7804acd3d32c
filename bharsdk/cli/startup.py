"""``bhar startup``: from a new process to the first frame that could bring an event."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import bharsdk
from bharsdk.cli.arguments import AUTO, BACKEND, BUNDLE, DEFAULT_MODEL
from bharsdk.cli.command import Command
from bharsdk.errors import BharError
from bharsdk.values.declared import Cli, Help, Range

__all__ = ["STARTUP", "Startup"]

STAGES = ("process", "import", "load", "first_decision", "total")
PROGRAM = """
import json, sys, time
begun = float(sys.argv[1])
started = time.time()
sys.path.insert(0, sys.argv[4])  # the package that the command itself runs, in whatever folder
import bharsdk
imported = time.time()
try:
    recognizer = bharsdk.Recognizer(sys.argv[2], backend=sys.argv[3])
except bharsdk.BharError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
loaded = time.time()
import numpy as np
from bharsdk.landmarks.landmarks import Landmarks
stream, at_ms = recognizer.stream(), 0.0
body = np.random.default_rng(0).random((33, 4), np.float32)
hands = np.random.default_rng(1).random((2, 21, 3), np.float32)
while stream.probabilities is None:
    stream.push(Landmarks(at_ms, body, hands))
    at_ms += 1000 / 30
done = time.time()
print(json.dumps({"process": started - begun, "import": imported - started,
                  "load": loaded - imported, "first_decision": done - loaded,
                  "total": done - begun, "backend": recognizer.backend}))
"""
KINDS = {kind.exit_code: kind for kind in BharError.__subclasses__()}


@dataclass(frozen=True)
class Startup:
    """The options of ``bhar startup``."""

    bundle: Annotated[str, BUNDLE, Cli(names=("bundle",))] = DEFAULT_MODEL
    backend: Annotated[
        str,
        Help("what runs the model"),
        BACKEND,
    ] = AUTO
    runs: Annotated[int, Range(1, 1000), Help("fresh processes, one after the other")] = 5


def _startup(arguments: Startup) -> int:
    from bharsdk.recognizer import bundle_path

    path = bundle_path(arguments.bundle)
    runs = [_once(path, arguments.backend) for _ in range(arguments.runs)]
    print(f"{path.name}, {arguments.runs} fresh processes: median, slowest")
    for stage in STAGES:
        seconds = [float(run[stage]) for run in runs]
        name = stage.replace("_", " ")
        print(f"  {name:<15} {statistics.median(seconds):6.3f} s  {max(seconds):6.3f} s")
    print(f"  {runs[-1]['backend']}")
    return 0


def _once(path: Path, backend: str) -> dict[str, float | str]:
    """One process; seconds by stage."""
    package = str(Path(bharsdk.__file__).absolute().parents[1])
    command = [sys.executable, "-c", PROGRAM, repr(time.time()), str(path), backend, package]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        kind = KINDS.get(result.returncode, BharError)
        raise kind(f"startup: a fresh process ended with {result.returncode}: {last}")
    found: dict[str, float | str] = json.loads(result.stdout.splitlines()[-1])
    return found


STARTUP = Command(Startup, _startup)
