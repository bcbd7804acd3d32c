"""The roofline: every kernel under the roof that its arithmetic, divisions and bytes allow."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "cpp_ops/bench"
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def _bench(*arguments: str, isa: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH), "--rounds", "50", "--roofline", *arguments]
    environment = {**os.environ, "BHAR_FORCE_ISA": isa}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=environment
    )


@pytest.fixture
def roofline(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("roofline")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("machine")


def _roofs() -> object:
    """100 GMAC/s, 200 in tiles; 10 G divisions; 1 kB at 50 GB/s, the rest at 5."""
    machine, roofline = importlib.import_module("machine"), importlib.import_module("roofline")
    giga = 1e9
    arithmetic = importlib.import_module("measure").Arithmetic
    near, far = machine.Level("L1", 1000, 500), machine.Level("memory", float("inf"), 4000)
    return roofline.Roofs(
        isa="amx",
        multiply_adds={arithmetic.FMA: 100 * giga, arithmetic.TILES: 200 * giga},
        divisions=10 * giga,
        bandwidths=[(near, 50 * giga), (far, 5 * giga)],
        products={},
    )


@pytest.mark.parametrize(
    ("kernel", "multiply_adds", "bound_by", "roof"),
    [
        ({"bytes": 1000}, 2500, "fma", 100.0),
        ({"bytes": 1000}, 1500, "L1", 75.0),
        ({"bytes": 1001}, 1001, "memory", 5.0),
        ({"bytes": 1000, "divisions": 500}, 2500, "divisions", 50.0),
        ({"bytes": 10, "arithmetic": "tiles"}, 2500, "tiles", 200.0),
        ({"bytes": 10, "arithmetic": "bytes"}, 2500, "fma", 100.0),
    ],
)
def test_the_roof_is_what_a_row_needs_longest(
    roofline: ModuleType,
    kernel: dict[str, Any],
    multiply_adds: int,
    bound_by: str,
    roof: float,
) -> None:
    """Bytes count at the rate of the level that all of them fit in."""
    measure = importlib.import_module("measure")
    row = measure.Row("r", "w", multiply_adds, lambda: None, {})
    of = measure.Kernel(
        lambda: None,
        kernel["bytes"],
        kernel.get("divisions", 0),
        measure.Arithmetic(kernel.get("arithmetic", "fma")),
    )
    found = roofline.point(row, of, multiply_adds / 20e9, _roofs())
    assert found.bound_by == bound_by
    assert found.roof_gmacs_per_second == pytest.approx(roof)
    assert found.gmacs_per_second == pytest.approx(20)
    assert found.percent_of_roof == pytest.approx(100 * 20 / roof)
    assert found.intensity == pytest.approx(multiply_adds / kernel["bytes"])


def test_the_bytes_of_a_kernel_are_its_inputs_and_its_result(roofline: ModuleType) -> None:
    """Of the first block: each once, in float32."""
    rows = {
        row.name: row for row in reversed(list(importlib.import_module("kernels").kernel_rows()))
    }
    x, out = 3 * 64 * 64 * 25, 64 * 64 * 25
    assert rows["graph-aggregate"].kernel.bytes == 4 * (x + 3 * 25 * 25 + out)
    assert rows["graph-aggregate-channels"].kernel.bytes == 4 * (x + 3 * 64 * 25 * 25 + out)
    tanh = rows["pairwise-tanh"]
    assert tanh.kernel.divisions == 25 * 25 * 12 * 2
    assert tanh.kernel.bytes == 4 * (2 * 25 * 12 * 2 + tanh.kernel.divisions)
    assert tanh.multiply_adds == 11 * tanh.kernel.divisions
    in_bytes = rows["graph-aggregate-int8"].kernel
    assert in_bytes.bytes == x + 3 * 25 * 25 + 4 * out and in_bytes.arithmetic.value == "bytes"
    for row in rows.values():
        np.testing.assert_array_equal(row.kernel.call(), row.ours())


def test_caches_are_probed_beyond_the_nearer_ones(machine: ModuleType, tmp_path: Path) -> None:
    """Those of data, and memory where it can be reached."""
    kinds = {"Data": (1, "32K"), "Instruction": (1, "64K"), "Unified": (2, "512K")}
    for number, (kind, (level, size)) in enumerate(kinds.items()):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, text in {"type": kind, "level": level, "size": size}.items():
            (folder / name).write_text(f"{text}\n")
    found = [
        (level.name, level.size_bytes, level.probed_bytes)
        for level in machine.cache_levels(tmp_path)
    ]
    kb = 1024
    assert found == [
        ("L1", 32 * kb, 16 * kb),
        ("L2", 512 * kb, 128 * kb),
        ("memory", float("inf"), 2048 * kb),
    ]
    (tmp_path / "index2/size").write_text("491520K\n")
    assert [level.name for level in machine.cache_levels(tmp_path)] == ["L1", "L2"]


def test_a_machine_that_does_not_tell_its_caches_is_refused(
    machine: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(machine.MachineError, match=r"got no caches in .*, expected those of Linux"):
        machine.cache_levels(tmp_path)


def test_a_machine_without_a_compiler_is_refused(
    machine: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(machine.MachineError, match=r"got no C\+\+ compiler, expected"):
        machine.compiled_probes("avx2", [])


@pytest.mark.long
def test_the_roofline_is_measured_and_written(tmp_path: Path) -> None:
    """With the peaks of this machine, a line and a point for each kernel.

    On a busy machine a peak may be measured too low: that is seen, and nothing is written.
    """
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("no C++ compiler on this machine")
    if not any(CACHES.glob("index*")):
        pytest.skip("this system does not tell its caches")
    done = _bench("--rows", "pairwise-tanh", "--out", str(tmp_path))
    if "run again when the machine is at rest" in done.stderr:
        assert done.returncode == 2 and not list(tmp_path.iterdir())
        return
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "roofline.json").read_text())
    assert found["gmacs_per_second"]["fma"] > 0 and found["gigabytes_per_second"]["L1"] > 0
    assert [row["row"] for row in found["rows"]] == ["pairwise-tanh"] * 4
    for row in found["rows"]:
        assert row["multiply_adds_per_byte"] == pytest.approx(
            row["multiply_adds"] / row["bytes"], abs=1e-3
        )
        assert row["percent_of_roof"] == pytest.approx(
            100 * row["gmacs_per_second"] / row["roof_gmacs_per_second"], rel=0.01
        )
        assert row["bound_by"] in {"fma", "divisions", *found["gigabytes_per_second"]}
        assert row["work"] in done.stdout
    assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("rows", "isa", "message"),
    [
        ("prgcn-clip", "", "--roofline: got no kernel in --rows 'prgcn-clip', expected one"),
        ("tanh", "scalar", "--roofline: got instruction set 'scalar', expected one of amx, avx"),
    ],
)
def test_what_has_no_roof_is_refused(tmp_path: Path, rows: str, isa: str, message: str) -> None:
    """Before anything is timed or written."""
    if not any(CACHES.glob("index*")):
        pytest.skip("this system does not tell its caches")
    done = _bench("--rows", rows, "--out", str(tmp_path / "out"), isa=isa)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()
