"""Chooses the backend for a bundle on this machine: the fastest of those that compute correctly.

::

    AUTO -> the measurements of earlier starts, if there are any; else
         -> the backends that the bundle has a model for, and this machine a package
         -> each replays the golden clips; libraries of others in a separate process first (trial).
            A backend that crashes or computes something else is left out
         -> one clip in turns; the median of each is kept for the next start (selection_cache)

Programs that start at the same time wait for each other: the first one measures, the others take
its result.
"""

from __future__ import annotations

import contextlib
import logging
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bharsdk.bundle.bundle import GOLDEN, NATIVE_NETWORK, Bundle
from bharsdk.engines.engine import Backend, Engine, backends_of, open_engine
from bharsdk.engines.golden_check import check_engine, read_golden
from bharsdk.engines.machine import alone
from bharsdk.engines.selection_cache import (
    ChoiceKey,
    Latencies,
    load_latencies,
    store_latencies,
)
from bharsdk.engines.trial import try_model
from bharsdk.errors import (
    BackendMissingError,
    BharError,
    BundleError,
    IncompatibleError,
    ParityError,
)
from bharsdk.values.terminal import printable

__all__ = ["Choice", "choose_engine"]

LOGGER = logging.getLogger("bharsdk")

ROUNDS = 5
BUDGET_S = 0.2
"""No round begins later, because somebody waits for the start."""
TIE = 1.05
"""A backend that takes up to this many times the fastest counts as equally fast. Of equally fast
backends, the first in the preferred order runs."""
PREFERRED: list[Backend] = [b for b in Backend if b is not Backend.AUTO]
PREFERRED.sort(key=lambda backend: backend is not Backend.NATIVE)
"""The native backend goes first: it needs no other package."""
HOPELESS = 3.0
"""A backend that took this many times as long as the fastest on the exporting machine is not even
opened: opening a BHaRNet-E takes ONNX Runtime a second."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The chosen backend, with its model loaded, and why it was chosen."""

    engine: Engine
    why: str

    def __str__(self) -> str:
        return f"{self.engine.name} ({self.why})"


@dataclass(frozen=True)
class _Failed:
    """Errors of the backends that were left out.

    crashed: in the separate process; these are remembered. wrong: in this process.
    """

    crashed: list[BharError] = field(default_factory=list)
    wrong: list[BharError] = field(default_factory=list)

    @property
    def errors(self) -> list[BharError]:
        return [*self.crashed, *self.wrong]


def choose_engine(
    bundle: Bundle, backend: Backend = Backend.AUTO, *, require: bool = False
) -> Choice:
    """Load ``bundle`` in a backend that computes its golden logits on this machine.

    backend: AUTO measures and takes the fastest. TensorRT takes part once ``bhar build`` has built
    its engine. require: raise the first error of a backend that fails; the default is a warning.

    Some releases of onnxruntime compute fused quantized graphs wrongly; 1.23 recognizes almost
    nothing. If a fused graph fails, the graph runs without fusion, which is slower and right. A
    bundle without golden data is not checked. Raises ParityError when all backends fail, and the
    errors of :func:`bharsdk.engines.engine.open_engine`.
    """
    failed = _Failed()
    if not any(file in bundle.files for file in GOLDEN.values()):
        choice = _unproven(bundle, backend)
    elif backend is Backend.AUTO:
        choice = _fastest(bundle, failed)
    else:
        choice = Choice(_proven(bundle, backend, failed.wrong, build=True), "as asked")
    if require and failed.errors:
        raise failed.errors[0]
    for error in failed.errors:
        LOGGER.warning("left out: %s", printable(error))
    LOGGER.info("%s: %s", printable(bundle.source), choice)
    return choice


def _unproven(bundle: Bundle, backend: Backend) -> Choice:
    if backend is Backend.AUTO:
        backend = Backend.NATIVE if NATIVE_NETWORK in bundle.files else Backend.ONNX
    vouched = try_model(bundle, backend)
    engine = open_engine(bundle, backend, vouched=vouched)
    return Choice(engine, "unproven: the bundle has no golden data")


def _fastest(bundle: Bundle, failed: _Failed) -> Choice:
    hopeful, others = _candidates(bundle)
    if len(hopeful) < 2:
        engines = _all_proven(bundle, hopeful, others, failed)
        return _only(engines, others) or _measured(bundle, engines, None, failed)
    key = ChoiceKey.of(bundle, hopeful)
    if (choice := _remembered(bundle, key, failed)) is not None:
        return choice
    # One start at a time, so that they do not disturb each other's measurement, and agree.
    with alone() as waited:
        if waited and (choice := _remembered(bundle, key, failed, afresh=False)) is not None:
            return choice
        engines = _all_proven(bundle, hopeful, others, failed)
        return _only(engines, others) or _measured(bundle, engines, key, failed)


def _only(engines: Mapping[Backend, Engine], others: list[Backend]) -> Choice | None:
    """Return the choice if only one backend is left, else None."""
    if len(engines) != 1:
        return None
    (engine,) = engines.values()
    return Choice(engine, "far ahead by the bundle's report" if others else "no other runs here")


