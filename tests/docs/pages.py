"""The documents of the repository as tests read them: blocks, commands, links, sentences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = ("bhar", "bhar-train", "bhar-export", "make")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]+)\)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A command line of a page. is_whole: as somebody types it, not a mention in a sentence."""

    words: tuple[str, ...]
    is_whole: bool

    def __str__(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Page:
    """A page in Markdown. path: relative to the root."""

    path: str

    def __str__(self) -> str:
        return self.path

    @property
    def text(self) -> str:
        """All of it."""
        return (ROOT / self.path).read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without fenced blocks and comments."""
        return COMMENT.sub("", FENCE.sub("", self.text))

    def blocks(self, language: str) -> list[str]:
        """The fenced blocks of a language."""
        return [block for name, block in FENCE.findall(self.text) if name == language]

    def paragraphs(self) -> list[str]:
        """Each heading, paragraph, list item and row of a table as one line."""
        joined: list[str] = []
        goes_on = False
        for line in self.prose.splitlines():
            begins = re.match(r"\s*([-*|#]|\d+\. )", line) is not None
            if goes_on and line.strip() and not begins:
                joined[-1] += f" {line.strip()}"
            elif line.strip():
                joined.append(line.strip())
            goes_on = bool(line.strip()) and not line.lstrip().startswith(("|", "#"))
        return joined

    def rows(self) -> Iterator[tuple[list[str], list[str]]]:
        """Heading and cells of each row of each table."""
        heading: list[str] | None = None
        for line in self.paragraphs():
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if not line.startswith("|"):
                heading = None
            elif heading is None:
                heading = cells
            elif not set(line) <= set("|-: "):
                yield heading, cells

    def commands(self) -> list[Command]:
        """Every command of this project on the page."""
        found: list[Command] = []
        for block in self.blocks("sh"):
            for line in block.replace("\\\n", " ").splitlines():
                for part in line.split("&&"):
                    words = tuple(shlex.split(part, comments=True))
                    if words and words[0] in PROGRAMS:
                        found.append(Command(words, is_whole=True))
        whole = {
            code
            for heading, cells in self.rows()
            for name, cell in zip(heading, cells, strict=False)
            if name == "command"
            for code in CODE.findall(cell)
        }
        for code in CODE.findall(self.prose):
            words = tuple(shlex.split(code)) if code.count('"') % 2 == 0 else ()
            if words and words[0] in PROGRAMS:
                found.append(Command(words, is_whole=code in whole))
        return found

    def sentences(self) -> list[str]:
        """The sentences of paragraphs and list items."""
        found: list[str] = []
        for line in self.paragraphs():
            if line.startswith(("|", "#", "!", "[")):
                continue
            text = re.sub(r"^([-*]|\d+\.) ", "", line)
            text = LINK.sub(r"\1", CODE.sub("code", text))
            found += [part for part in re.split(r"(?<=[.!?])\s+", text) if part]
        return found

    def anchors(self) -> set[str]:
        """What a link may name after ``#``."""
        headings = re.findall(r"^#+ (.+)$", FENCE.sub("", self.text), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
