"""Measured times of the backends, kept for the next start (:mod:`bharsdk.engines.machine`).

The machine may be busy during one measurement. So there are up to three, at starts at least a
minute apart, and their medians decide. After the third, no start measures any more.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bharsdk.bundle.bundle import NATIVE_INTEGERS, NATIVE_WEIGHTS, Bundle
from bharsdk.engines.engine import Backend, model_files
from bharsdk.engines.machine import load_kept, processor, store_kept, versions
from bharsdk.errors import InputError
from bharsdk.kernels.ops import active_isa

__all__ = ["ChoiceKey", "Latencies", "load_latencies", "store_latencies"]

KIND = "backends"
MEASUREMENTS = 3
APART_S = 60.0
"""Of two measurements: what disturbs one disturbs another one that follows at once."""


@dataclass(frozen=True)
class ChoiceKey:
    """What a measurement is valid for.

    models: sha256 of each model file. backends: the compared backends. isa: instruction set of
    bharsdk's kernels. versions: version of each package, "" if it is not installed.
    """

    models: dict[str, str]
    backends: tuple[str, ...]
    processor: str
    isa: str
    versions: dict[str, str]

    @classmethod
    def of(cls, bundle: Bundle, backends: Iterable[Backend]) -> ChoiceKey:
        """Return the key of ``backends`` and ``bundle`` on this machine.

        Raises the errors of :func:`bharsdk.kernels.ops.active_isa`.
        """
        files = bundle.manifest.files
        runs = {*model_files(bundle).values(), NATIVE_WEIGHTS, NATIVE_INTEGERS}
        return cls(
            models={name: files[name].sha256 for name in sorted(runs & set(files))},
            backends=tuple(backend.value for backend in backends),
            processor=processor(),
            isa=active_isa(),
            versions=versions(),
        )


@dataclass(frozen=True)
class _Measured:
    """Milliseconds of one clip by backend. at_s: time of the measurement, seconds since 1970."""

    latency_ms: dict[str, float]
    at_s: float


@dataclass(frozen=True)
class _Kept:
    key: ChoiceKey
    measured: tuple[_Measured, ...]

    def __post_init__(self) -> None:
        for one in self.measured:
            times = [*one.latency_ms.values(), one.at_s]
            known = bool(one.latency_ms) and set(one.latency_ms) <= set(self.key.backends)
            if not known or not all(0 <= ms < math.inf for ms in times):
                raise InputError(f"got latencies {one.latency_ms}, expected milliseconds")
        if not 0 < len(self.measured) <= MEASUREMENTS:
            raise InputError(f"got {len(self.measured)} measurements")


@dataclass(frozen=True)
class Latencies:
    """Known times of the backends.

    ms: milliseconds of one clip by backend, medians of ``starts`` measurements. due: whether the
    next start should measure again.
    """

    ms: dict[Backend, float]
    starts: int
    due: bool


def load_latencies(key: ChoiceKey) -> Latencies | None:
    """Return what is stored for ``key``; None if nothing is."""
    kept = load_kept(KIND, key, _Kept)
    return None if kept is None else _latencies(kept.measured)


def store_latencies(key: ChoiceKey, latency_ms: Mapping[Backend, float]) -> Latencies:
    """Add a measurement for ``key``, keep it if that can be, and return what is known now."""
    kept = load_kept(KIND, key, _Kept)
    earlier = () if kept is None else kept.measured[: MEASUREMENTS - 1]
    new = _Measured({b.value: ms for b, ms in latency_ms.items()}, time.time())
    store_kept(KIND, _Kept(key, (*earlier, new)))
    return _latencies((*earlier, new))


def _latencies(measured: tuple[_Measured, ...]) -> Latencies:
    taken: dict[Backend, list[float]] = {}
    for one in measured:
        for name, ms in one.latency_ms.items():
            taken.setdefault(Backend(name), []).append(ms)
    # A clock that was set back says nothing.
    passed = abs(time.time() - measured[-1].at_s) >= APART_S
    medians = {backend: statistics.median(times) for backend, times in taken.items()}
    return Latencies(medians, len(measured), passed and len(measured) < MEASUREMENTS)
