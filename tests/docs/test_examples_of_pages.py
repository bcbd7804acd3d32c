"""What a reader copies from the pages runs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from .site_pages import DOCS, ROOT, blocks, first_column, page, sources

NOTEBOOK = DOCS / "notebooks" / "train_your_own.ipynb"
WITH_PYTHON = [
    path.relative_to(DOCS).as_posix()
    for path in sources()
    if any(not title for title, _ in blocks(path.read_text(encoding="utf-8"), "python"))
]
"""Pages with Python that needs no camera; a block that needs more says so in its title."""
QUICK = ("get-started.md", "reference/json.md", "reference/session.md")
"""Pages that run with the quick tests too."""


def run_python(code: str) -> str:
    """Run ``code`` in the folder of the sources, and return what it prints."""
    result = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long]) for name in WITH_PYTHON],
)
def test_the_python_of_a_page_runs(name: str) -> None:
    """All blocks of the page, one after the other, on the recordings that come along."""
    found = [code for title, code in blocks(page(name), "python") if not title]
    run_python("\n".join(found))


def test_python_that_needs_more_can_be_read() -> None:
    """A block for a camera or for videos is at least Python."""
    for path in sources():
        for title, code in blocks(path.read_text(encoding="utf-8"), "python"):
            ast.parse(code)
            assert not title or title.startswith('title="needs'), (path, title)


@cache
def _helps() -> dict[str, str]:
    from command_help import programs_help

    return {one.name: one.text for helps in programs_help().values() for one in helps}


def test_commands_on_the_pages_exist_with_their_options() -> None:
    """Every line of ``bhar``, ``bhar-train`` and ``bhar-export``, in blocks and in the text."""
    checked = 0
    for path in sources():
        text = path.read_text(encoding="utf-8")
        lines = [line for _, code in blocks(text, "sh") for line in code.splitlines()]
        lines += re.findall(r"`(bhar(?:-train|-export)?(?: [^`\n]*)?)`", text)
        for line in lines:
            words = line.split("#")[0].split()
            if not words or words[0] not in ("bhar", "bhar-train", "bhar-export"):
                continue
            named = " ".join(words[:2])
            command = named if named in _helps() else words[0]
            assert command in _helps(), (path, line)
            if words[0] != "bhar-export" and len(words) > 1 and not words[1].startswith("-"):
                assert command == named, (path, line)
            for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", line.split("#")[0]):
                if option in ("--help", "--version"):
                    continue  # of every program
                assert option in _helps()[command], (path, line)
            checked += 1
    assert checked > 40


def test_files_that_pages_name_exist() -> None:
    """Of the sources: examples, recordings, modules."""
    for path in sources():
        for name in re.findall(
            r"(?<![\w/])(?:examples|training|bharsdk|tests)/[\w./-]*\w",
            path.read_text(encoding="utf-8"),
        ):
            assert (ROOT / name).exists(), (path, name)


def test_messages_in_troubleshooting_are_those_of_the_code() -> None:
    """Each part of a quoted message stands in some module."""
    known = _texts_of_the_code()
    quoted = [
        text
        for cell in first_column(page("troubleshooting.md"), "you see")
        for text in re.findall(r"[^`]+", cell)
        if " " in text.strip() and f"`{text}`" in page("troubleshooting.md")
    ]
    assert len(quoted) >= 10
    for text in quoted:
        for part in text.split("..."):
            part = part.strip(" :,")
            assert len(part) < 4 or part in known, text


def _texts_of_the_code() -> str:
    """Every text in the packages, values left out, one a line."""
    found = []
    for folder in ("bharsdk", "training/bhar_training", "export/bhar_export"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(found)


def test_the_notebook_holds_no_outputs_but_short_text() -> None:
    """So that it can be read in a diff."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            assert output["output_type"] == "stream"
            assert len("".join(output["text"])) < 1000
    assert NOTEBOOK.stat().st_size < 20_000


@pytest.mark.long
def test_the_notebook_runs_and_prints_what_it_shows() -> None:
    """From clips to a bundle that names the sign of a person it never saw."""
    from notebook_page import code_cells, stored_outputs

    printed = run_python("\n".join(code_cells(NOTEBOOK)))
    for text in stored_outputs(NOTEBOOK):
        assert text in printed
    assert re.search(r"^coffee 0\.\d\d$", printed, re.MULTILINE), printed


def test_the_page_of_the_notebook_has_its_cells(site: Path) -> None:
    built = (site / "notebooks" / "train_your_own.html").read_text(encoding="utf-8")
    for title in ("Look at the clips", "Train", "Export", "Recognize"):
        assert title in built
    assert (site / "notebooks" / NOTEBOOK.name).exists()
