"""Three packages, each in the folder of its room, and the C++ libraries, built by CMake.

Everything that can be said without code is in pyproject.toml.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pybind11
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
FOLDERS = {
    "bharsdk": "bharsdk",
    "bhar_training": "training/bhar_training",
    "bhar_export": "export/bhar_export",
}
ONNX_OPS = "_onnx_ops"


def all_packages() -> list[str]:
    """Return the three packages and their sub-packages under their installed names."""
    names = list(FOLDERS)
    for package, folder in FOLDERS.items():
        names += [f"{package}.{sub}" for sub in find_packages(str(ROOT / folder))]
    return names


class CMakeBuild(build_ext):
    """Build extensions with the CMakeLists.txt beside this file; each is one of its targets."""

    def get_ext_filename(self, fullname: str) -> str:
        """Leave Python out of the name of a library that knows none."""
        if fullname.rsplit(".", 1)[-1] == ONNX_OPS:
            return str(Path(*fullname.split(".")).with_suffix(".so"))
        return str(super().get_ext_filename(fullname))

    def build_extension(self, ext: Extension) -> None:
        """Configure and build, leaving the library where setuptools looks for it."""
        library = Path(self.get_ext_fullpath(ext.name)).resolve()
        build_folder = Path(self.build_temp).resolve() / "cmake"
        build_folder.mkdir(parents=True, exist_ok=True)
        # It remembers the tools of an earlier build, whose environment pip has removed since.
        (build_folder / "CMakeCache.txt").unlink(missing_ok=True)
        configure = [
            *("cmake", "-S", str(ROOT), "-B", str(build_folder), "-G", "Ninja"),
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={library.parent}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        ]
        subprocess.run(configure, check=True)
        target = ext.name.rsplit(".", 1)[-1]
        subprocess.run(["cmake", "--build", str(build_folder), "--target", target], check=True)


setup(
    packages=all_packages(),
    package_dir=FOLDERS,
    package_data={
        "bharsdk": ["py.typed", "*.pyi", "models/*.bhar"],
        "bhar_training": ["py.typed", "paper/results.json"],
        "bhar_export": ["py.typed"],
    },
    ext_modules=[Extension(f"bharsdk.{name}", sources=[]) for name in ("_ops", ONNX_OPS)],
    cmdclass={"build_ext": CMakeBuild},
)