def _remembered(
    bundle: Bundle, key: ChoiceKey, failed: _Failed, *, afresh: bool = True
) -> Choice | None:
    """Return the choice of earlier starts if it is still valid; None to measure.

    afresh: measure again when that is due.
    """
    known = load_latencies(key)
    if known is None or (afresh and known.due):
        return None
    attempts = _Failed()
    # Right once is not right for ever: it is proven like any other.
    with contextlib.suppress(BharError):
        engine = _proven(bundle, _best(known.ms), attempts.wrong, build=False)
        # What crashed at an earlier start says so at every start.
        for backend in map(Backend, key.backends):
            if backend not in known.ms:
                with contextlib.suppress(BackendMissingError):
                    _crashes(bundle, backend, attempts)
        if not attempts.wrong:
            failed.crashed.extend(attempts.crashed)
            return Choice(engine, _told(known))
    return None


def _measured(
    bundle: Bundle,
    engines: Mapping[Backend, Engine],
    key: ChoiceKey | None,
    failed: _Failed,
) -> Choice:
    """Measure ``engines``, and return the fastest."""
    latency_ms = _latencies_ms(bundle, engines)
    known = Latencies(latency_ms, 1, due=False)
    # Of a machine on which something is wrong nothing is kept, so that each start says it.
    if key is not None and not failed.wrong:
        known = store_latencies(key, latency_ms)
    # Others than these did not run now, whatever they took before.
    here = {backend: ms for backend, ms in known.ms.items() if backend in engines}
    return Choice(engines[_best(here)], _told(replace(known, ms=here), now=True))


def _candidates(bundle: Bundle) -> tuple[list[Backend], list[Backend]]:
    """Return the backends that may be the fastest, and those to take if none of these works."""
    from bharsdk.engines.tensorrt_cache import engine_path

    # A recognizer asks for clips: taken frame by frame they cost as many steps.
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
    """Return milliseconds of one clip on the exporting machine, by backend, from the report."""
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
    bundle: Bundle, hopeful: list[Backend], others: list[Backend], failed: _Failed
) -> dict[Backend, Engine]:
    """Return the backends of ``hopeful`` that work here, or of ``others`` if none does."""
    missing: list[BharError] = []
    for backends in (hopeful, others):
        engines: dict[Backend, Engine] = {}
        # Our own first: it is there whatever becomes of the others.
        for backend in sorted(backends, key=PREFERRED.index):
            try:
                if not _crashes(bundle, backend, failed):
                    engines[backend] = _proven(bundle, backend, failed.wrong, build=False)
            except (ParityError, BundleError) as error:
                failed.wrong.append(error)
            except (BackendMissingError, IncompatibleError) as error:
                if backend is Backend.TENSORRT:  # somebody built its engine, and will miss it
                    failed.wrong.append(error)
                elif backend is Backend.NATIVE and isinstance(error, BackendMissingError):
                    failed.wrong.append(error)  # part of bharsdk itself: something is wrong here
                elif isinstance(error, IncompatibleError):
                    raise
                else:
                    missing.append(error)
        if engines:
            return engines
    raise [*failed.errors, *missing][0]


def _proven(bundle: Bundle, backend: Backend, failed: list[BharError], *, build: bool) -> Engine:
    """Load ``backend`` and check its golden logits; without fusion if fusion makes them wrong.

    A library of others runs in a separate process before it loads the model in this one.
    """
    vouched = try_model(bundle, backend)
    engine = open_engine(bundle, backend, build=build, vouched=vouched)
    try:
        check_engine(bundle, engine)
    except ParityError as error:
        if backend is not Backend.ONNX:
            raise
        failed.append(error)
        vouched = try_model(bundle, backend, fused=False)
        engine = open_engine(bundle, backend, optimized=False, vouched=vouched)
        check_engine(bundle, engine)
    return engine


def _crashes(bundle: Bundle, backend: Backend, failed: _Failed) -> bool:
    """Return whether the model crashes in a separate process, and note the error."""
    try:
        try_model(bundle, backend)
    except BundleError as error:
        failed.crashed.append(error)
        return True
    return False


def _latencies_ms(bundle: Bundle, engines: Mapping[Backend, Engine]) -> dict[Backend, float]:
    """Return the median time of one clip by backend, measured in turns, so that load is fair."""
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
    """Return the first backend in the preferred order that is about as fast as the fastest."""
    fastest = min(latency_ms.values())
    return next(b for b in PREFERRED if latency_ms.get(b, math.inf) <= TIE * fastest)


def _told(known: Latencies, *, now: bool = False) -> str:
    order = sorted(known.ms, key=lambda backend: known.ms[backend])
    times = "one clip: " + ", ".join(f"{b.value} {known.ms[b]:.1f} ms" for b in order)
    if known.starts > 1:
        return f"{times}, medians of {known.starts} {'' if now else 'earlier '}starts"
    return times if now else f"{times}, measured at an earlier start"
