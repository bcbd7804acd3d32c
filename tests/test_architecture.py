"""The directions of ARCHITECTURE.md, held by tests and not by memory."""

from __future__ import annotations

import ast
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
BLOCKED = ["torch", "onnx", "onnxscript", "cv2", "mediapipe", "matplotlib", "safetensors"]
TOP_LEVEL = {
    *("bharsdk", "training", "export", "cpp_ops", "examples", "tests", "docs", ".ci", ".github"),
    *("setup.py", "CMakeLists.txt", "pyproject.toml", "MANIFEST.in", "Makefile", "mkdocs.yml"),
    *("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "NOTICE"),
    *(".gitignore", ".clang-format"),
}


def _python(program: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_imports_go_one_way() -> None:
    """Export -> training -> bharsdk, and the layers inside bharsdk: the contracts in pyproject."""
    linter = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    if linter is None:
        pytest.skip("import-linter is not installed: pip install 'bharsdk[dev]'")
    environment = {**os.environ, "NO_COLOR": "1"}
    result = subprocess.run(
        [linter, "--no-cache"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_public_name_of_bharsdk_loads_without_training_or_camera_packages() -> None:
    """With torch, onnx, cv2 and mediapipe blocked, all that bharsdk offers still loads."""
    program = (
        "import sys\n"
        f"for name in {BLOCKED!r}: sys.modules[name] = None\n"
        "import bharsdk\n"
        "for name in bharsdk.__all__: getattr(bharsdk, name)\n"
    )
    _python(program)


def test_import_bharsdk_loads_nothing_heavy() -> None:
    """Neither the blocked packages nor onnxruntime are loaded before something needs them."""
    heavy = [*BLOCKED, "onnxruntime", "bhar_training", "bhar_export"]
    found = _python(f"import sys, bharsdk\nprint([n for n in {heavy!r} if n in sys.modules])")
    assert found == "[]"


def test_import_bharsdk_takes_less_than_0_3_s() -> None:
    """The median of five fresh processes."""
    program = (
        "import time\nstart = time.perf_counter()\nimport bharsdk\n"
        "print(time.perf_counter() - start)"
    )
    assert statistics.median(float(_python(program)) for _ in range(5)) < 0.3


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The lazy names do not swallow typing mistakes."""
    import bharsdk

    with pytest.raises(AttributeError, match="no attribute 'Recognyzer'"):
        bharsdk.Recognyzer  # noqa: B018 (reading the name is the test)


def test_the_top_level_is_the_fixed_house() -> None:
    """No tracked file lies outside the rooms of ARCHITECTURE.md."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: the list of tracked files is not known")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert tracked <= TOP_LEVEL, f"outside the house: {sorted(tracked - TOP_LEVEL)}"


def test_the_run_time_lives_in_packages() -> None:
    """Directly under ``bharsdk/`` is only what a user meets first."""
    modules = {path.stem for path in (ROOT / "bharsdk").glob("*.py")}
    assert modules == {"__init__", "__main__", "recognizer", "errors", "events"}


def test_every_package_says_what_it_holds() -> None:
    """What is in it, what it imports and who uses it."""
    rooms = ("bharsdk", "training/bhar_training", "export/bhar_export")
    packages = [path for room in rooms for path in (ROOT / room).rglob("__init__.py")]
    assert len(packages) > 25
    for path in packages:
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert len(text) > 40, path


def test_the_workflow_runs_the_commands_that_exist() -> None:
    """Each ``make`` of the workflow file is a target of the Makefile."""
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = set(re.findall(r"run: make ([a-z-]+)", text))
    assert {"test", "check", "wheel"} <= called <= targets


def test_the_table_of_packages_is_the_house_from_top_to_bottom() -> None:
    """Every package of bharsdk is in ARCHITECTURE.md, in the order of the layers in pyproject."""
    part = TEXT.split("## Packages of bharsdk")[1].split("\n## ")[0]
    told = re.findall(r"^\| `(\w+)(?:\.py)?` \|", part, re.MULTILINE)
    there = {path.parent.name for path in (ROOT / "bharsdk").glob("*/__init__.py")}
    there |= {path.stem for path in (ROOT / "bharsdk").glob("[a-z]*.py")}
    assert sorted(told) == sorted(there)
    contract = (ROOT / "pyproject.toml").read_text().split('containers = ["bharsdk"]')[1]
    layers = re.findall(r'^    "([^"]+)"', contract.split("]\n")[0], re.MULTILINE)
    height = {name: row for row, layer in enumerate(layers) for name in layer.split(" | ")}
    assert [height[name] for name in told] == sorted(height[name] for name in told)


def _includes(path: Path) -> set[str]:
    return set(re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)', path.read_text(), re.MULTILINE))


def test_kernels_include_only_intrinsics_and_kernels_h() -> None:
    """Inline code of the standard library, compiled for AVX, would crash older CPUs."""
    kernels = sorted((ROOT / "cpp_ops/src/kernels").iterdir())
    headers = {path.name for path in kernels if path.suffix == ".h"}
    assert headers and len(kernels) > len(headers)
    for path in kernels:
        extra = _includes(path) - {"bhar_ops/kernels.h", "immintrin.h", "arm_neon.h"} - headers
        assert not extra, f"{path.name} includes {sorted(extra)}"


def test_what_kernels_share_is_internal_to_each_of_them() -> None:
    """A linker merges what has one name: code for AVX-512 would run where there is AVX2 alone."""
    for path in (ROOT / "cpp_ops/src/kernels").glob("*.h"):
        code = re.sub(r"//.*|^\s*#.*", "", path.read_text(), flags=re.MULTILINE).split()
        assert code[:5] == ["namespace", "bhar", "{", "namespace", "{"], path.name
        assert code[-2:] == ["}", "}"] and code.count("namespace") == 2, path.name


def test_only_the_bindings_know_python() -> None:
    """The kernels build and run where there is no Python."""
    sources = [p for p in (ROOT / "cpp_ops").rglob("*") if p.suffix in {".h", ".cc", ".cpp"}]
    with_python = {
        path.name
        for path in sources
        if any(name.startswith(("pybind11", "Python.h")) for name in _includes(path))
    }
    assert with_python == {"bindings.cpp"}


def test_no_instruction_set_is_given_by_compiler_flags() -> None:
    """Function attributes choose it; a flag for a file would leak into shared inline code."""
    for name in ("CMakeLists.txt", "setup.py"):
        code = re.sub(r"#.*", "", (ROOT / name).read_text())
        assert not re.search(r"-m(avx|fma|arch|cpu|tune)|/arch:", code), name


def test_the_table_of_bounds_tells_those_that_hold() -> None:
    """What ARCHITECTURE.md says a file may cost is what ``bharsdk.files.limits`` allows."""
    from bharsdk.files import limits

    rows = re.findall(r"^\| `(MAX_\w+)` \| ([\d,]+)( MiB| GiB|) \|", TEXT, re.MULTILINE)
    units = {"": 1, " MiB": 1 << 20, " GiB": 1 << 30}
    told = {name: int(number.replace(",", "")) * units[unit] for name, number, unit in rows}
    assert len(told) >= 20
    assert told == {name: getattr(limits, name) for name in told}
