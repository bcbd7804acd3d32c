"""The kernels without Python: under sanitizers here, and as AArch64 code under an emulator."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from bharsdk import ops

ROOT = Path(__file__).parents[2]
SOURCES = [
    *sorted((ROOT / "tests/cpp_ops/native").glob("*.cc")),
    *sorted((ROOT / "cpp_ops/src").rglob("*.cc")),
]
KERNELS = (
    *("gelu", "graph_aggregate", "network", "pairwise_tanh", "pooled_attention"),
    *("random_features", "refined_aggregate", "temporal_conv"),
)


def _all_right(isas: list[str]) -> list[str]:
    return [f"{isa} {kernel} ok" for isa in isas for kernel in KERNELS]


def _compile(compiler: str, target: Path, *flags: str) -> None:
    command = [compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", *flags]
    command += ["-I", str(ROOT / "cpp_ops/include"), *map(str, SOURCES), "-o", str(target)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr


def _run(*command: str) -> list[str]:
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()


def test_every_kernel_of_this_cpu_is_right_and_clean_under_sanitizers(tmp_path: Path) -> None:
    """No read or write outside the arrays, no undefined behaviour, sums within the bound."""
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
        pytest.skip("this C++ compiler has no address and undefined-behaviour sanitizers")
    program = tmp_path / "check"
    _compile(compiler, program, "-O1", "-g", sanitizers, "-fno-sanitize-recover=all")
    assert _run(str(program)) == _all_right(ops.available_isas())


def test_the_neon_kernels_are_right_on_an_emulated_cortex_a76(tmp_path: Path) -> None:
    """The NEON sums are within the bound, compiled as for a device."""
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
    assert _run(emulator, "-cpu", "cortex-a76", str(program)) == _all_right(["neon", "scalar"])
