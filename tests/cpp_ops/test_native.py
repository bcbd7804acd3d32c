"""The kernels without Python: under sanitizers here, and as AArch64 code under an emulator."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bharsdk.kernels import ops

ROOT = Path(__file__).parents[2]
SOURCES = [
    *sorted((ROOT / "tests/cpp_ops/native").glob("*.cc")),
    *sorted((ROOT / "cpp_ops/src").rglob("*.cc")),
]
KERNELS = (
    *("gelu", "graph_aggregate", "integer_conv", "integer_graph_aggregate", "network"),
    *("packed_floats", "pairwise_tanh", "pooled_attention", "random_features"),
    *("refined_aggregate", "streams", "temporal_conv", "wide_conv"),
)


def _all_right(isas: list[str]) -> list[str]:
    return [f"{isa} {kernel} ok" for isa in isas for kernel in KERNELS]


def _compile(compiler: str, target: Path, *flags: str) -> None:
    """Every source on its own, as many at a time as there are cores, then the program."""
    objects = [target.with_name(f"{target.name}-{i}.o") for i in range(len(SOURCES))]
    common = [compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", *flags]
    includes = ["-I", str(ROOT / "cpp_ops/include")]

    def build(source: Path, made: Path) -> None:
        _checked(*common, *includes, "-c", str(source), "-o", str(made))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(build, SOURCES, objects))
    _checked(*common, *map(str, objects), "-o", str(target))


def _checked(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr


def _run(*command: str) -> list[str]:
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()


@pytest.mark.long
def test_every_kernel_of_this_cpu_is_right_and_clean_under_sanitizers(tmp_path: Path) -> None:
    """No read or write outside the arrays, no undefined behavior, sums within the bound."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        pytest.skip("no C++ compiler on this machine")
    probe = tmp_path / "probe.cc"
    probe.write_text("int main() {}")
    sanitizers = "-fsanitize=address,undefined"
    linked = subprocess.run(
        [compiler, sanitizers, str(probe), "-o", str(tmp_path / "probe")],
        capture_output=True,
        check=False,
    )
    if linked.returncode != 0:
        pytest.skip("this C++ compiler has no address and undefined-behavior sanitizers")
    program = tmp_path / "check"
    _compile(compiler, program, "-O1", "-g", sanitizers, "-fno-sanitize-recover=all")
    assert _run(str(program)) == _all_right(ops.available_isas())


@pytest.mark.long
def test_the_neon_kernels_are_right_on_emulated_cores(tmp_path: Path) -> None:
    """As compiled for a device; integers with dot products (Cortex-A76) and without (A72)."""
    if platform.machine() == "aarch64":
        pytest.skip("this machine runs NEON itself: the tests of the available kernels cover it")
    compiler = shutil.which("aarch64-linux-gnu-g++")
    emulator = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if compiler is None:
        pytest.skip("aarch64-linux-gnu-g++ is not installed (Debian: g++-aarch64-linux-gnu)")
    if emulator is None:
        pytest.skip("qemu-aarch64 is not installed (Debian: qemu-user-static)")
    program = tmp_path / "check_aarch64"
    _compile(compiler, program, "-O3", "-static")
    for core in ("cortex-a76", "cortex-a72"):
        assert _run(emulator, "-cpu", core, str(program)) == _all_right(["neon", "scalar"])
