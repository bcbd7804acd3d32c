"""The bounds on files and sources, from ``bharsdk/files/limits.py``."""

from __future__ import annotations

import ast
import inspect
import re

from bharsdk.files import limits

SECTION = re.compile(r"^# ---- (.*?) -+$")
BYTES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def limits_as_markdown() -> str:
    """Return a table for each part of the module: bound, value with unit, what it bounds."""
    source = inspect.getsource(limits)
    lines, body = source.splitlines(), ast.parse(source).body
    parts: list[str] = []
    for i, node in enumerate(body):
        name = _bound(node)
        if name is None:
            continue
        title = _section(lines, node.lineno)
        if title is not None or not parts:
            parts += ["", f"## {(title or 'loading').capitalize()}", ""]
            parts += ["| bound | at most | of |", "|---|---|---|"]
        what = _docstring(body[i + 1]) if i + 1 < len(body) else ""
        parts.append(f"| `{name}` | {_shown(name, getattr(limits, name))} | {what} |")
    return "\n".join(parts).strip()


def _bound(node: ast.stmt) -> str | None:
    if isinstance(node, ast.Assign):
        targets: list[ast.expr] = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    else:
        return None
    names = [x.id for x in targets if isinstance(x, ast.Name)]
    return names[0] if names and names[0] in limits.__all__ else None


def _section(lines: list[str], number: int) -> str | None:
    """The heading that stands right above a line, if there is one."""
    above = [line for line in lines[max(0, number - 3) : number - 1] if line]
    found = SECTION.match(above[-1]) if above else None
    return found[1] if found else None


def _docstring(node: ast.stmt) -> str:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    text = str(node.value.value) if is_text else ""  # type: ignore[attr-defined]
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def _shown(name: str, value: float) -> str:
    if name.endswith("_BYTES"):
        size, unit = next(x for x in BYTES if value >= x[0])
        return f"{value / size:g} {unit}"
    if name.endswith("_SECONDS"):
        return f"{value:g} s"
    if value >= 1e9:
        return f"{value:g}"
    return f"{value:,.0f}"
