"""Docstrings as Markdown: Sphinx roles become code, and ``::`` before a block becomes a colon."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|meth|func|attr|mod|data|exc|obj|ref):`~?\.?([^`]+)`")
LITERAL = re.compile(r"(?m)^(?P<before>.*?)::[ \t]*$")


class PlainDocstrings(griffe.Extension):
    """Rewrites each docstring as it is found."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of ``obj``."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """Return ``text`` with ``:class:`a.b.C``` as ```C``` and ``::`` as its block needs it."""
    text = ROLE.sub(lambda found: f"`{_last(found[1])}`", text)
    return LITERAL.sub(lambda found: f"{found['before']}:" if found["before"].strip() else "", text)


def _last(name: str) -> str:
    """The part that a user types: ``Recognizer.run`` of ``bharsdk.recognizer.Recognizer.run``."""
    return re.sub(r"^(?:[a-z_]\w*\.)+(?=\w)", "", name)
