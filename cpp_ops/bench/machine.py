"""What one thread of this machine can do at most: probes, compiled here and timed with the rows."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["Level", "MachineError", "Probe", "aligned", "cache_levels", "compiled_probes"]

HERE = Path(__file__).parent
LANES = {"amx": "avx512", "avx512": "avx512", "avx2": "avx2", "neon": "neon"}
"""Instruction set -> that of its vectors. The scalar reference is not written for speed."""

INTEGERS = {"amx": "avx512vnni", "avx512": "avx2", "avx2": "avx2", "neon": "neon"}
EXTENDED = {"avx512": ("avx512_vnni", "avx512vnni"), "neon": ("asimddp", "neon_dotprod")}
"""And that of its kernels of bytes; of a CPU whose flags have the first name, the second one."""

CACHE_LINE = 64
ROUNDS = {
    "multiply_add": 100_000,
    "multiply_add_bytes": 100_000,
    "multiply_tiles": 10_000,
    "divide": 10_000,
}
READ_BYTES, MOST_READ_BYTES = 1 << 24, 1 << 28
"""So that a probe takes a fraction of a millisecond, and one that reads memory not much longer."""


class MachineError(Exception):
    """A machine that cannot be measured; the message says what was got and what was expected."""


@dataclass(frozen=True)
class Probe:
    """``call()`` does ``amount`` of one kind of work: multiply-adds, divisions or bytes read."""

    name: str
    call: Callable[[], object]
    amount: float


@dataclass(frozen=True)
class Level:
    """A cache, or memory. size_bytes: what fits; probed_bytes: what a probe reads, not nearer."""

    name: str
    size_bytes: float
    probed_bytes: int


def cache_levels(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> list[Level]:
    """The caches of data, nearest first, then memory.

    Each is probed with what does not fit the one before it, but itself at least twice. Where the
    last cache is so large that memory would take long to fill, nothing is said of memory.

    Raises MachineError where the system does not tell.
    """
    sizes = dict(sorted(_cache_sizes(folder)))
    if not sizes:
        raise MachineError(f"got no caches in {folder}, expected those of Linux: leave --roofline")
    levels, before = [], 0
    for number, size in sizes.items():
        probed = min(size // 2, 4 * before) if before else size // 2
        levels.append(Level(f"L{number}", size, probed))
        before = size
    if 4 * before <= MOST_READ_BYTES:
        levels.append(Level("memory", float("inf"), 4 * before))
    return levels


def _cache_sizes(folder: Path) -> Iterator[tuple[int, int]]:
    for index in folder.glob("index*"):
        if (index / "type").read_text().strip() != "Instruction":
            size = (index / "size").read_text().strip()  # 48K
            yield int((index / "level").read_text()), int(size.removesuffix("K")) * 1024


def aligned(size_bytes: int) -> npt.NDArray[np.float32]:
    """Floats that begin with a cache line, all of them written: no page stands for another."""
    memory = np.ones(size_bytes // 4 + CACHE_LINE, np.float32)
    first = -memory.ctypes.data % CACHE_LINE // 4
    return memory[first : first + size_bytes // 4]


def compiled_probes(isa: str, levels: list[Level]) -> list[Probe]:
    """Of the instruction set ``isa``: arithmetic, and reading from each level, by its name.

    ``fma``, ``bytes`` and, if it has any, ``tiles`` are multiply-adds of float32, of bytes and of
    bfloat16; then there is ``division``.

    Raises MachineError for the scalar reference, and where there is no C++ compiler.
    """
    if isa not in LANES:
        raise MachineError(
            f"got instruction set {isa!r}, expected one of {', '.join(LANES)}: it is not written"
            " for speed"
        )
    with tempfile.TemporaryDirectory() as folder:
        library = ctypes.CDLL(str(_compile(isa, Path(folder) / "probes.so")))
    arithmetic = {"fma": "multiply_add", "bytes": "multiply_add_bytes", "division": "divide"}
    if isa == "amx":
        arithmetic["tiles"] = "multiply_tiles"
    probes = [_of_function(library, name, of, (ROUNDS[of],)) for name, of in arithmetic.items()]
    for level in levels:
        memory = aligned(level.probed_bytes)
        rounds = max(1, READ_BYTES // level.probed_bytes)
        pointer = memory.ctypes.data_as(ctypes.c_void_p)
        probe = _of_function(library, level.name, "read", (pointer, memory.size, rounds))
        probes.append(probe)
    return probes


def _of_function(
    library: ctypes.CDLL, name: str, function: str, arguments: tuple[object, ...]
) -> Probe:
    compute = library[f"bhar_{function}"]
    compute.restype = ctypes.c_double
    integers = [ctypes.c_int64] * len(arguments)
    compute.argtypes = [ctypes.c_void_p, *integers[1:]] if function == "read" else integers
    # The first call, which also tells how much is done.
    return Probe(name, lambda: compute(*arguments), compute(*arguments))


def _integers(isa: str, cpu: Path = Path("/proc/cpuinfo")) -> str:
    flag, extended = EXTENDED.get(isa, ("", ""))
    return extended if flag and flag in cpu.read_text().split() else INTEGERS[isa]


def _compile(isa: str, library: Path) -> Path:
    """With the compiler that ``pip install`` needs too."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        raise MachineError("got no C++ compiler, expected c++ or one named in CXX: install it")
    command = [compiler, "-std=c++17", "-O3", "-shared", "-fPIC", str(HERE / "probes.cc")]
    command += [f'-DBHAR_INTEGERS="integer_{_integers(isa)}.cc"', "-o", str(library)]
    command += ["-I", str(HERE.parent / "include"), "-I", str(HERE.parent / "src/kernels")]
    if isa == "amx":
        command.append("-DBHAR_PROBE_TILES")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise MachineError(f"got an error of {compiler}, expected a library: {done.stderr}")
    return library
