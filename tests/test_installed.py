"""The package runs in the folder of its sources as it does anywhere else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bharsdk import _ops
from bharsdk.kernels.compiled import installed_folder

ROOT = Path(__file__).parents[1]
MODEL = "asl-coffee-prgcn"


def _copy_of_package(into: Path) -> Path:
    """The sources with one model, and no compiled library."""
    unwanted = shutil.ignore_patterns("*.so", "__pycache__", "asl-coffee.bhar", "asl-letters.bhar")
    return Path(shutil.copytree(ROOT / "bharsdk", into / "bharsdk", ignore=unwanted))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a clone is: the source folder, and the examples."""
    folder = tmp_path_factory.mktemp("clone")
    _copy_of_package(folder)
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as site-packages is after ``pip install .``: with the compiled libraries."""
    folder = tmp_path_factory.mktemp("site")
    package = _copy_of_package(folder)
    compiled = Path(_ops.__file__)
    for library in (compiled, compiled.with_name("_onnx_ops.so")):
        shutil.copy(library, package)
    return folder


Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def python(cache_home: Path) -> Python:
    """Run ``python ARGUMENTS`` in ``folder``, with what is installed in ``site``."""

    def run(folder: Path, site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def _first_block() -> str:
    found = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("place", ["root", "elsewhere"])
def test_the_first_block_of_the_readme_runs_in_any_folder(
    place: str, clone: Path, site: Path, tmp_path: Path, python: Python
) -> None:
    """In the root of the sources, and in another folder that has the recording."""
    if place == "elsewhere":
        (tmp_path / "examples").symlink_to(ROOT / "examples")
    folder = clone if place == "root" else tmp_path
    result = python(folder, site, "-c", _first_block())
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\nend ") >= 10
    assert not result.stderr


def test_quickstart_runs_in_any_folder(site: Path, tmp_path: Path, python: Python) -> None:
    """It finds its recording beside itself."""
    result = python(tmp_path, site, str(ROOT / "examples" / "quickstart.py"))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\nend ") >= 10


def test_both_compiled_libraries_of_the_installed_package_serve_the_sources(
    clone: Path, site: Path, python: Python
) -> None:
    """The modules are those of the source folder."""
    program = (
        "import bharsdk.kernels.ops as o; print(o.__file__); print(o.onnxruntime_library());"
        "from bharsdk import _ops; print(_ops.__file__)"
    )
    ours, *libraries = python(clone, site, "-c", program).stdout.split()
    assert Path(ours).is_relative_to(clone)
    assert len(libraries) == 2
    assert all(Path(library).is_relative_to(site) for library in libraries)


@pytest.mark.parametrize(
    "command",
    [
        ("startup", MODEL, "--runs", "1", "--backend", "native"),
        ("verify", MODEL, "--backend", "native"),
        ("models",),
    ],
)
def test_every_command_runs_in_the_root_of_the_sources(
    command: tuple[str, ...], clone: Path, site: Path, python: Python
) -> None:
    """As ``python -m bharsdk``, which is ``bhar``."""
    result = python(clone, site, "-m", "bharsdk", *command)
    assert result.returncode == 0, result.stderr
    assert MODEL in result.stdout or "ok:" in result.stdout


def test_the_command_times_the_package_that_it_is_of(
    clone: Path, site: Path, python: Python
) -> None:
    """``bhar`` of the installed package, in the root of sources that do not even parse."""
    broken = clone.parent / "broken"
    (broken / "bharsdk").mkdir(parents=True, exist_ok=True)
    (broken / "bharsdk" / "__init__.py").write_text("this is no Python")
    program = (
        f"import sys; sys.path[0] = {str(site)!r}; from bharsdk.cli import main;"
        f"sys.exit(main(['startup', {MODEL!r}, '--runs', '1']))"
    )
    result = python(broken, site, "-c", program)
    assert result.returncode == 0, result.stderr


def _alone(program: str) -> str:
    """``program`` where no bharsdk is installed."""
    return (
        "import glob, sys\n"
        "sys.path[1:] = [p for p in sys.path[1:] if not glob.glob(p + '/bharsdk/_ops*.so')]\n"
    ) + program


def test_sources_without_an_installed_package_say_what_to_run(
    clone: Path, tmp_path: Path, python: Python
) -> None:
    """One line and exit code 8, and the end of a traceback in Python."""
    command = ["verify", MODEL, "--backend", "native"]
    program = f"from bharsdk.cli import main; sys.exit(main({command!r}))"
    result = python(clone, tmp_path, "-c", _alone(program))
    assert result.returncode == 8, result.stderr
    (line,) = result.stderr.splitlines()
    for part in ("got the source folder", "expected an installed bharsdk", "make demo", "pip"):
        assert part in line
    result = python(clone, tmp_path, "-c", _alone("import bharsdk.kernels.ops"))
    assert result.stderr.splitlines()[-1].startswith("bharsdk.errors.BackendMissingError: got the")


def test_a_missing_dependency_says_that_bharsdk_is_not_installed_there(
    clone: Path, tmp_path: Path, python: Python
) -> None:
    """A Python without numpy: in a program, and as a command."""
    blocked = "sys.modules['numpy'] = None\n"
    result = python(clone, tmp_path, "-c", _alone(blocked + "from bharsdk import Recognizer"))
    assert "BackendMissingError: numpy is not installed for" in result.stderr.splitlines()[-1]
    program = "from bharsdk.cli import main; sys.exit(main(['models']))"
    result = python(clone, tmp_path, "-c", _alone(blocked + program))
    assert result.returncode == 8
    assert len(result.stderr.splitlines()) == 1
    assert "pip install ." in result.stderr


@pytest.mark.parametrize("what", ["__init__.py", "_ops.pyi"])
def test_sources_and_an_installed_package_of_two_versions_are_refused(
    what: str, site: Path, tmp_path: Path, python: Python
) -> None:
    """Exit code 5, naming both: compiled code of another version computes something else."""
    changed = _copy_of_package(tmp_path) / what
    changed.write_text(changed.read_text().replace('"0.1.0"', '"0.0.9"') + "# changed\n")
    result = python(tmp_path, site, "-m", "bharsdk", "verify", MODEL, "--backend", "native")
    assert result.returncode == 5, result.stderr
    (line,) = result.stderr.splitlines()
    assert ("0.0.9" in line and "0.1.0" in line) or what == "_ops.pyi"
    assert "pip install ." in line


def test_the_installed_package_is_never_the_one_that_asks(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another spelling either, and a folder without a library is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bharsdk").mkdir()
    link = tmp_path / "link"
    link.symlink_to(site)
    search = [str(tmp_path), "", str(link), str(site / ".." / site.name)]
    assert installed_folder(site / "bharsdk", search) is None
    assert installed_folder(tmp_path / "bharsdk", search) == link / "bharsdk"
