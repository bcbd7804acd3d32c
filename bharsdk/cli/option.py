"""The options of a command, found in its dataclass: names, values, ranges, help and files."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bharsdk.cli.names import names, some_text
from bharsdk.cli.numbers import real, shown, whole
from bharsdk.values.declared import Cli, Help, Part, Range, declared

__all__ = ["Option", "build", "documented", "options_in"]

ANY = Range()


@dataclasses.dataclass(frozen=True)
class Option:
    """One option, or one place, of a command.

    path: names of the fields that lead to its value, from the command's dataclass on. kind: bool,
    int, float, str, Path or an enum. is_list: takes several. required: must be given. default: the
    field's own. group: heading in the help.
    """

    path: tuple[str, ...]
    kind: Any
    is_list: bool
    required: bool
    default: Any
    limits: Range
    help: str
    cli: Cli
    names: tuple[str, ...]
    group: str = ""

    @property
    def key(self) -> str:
        """Its name among the parsed values."""
        return "__".join(self.path)

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.names[0]

    @property
    def is_place(self) -> bool:
        """Whether it is given by its place, without a name."""
        return not self.name.startswith("-")

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return self.kind is bool

    @property
    def off(self) -> str:
        """What switches it off, where it is on by default; else empty."""
        group, dot, name = self.name[2:].rpartition(".")
        return f"--{group}{dot}no-{name}" if self.is_flag and self.default else ""

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that the help names; empty for any."""
        if isinstance(self.kind, type) and issubclass(self.kind, enum.Enum):
            return tuple(str(member.value) for member in self.kind)
        return self.cli.choices

    def read(self, texts: Sequence[str]) -> Any:
        """Return the value that ``texts`` give; of a single value, the last one counts.

        Raises ValueError, ``got ..., expected ...``.
        """
        if not self.is_list or self.cli.read is not None:
            return self._one(texts[-1])
        if self.cli.whole or self.is_place:
            return tuple(self._one(text) for text in texts)
        if self.kind in (int, float):
            return tuple(self._one(each) for text in texts for each in text.split(","))
        return tuple(self._one(name) for text in texts for name in names(text))

    def _one(self, text: str) -> Any:
        if self.cli.read is not None:
            return self.cli.read(text)
        known = (*self.choices, *self.cli.hidden)
        if known and text not in known:
            of = "some" if self.is_list else "one"
            raise ValueError(f"got {shown(text)}, expected {of} of {', '.join(self.choices)}")
        if self.kind is int:
            return whole(text, self.limits)
        if self.kind is float:
            return real(text, self.limits)
        return self.kind(some_text(text))


def options_in(kind: Any, path: tuple[str, ...] = (), part: Part | None = None) -> Iterator[Option]:
    """Yield the options of the dataclass ``kind``, and of the configurations in it."""
    part = part or Part()
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name, (hint, extras) in declared(kind).items():
        said = {type(extra): extra for extra in (*extras, *part.said.get(name, ()))}
        cli, inner, here = said.get(Cli, Cli()), said.get(Part), (*path, name)
        nested = inner.of if inner is not None and inner.of is not None else hint
        if cli.skip or name in part.skip or not fields[name].init:
            continue
        if dataclasses.is_dataclass(nested):
            inner = inner or Part()
            prefix, title = part.prefix + inner.prefix, inner.title or part.title
            inner = dataclasses.replace(inner, prefix=prefix, title=title)
            yield from options_in(nested, here, inner)
            continue
        value, is_list = _of(hint)
        if value is None:  # an optional configuration: a command says what becomes of it
            continue
        default, required = _default(fields[name])
        if part.default is not None and cli.default is None:
            cli = dataclasses.replace(cli, default=part.default)
        yield Option(
            here,
            value,
            is_list,
            required,
            default,
            said.get(Range, ANY),
            str(said.get(Help, documented(kind).get(name, ""))),
            cli,
            _names(cli, name, part.prefix),
            part.title,
        )


def build(kind: Any, values: Mapping[tuple[str, ...], Any], path: tuple[str, ...] = ()) -> Any:
    """Return the dataclass ``kind`` of the ``values`` that were given, by the path of each."""
    given: dict[str, Any] = {}
    for name, (hint, extras) in declared(kind).items():
        here = (*path, name)
        part = next((extra for extra in extras if isinstance(extra, Part)), None)
        if here in values:
            given[name] = values[here]
        elif part is not None and part.overrides:
            given[name] = {p[-1]: value for p, value in values.items() if p[:-1] == here}
        elif dataclasses.is_dataclass(hint) and (
            part is not None or any(p[: len(here)] == here for p in values)
        ):
            given[name] = build(hint, values, here)
    return kind(**given)


@functools.cache
def documented(kind: Any) -> dict[str, str]:
    """Return the first sentence on each field in the part ``Attributes:`` of a docstring."""
    text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    for item in re.split(r"\n    (?=\S)", "\n" + re.split(r"\n\S", text)[0]):
        fields, _, told = item.partition(": ")
        told = re.sub(r"\s*\(:\w+:`[^)]*\)", "", " ".join(told.split()))
        found |= dict.fromkeys(fields.split(", "), re.split(r"\.(?:\s|$)", told)[0])
    return found


def _names(cli: Cli, name: str, prefix: str) -> tuple[str, ...]:
    if cli.names:
        return cli.names
    return (f"--{prefix}{name.removesuffix('_s').replace('_', '-')}",)


def _default(field: dataclasses.Field[Any]) -> tuple[Any, bool]:
    if field.default is not dataclasses.MISSING:
        return field.default, False
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory(), False
    return None, True


def _of(hint: Any) -> tuple[Any, bool]:
    """The kind of one value, and whether there may be several; no kind: it is no option."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        inner = [each for each in typing.get_args(hint) if each is not type(None)]
        return _of(inner[0]) if len(inner) == 1 else (None, False)
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    is_value = hint in (bool, int, float, str, Path)
    is_value = is_value or (isinstance(hint, type) and issubclass(hint, enum.Enum))
    return (hint if is_value else None), False
