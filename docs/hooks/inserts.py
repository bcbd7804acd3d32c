"""Fill the pages: a line ``<!-- insert: NAME -->`` becomes what the program or its records say.

No page repeats by hand what the code knows, so no page can disagree with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Neighbors of this file; MkDocs puts its folder on the path.
from command_help import commands_as_markdown
from error_table import exit_codes_as_markdown
from figures import bundles_as_markdown, results_as_markdown
from limit_table import limits_as_markdown
from mkdocs.structure.files import File, Files
from notebook_page import notebook_as_markdown
from public_names import other_names_as_markdown

ROOT = Path(__file__).resolve().parents[2]
MARK = re.compile(r"^<!-- insert: ([a-z-]+) -->$", re.MULTILINE)
PICTURE = "assets/thank-you.gif"


def picture_as_markdown() -> str:
    """Return the picture of a recognized sign, which ``examples/make_picture.py`` draws."""
    if not (ROOT / "docs" / PICTURE).exists():
        return ""
    return f'![The joints of a person who signs "thank you", and the label]({PICTURE})'


INSERTS: dict[str, Callable[[], str]] = {
    "bundles": bundles_as_markdown,
    "commands": commands_as_markdown,
    "exit-codes": exit_codes_as_markdown,
    "limits": limits_as_markdown,
    "other-names": other_names_as_markdown,
    "picture": picture_as_markdown,
    "results": results_as_markdown,
}
NOTEBOOK = "notebooks/train_your_own"


def on_files(files: Files, config: Any) -> Files:
    """Add the page of the notebook; the notebook itself stays, to be downloaded."""
    text = notebook_as_markdown(ROOT / "docs" / f"{NOTEBOOK}.ipynb")
    files.append(File.generated(config, f"{NOTEBOOK}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return ``markdown`` with its marks filled. Raises KeyError on an unknown mark."""
    return MARK.sub(lambda found: INSERTS[found[1]](), markdown)
