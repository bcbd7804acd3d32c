"""Which back end runs a bundle on this machine: one that is right, and of these the fastest.

::

    AUTO -> those that the bundle has a model for and this machine a package
         -> each replays the golden clips; what is off is left out
         -> one clip in turns, the median of each; kept for the next start (choice_cache)
"""

from __future__ import annotations

import contextlib
import logging
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bharsdk.bundle import GOLDEN, Bundle
from bharsdk.engines import Backend, Engine, backends_of, open_engine
from bharsdk.engines.choice_cache import ChoiceKey, load_latencies, store_latencies
from bharsdk.engines.golden import check_engine, read_golden
from bharsdk.errors import (
    BackendMissingError,
    BharError,
    BundleError,
    IncompatibleError,
    ParityError,
)

__all__ = ["Choice", "choose_engine"]

LOGGER = logging.getLogger("bharsdk")

ROUNDS = 5
BUDGET_S = 0.2
"""No round begins later: a start is waited for."""
TIE = 1.05
"""Up to this many times the fastest, the native network runs: it needs nothing but bharsdk."""
HOPELESS = 3.0
"""What took the exporting machine this many times as long as the fastest form is not even opened:
that alone takes ONNX Runtime a second for a BHaRNet-E."""


@dataclass(frozen=True, eq=False)
class Choice:
    """An engine that gave the golden logits on this machine, and why it is this one."""

    engine: Engine
    why: str

    def __str__(self) -> str:
        return f"{self.engine.name} ({self.why})"


def choose_engine(
    bundle: Bundle, backend: Backend = Backend.AUTO, *, require: bool = False
) -> Choice:
    """The engine for ``bundle``, after it gave the golden logits on this machine.

    AUTO takes the fastest by measurement. TensorRT is among them once ``bhar build`` has built its
    engine. Some releases of onnxruntime fuse quantised graphs into something else (1.23 does: it
    recognises next to nothing of what 1.31 does). Where the fused graph fails, the graph as written
    is taken: slower, and right. What fails is said in a warning; with ``require`` it is raised. A
    bundle without golden data is taken as it is. Raises ParityError when all fail, and what
    :func:`bharsdk.engines.open_engine` raises.
    """
    failed: list[BharError] = []
    if not any(file in bundle.files for file in GOLDEN.values()):
        choice = Choice(open_engine(bundle, backend), "unproven: the bundle has no golden data")
    elif backend is Backend.AUTO:
        choice = _fastest(bundle, failed)
    else:
        choice = Choice(_proven(bundle, backend, failed, build=True), "as asked")
    if require and failed:
        raise failed[0]
    for error in failed:
        LOGGER.warning("left out: %s", error)
    LOGGER.info("%s: %s", bundle.source, choice)
    return choice


def _fastest(bundle: Bundle, failed: list[BharError]) -> Choice:
    hopeful, others = _candidates(bundle)
    key = ChoiceKey.of(bundle, hopeful) if len(hopeful) > 1 else None
    kept = load_latencies(key) if key is not None else None
    if kept is not None:
        attempts: list[BharError] = []
        # Right once is not right for ever: it is proven like any other.
        with contextlib.suppress(BharError):
            engine = _proven(bundle, _best(kept), attempts, build=False)
            if not attempts:
                return Choice(engine, f"{_told(kept)}, measured at an earlier start")
    engines = _all_proven(bundle, hopeful, others, failed)
    if len(engines) == 1:
        (engine,) = engines.values()
        return Choice(
            engine, "far ahead by the bundle's report" if others else "no other runs here"
        )
    latency_ms = _latencies_ms(bundle, engines)
    if key is not None and not failed:
        store_latencies(key, latency_ms)
    return Choice(engines[_best(latency_ms)], _told(latency_ms))


