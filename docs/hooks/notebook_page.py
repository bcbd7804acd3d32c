"""A notebook as a page, and as cells that can be run: no Jupyter package is needed for either."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def notebook_as_markdown(path: Path) -> str:
    """Return the cells of ``path`` in order: text as it is, code and its stored text output."""
    parts = []
    for cell in _cells(path):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code":
            parts.append(f"```python\n{source}\n```")
            if text := _output(cell):
                parts.append(f'```text title="prints"\n{text.rstrip()}\n```')
    parts.append(f"[Download the notebook]({path.name})")
    return "\n\n".join(parts) + "\n"


def code_cells(path: Path) -> list[str]:
    """Return the code cells of ``path``, in order."""
    return ["".join(cell["source"]) for cell in _cells(path) if cell["cell_type"] == "code"]


def stored_outputs(path: Path) -> list[str]:
    """Return the text that cells of ``path`` are shown to print; cells without are left out."""
    return [text for cell in _cells(path) if (text := _output(cell))]


def _output(cell: dict[str, Any]) -> str:
    return "".join("".join(output.get("text", [])) for output in cell.get("outputs", []))


def _cells(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return cells
