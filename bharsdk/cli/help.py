"""The text of ``--help``: every option with its range, unit and default; no colors, no imports."""

from __future__ import annotations

import enum
import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bharsdk.cli.option import ANY, Option

if TYPE_CHECKING:
    from bharsdk.cli.command import Command, Entry, Program

__all__ = ["command_help", "program_help"]

INDENT = 26
LETTERS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


def program_help(program: Program) -> str:
    """Return what ``bhar --help`` prints."""
    rows = [(entry.name, entry.does) for entry in program.entries]
    lines = [f"usage: {program.name} COMMAND [options]", "", *_wrapped(program.description)]
    lines += ["", "commands:", *_rows(rows), ""]
    lines += [f"{program.name} COMMAND --help  tells the options of a command.", ""]
    return "\n".join([*lines, program.epilog.rstrip()])


def command_help(program: Program, entry: Entry, command: Command) -> str:
    """Return what ``bhar run --help`` prints."""
    options = command.all_options()
    usage = [f"usage: {program.full_name(entry)}"]
    for option in options:
        if option.is_place:
            name = _metavar(option) + (" ..." if option.is_list else "")
            usage.append(name if option.required else f"[{name}]")
        elif option.required:
            usage.append(f"{option.name} {_metavar(option)}")
    does = entry.does[:1].upper() + entry.does[1:] + ("" if entry.does.endswith(".") else ".")
    lines = [" ".join([*usage, "[options]"]), "", *_wrapped(f"{does} {command.description}")]
    groups: dict[str, list[tuple[str, str]]] = {}
    for option in options:
        title = "arguments" if option.is_place else option.group or "options"
        groups.setdefault(title, []).append((_left(option), _right(option)))
    for title, rows in groups.items():
        lines += ["", f"{title}:", *_rows(rows)]
    exits = program.epilog.rstrip() + (f"; {command.exits}" if command.exits else "")
    return "\n".join([*lines, "", exits])


def _left(option: Option) -> str:
    if option.is_place:
        return _metavar(option)
    if option.is_flag:
        return option.off or option.name
    value = _metavar(option)
    return f"{option.name} [{value}]" if option.cli.alone else f"{option.name} {value}"


def _right(option: Option) -> str:
    facts = []
    if option.choices:
        facts.append(f"{'some' if option.is_list else 'one'} of {', '.join(option.choices)}")
    if option.limits != ANY:
        facts.append(option.limits.told("a whole number" if option.kind is int else "a number"))
    default = option.cli.default
    if default is None and not option.is_flag and not option.required:
        default = _text(option.default)
    if default:
        facts.append(f"default {default}")
    told = option.help
    if option.off:
        told = f"do not {told}"
    return f"{told} [{'; '.join(facts)}]" if facts and told else told or "; ".join(facts)


def _metavar(option: Option) -> str:
    if option.cli.metavar:
        return option.cli.metavar
    if option.is_place:
        return option.name.upper()
    if option.choices:
        return "NAME"
    return "S" if option.limits.unit == "seconds" else LETTERS.get(option.kind, "VALUE")


def _text(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return ",".join(_text(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def _width() -> int:
    try:
        return max(60, min(100, int(os.environ.get("COLUMNS", ""))))
    except ValueError:
        return 100


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _width())


def _rows(rows: list[tuple[str, str]]) -> list[str]:
    lines = []
    for left, right in rows:
        text = textwrap.wrap(right, _width() - INDENT) or [""]
        head = f"  {left}"
        if len(head) + 2 > INDENT:
            lines.append(head)
            head = ""
        lines.append(f"{head:<{INDENT}}{text[0]}".rstrip())
        lines += [" " * INDENT + line for line in text[1:]]
    return lines