def _candidates(bundle: Bundle) -> tuple[list[Backend], list[Backend]]:
    """(those that may be the fastest, those to take if none of these is right)."""
    from bharsdk.engines.tensorrt_cache import engine_path

    # A recogniser asks for clips: taken frame by frame they cost as many steps.
    holds: list[Backend] = [b for b in backends_of(bundle) if b is not Backend.ONNX_STEP]
    if not engine_path(Path(bundle.source)).is_file():
        holds = [backend for backend in holds if backend is not Backend.TENSORRT]
    if bundle.manifest.gestures:  # which others cannot tell
        holds = [b for b in holds if b in (Backend.NATIVE, Backend.ONNX)]
    exported_ms = _exported_ms(bundle)
    known_ms = [exported_ms[backend] for backend in holds if backend in exported_ms]
    limit_ms = HOPELESS * min(known_ms, default=0.0)
    hopeful = [backend for backend in holds if exported_ms.get(backend, 0.0) <= limit_ms]
    return hopeful, [backend for backend in holds if backend not in hopeful]


def _exported_ms(bundle: Bundle) -> dict[Backend, float]:
    """Milliseconds of one clip on the exporting machine, of what the report tells."""
    precision = bundle.manifest.precision.value
    names = {backend: f"{backend.value}-{precision}" for backend in Backend}
    try:
        report = bundle.report
        if "forms" in report:
            told = {name: form.get("latency_ms") for name, form in report["forms"].items()}
        else:  # as the first exporter wrote it
            told, names[Backend.ONNX] = dict(report["latency_ms"]), precision
    except (BundleError, AttributeError, KeyError, TypeError, ValueError):
        return {}
    found = {backend: told.get(name) for backend, name in names.items()}
    return {backend: float(ms) for backend, ms in found.items() if isinstance(ms, int | float)}


def _all_proven(
    bundle: Bundle, hopeful: list[Backend], others: list[Backend], failed: list[BharError]
) -> dict[Backend, Engine]:
    """The engines of ``hopeful`` that run here and are right, or of ``others`` if none is."""
    missing: list[BharError] = []
    for backends in (hopeful, others):
        engines: dict[Backend, Engine] = {}
        for backend in backends:
            try:
                engines[backend] = _proven(bundle, backend, failed, build=False)
            except (ParityError, BundleError) as error:
                failed.append(error)
            except (BackendMissingError, IncompatibleError) as error:
                if backend is Backend.TENSORRT:  # somebody built its engine, and will miss it
                    failed.append(error)
                elif isinstance(error, IncompatibleError):
                    raise
                else:
                    missing.append(error)
        if engines:
            return engines
    raise [*failed, *missing][0]


def _proven(bundle: Bundle, backend: Backend, failed: list[BharError], *, build: bool) -> Engine:
    """The engine of ``backend``; the graph as it is written if fusing it makes it wrong."""
    engine = open_engine(bundle, backend, build=build)
    try:
        check_engine(bundle, engine)
    except ParityError as error:
        if backend is not Backend.ONNX:
            raise
        failed.append(error)
        engine = open_engine(bundle, backend, optimised=False)
        check_engine(bundle, engine)
    return engine


def _latencies_ms(bundle: Bundle, engines: Mapping[Backend, Engine]) -> dict[Backend, float]:
    """Medians of one clip, in turns: a moment in which the machine is busy meets all alike."""
    taken_ms: dict[Backend, list[float]] = {backend: [] for backend in engines}
    golden = read_golden(bundle, next(iter(engines.values())).golden_logits)
    clip = {name: clips[:1] for name, clips in golden.inputs.items()}
    end_s = time.perf_counter() + BUDGET_S
    for _ in range(ROUNDS):
        for backend, engine in engines.items():
            begin_s = time.perf_counter()
            engine.run(clip)
            taken_ms[backend].append((time.perf_counter() - begin_s) * 1000.0)
        if time.perf_counter() > end_s:
            break
    return {backend: statistics.median(taken) for backend, taken in taken_ms.items()}


def _best(latency_ms: Mapping[Backend, float]) -> Backend:
    fastest = min(latency_ms, key=lambda backend: latency_ms[backend])
    native_ms = latency_ms.get(Backend.NATIVE, float("inf"))
    return Backend.NATIVE if native_ms <= TIE * latency_ms[fastest] else fastest


def _told(latency_ms: Mapping[Backend, float]) -> str:
    order = sorted(latency_ms, key=lambda backend: latency_ms[backend])
    return "one clip: " + ", ".join(f"{b.value} {latency_ms[b]:.1f} ms" for b in order)
