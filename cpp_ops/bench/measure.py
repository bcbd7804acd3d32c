"""Timing side by side: every contender of every row takes its turn in each round."""

from __future__ import annotations

import enum
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

__all__ = ["LEAST_ROUNDS", "Arithmetic", "Compute", "Kernel", "Row", "Timed", "measure"]

LEAST_ROUNDS = 50
"""Of fewer the median says little on a shared machine."""

Compute = Callable[[], npt.NDArray[np.float32]]


class Arithmetic(enum.Enum):
    """Multiply-adds of one kind."""

    FMA = "fma"
    """Of float32, in vectors."""
    TILES = "tiles"
    """Of float32, in tiles where the instruction set has any, else in vectors."""
    BYTES = "bytes"
    """Whose sums are integers, in vectors."""


@dataclass(frozen=True)
class Kernel:
    """The work of a row as one kernel does it, for the roofline.

    call: of ours, into memory that is there. bytes: of its inputs and of its result, each once.
    arithmetic: that its multiply-adds are. divisions: that it cannot do without, besides these.
    """

    call: Compute
    bytes: int
    divisions: int = 0
    arithmetic: Arithmetic = Arithmetic.FMA


@dataclass(frozen=True)
class Row:
    """The same work in several ways.

    work: what, for people. multiply_adds: of one unit of it. ours: of this project, through its
    checked Python function; ``units`` of the work in one call. peers: by name, each at its best,
    ``peer_units`` a call. tolerance: by which a peer's result may differ from ours, of its largest
    value; None where it is another one. kernel: None of a whole model.
    """

    name: str
    work: str
    multiply_adds: int
    ours: Compute
    peers: Mapping[str, Compute]
    tolerance: float | None = 1e-5
    units: int = 1
    peer_units: int = 1
    kernel: Kernel | None = None


@dataclass(frozen=True)
class Timed:
    """Medians, milliseconds."""

    row: Row
    ours_ms: float
    peers_ms: Mapping[str, float]

    @property
    def peer(self) -> str:
        """The fastest one."""
        return min(self.peers_ms, key=lambda name: self.peers_ms[name])

    @property
    def peer_ms(self) -> float:
        """Of the fastest one."""
        return self.peers_ms[self.peer]

    @property
    def ratio(self) -> float:
        """How many times as fast as the fastest peer ours is."""
        return self.peer_ms / self.ours_ms

    @property
    def gmacs_per_second(self) -> float:
        """10^9 multiply-adds a second, ours."""
        return self.row.multiply_adds / self.ours_ms / 1e6


def measure(rows: Sequence[Row], rounds: int) -> list[Timed]:
    """Time all rows in turns, so that all of them meet the same machine.

    Raises ValueError where a peer computes something else than ours.
    """
    calls: list[tuple[int, str, Compute]] = []
    for number, row in enumerate(rows):
        _check(row)
        calls += [(number, name, call) for name, call in {"": row.ours, **row.peers}.items()]
    seconds: dict[tuple[int, str], list[float]] = {call[:2]: [] for call in calls}
    for _ in tqdm(range(rounds), desc="bench", unit="round", leave=False):
        for number, name, call in calls:
            start = time.perf_counter()
            call()
            seconds[number, name].append(time.perf_counter() - start)
    medians = {key: 1e3 * statistics.median(values) for key, values in seconds.items()}
    return [
        Timed(
            row,
            medians[number, ""] / row.units,
            {name: medians[number, name] / row.peer_units for name in row.peers},
        )
        for number, row in enumerate(rows)
    ]


def _check(row: Row) -> None:
    """The first call of each, which also warms it up."""
    ours = row.ours()
    largest = float(np.abs(ours).max())
    for name, call in row.peers.items():
        theirs = call()
        if row.tolerance is None:
            continue
        if theirs.shape != ours.shape:
            raise ValueError(f"{row.name}: got {theirs.shape} of {name}, expected {ours.shape}")
        difference = float(np.abs(ours - theirs).max())
        if not difference <= row.tolerance * largest:
            raise ValueError(
                f"{row.name}: got results of {name} that differ by {difference:.2g}, expected at"
                f" most {row.tolerance * largest:.2g}: it computes something else"
            )
