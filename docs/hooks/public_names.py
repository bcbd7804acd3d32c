"""Public names that no part of the Python page names yet, so that none is ever missing."""

from __future__ import annotations

import re
from pathlib import Path

import bharsdk

PAGE = Path(__file__).resolve().parents[1] / "reference" / "api.md"


def other_names_as_markdown() -> str:
    """Return a part with the names of ``bharsdk.__all__`` that the page does not place itself."""
    placed = set(
        re.findall(r"^::: bharsdk\.(\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    )
    others = [name for name in bharsdk.__all__ if name not in placed]
    return "\n\n".join(["## More", *(f"::: bharsdk.{name}" for name in others)]) if others else ""
