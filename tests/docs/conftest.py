"""The site, built once for all of its tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MadeOnce = Callable[[str, Callable[[Path], object]], Path]
"""See its fixture."""

NO_NETWORK = """
import socket, sys
def refused(*_, **__):
    raise AssertionError("the build asks for the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused
from mkdocs.__main__ import cli
sys.exit(cli())
"""


@pytest.fixture(scope="session")
def site(made_once: MadeOnce) -> Path:
    """Every page as HTML, built strictly by a process that may not open a connection."""
    if sys.version_info < (3, 11):
        pytest.skip("MkDocs Material needs Python 3.11 or later")

    def make(folder: Path) -> None:
        command = [sys.executable, "-c", NO_NETWORK, "build", "--strict", "--site-dir", str(folder)]
        result = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        said = result.stdout + result.stderr
        assert result.returncode == 0, said
        assert "WARNING" not in said, said

    return made_once("site", make)


@pytest.fixture(scope="session", autouse=True)
def hooks_on_the_path() -> None:
    """The hooks of the site, importable as MkDocs imports them."""
    folder = str(ROOT / "docs" / "hooks")
    if folder not in sys.path:
        sys.path.append(folder)
