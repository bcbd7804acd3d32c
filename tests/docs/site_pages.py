"""What the tests read of pages: their sources, tables, code blocks and HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LOADS = {"script", "img", "iframe", "source", "video", "audio", "embed", "object"}


def sources() -> list[Path]:
    """The pages as they are written."""
    return sorted(DOCS.rglob("*.md"))


def page(name: str) -> str:
    """The text of one page."""
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[tuple[str, str]]:
    """(what stands behind the language, code) of every block in that language."""
    return [(rest.strip(), code) for name, rest, code in FENCE.findall(text) if name == language]


def prose(text: str) -> str:
    """``text`` without its code blocks."""
    return FENCE.sub("", text)


def first_column(text: str, heading: str) -> list[str]:
    """The first cells, without backticks, of the tables whose first heading is ``heading``."""
    cells, inside = [], False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        first = line.split("|")[1].strip()
        if first == heading:
            inside = True
        elif inside and not first.startswith("---"):
            cells += [cell.strip().strip("`") for cell in first.split(",")]
    return cells


@dataclass(frozen=True)
class Html:
    """One built page. loaded: what a browser fetches for it. links: where its links lead."""

    path: Path
    ids: frozenset[str]
    links: tuple[str, ...]
    loaded: tuple[str, ...]
    classes: frozenset[str]


def built_pages(site: Path) -> Iterator[Html]:
    """Every built page."""
    for path in sorted(site.rglob("*.html")):
        reader = _Reader()
        reader.feed(path.read_text(encoding="utf-8"))
        yield Html(
            path,
            frozenset(reader.ids),
            tuple(reader.links),
            tuple(reader.loaded),
            frozenset(reader.classes),
        )


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.classes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.ids.append(found["id"])
        self.classes += found.get("class", "").split()
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "link" and found.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(found["href"])
        if tag in LOADS and "src" in found:
            self.loaded.append(found["src"])
