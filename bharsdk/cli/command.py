"""Commands and programs: a dataclass of options becomes a command line.

What is wrong ends in one line, ``got ..., expected ...``, and exit code 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

from bharsdk.cli.exit_codes import exit_code_of
from bharsdk.cli.help import command_help, program_help
from bharsdk.cli.option import Option, build, options_in
from bharsdk.cli.parsing import WrongLineError, nearest, read_values
from bharsdk.errors import BharError
from bharsdk.files.outputs import DECLARED, Declared
from bharsdk.values.declared import Use
from bharsdk.values.redaction import redacted
from bharsdk.values.terminal import one_line

__all__ = ["Command", "Entry", "Parsed", "Program"]

USAGE = 2
HELP = ("-h", "--help")


@dataclass(frozen=True)
class Command:
    """What a command takes, does and says.

    options: a dataclass; each of its fields is an option (:mod:`bharsdk.values.declared`). work:
    takes one of it; returns an exit code, None for 0. description: what its help adds to one line.
    when_interrupted: what is left after Ctrl-C. preload: modules that the work begins with. exits:
    exit codes that it alone has.
    """

    options: type
    work: Callable[[Any], int | None]
    description: str = ""
    when_interrupted: str = "interrupted"
    preload: tuple[str, ...] = ()
    exits: str = ""

    def all_options(self) -> list[Option]:
        """Its options, in the order of their declaration."""
        return list(options_in(self.options))


@dataclass(frozen=True)
class Entry:
    """A command of a program, not yet imported. where: ``"module:NAME"``. old: former names."""

    name: str
    where: str
    does: str
    old: tuple[str, ...] = ()

    def load(self) -> Command:
        """Import it."""
        module, _, name = self.where.partition(":")
        found: Command = getattr(import_module(module), name)
        return found


@dataclass(frozen=True)
class Parsed:
    """A command line that is right. options: an instance of the command's dataclass."""

    command: Command
    options: Any
    files: argparse.Namespace
    """Of it, what :func:`bharsdk.files.outputs.check_outputs` compares."""


@dataclass(frozen=True)
class Program:
    """A program and its commands; one without a name is the only one.

    epilog: exit codes. extra: what to install when a package is missing.
    """

    name: str
    description: str
    epilog: str
    entries: tuple[Entry, ...]
    version: str = ""
    extra: str = ""

    def parse(self, argv: Sequence[str] | None = None) -> Parsed:
        """Parse a command line (default: the process's).

        Exits with 0 after ``--help`` and ``--version``, with 2 if the line is wrong, and with 8 if
        a package is missing.
        """
        try:
            return self._parse(argv)
        except ModuleNotFoundError as error:
            sys.exit(exit_code_of(partial(_raise, error), self.name, extra=self.extra))

    def _parse(self, argv: Sequence[str] | None) -> Parsed:
        tokens = list(sys.argv[1:] if argv is None else argv)
        if not self.entries[0].name:
            return _parse(self, self.entries[0], tokens)
        first, *rest = tokens or [""]
        if first in HELP:
            _print_and_exit(program_help(self))
        if self.version and first == "--version":
            _print_and_exit(f"{self.name} {self.version}")
        if not first or first.startswith("-"):
            got = f"got {first!r}" if first else "got no COMMAND"
            self.fail(f"{got}, expected {self._known()}", "")
        for entry in self.entries:
            if first in entry.old:
                self.warn_of_old(first, entry.name)
            if first in (entry.name, *entry.old):
                return _parse(self, entry, rest)
        near = nearest(first, [entry.name for entry in self.entries])
        self.fail(f"got {first!r}, expected {self._known()}{near}", "")

    def commands(self) -> Iterator[tuple[str, Command, str]]:
        """Yield every command with its full name, and its help."""
        for entry in self.entries:
            command = entry.load()
            yield self.full_name(entry), command, command_help(self, entry, command)

    def full_name(self, entry: Entry) -> str:
        """Return ``"bhar run"``."""
        return f"{self.name} {entry.name}".strip()

    def fail(self, message: str, command: str) -> NoReturn:
        """Print one line that repeats no password of an address, and exit with 2."""
        where = f"{self.name} {command}".strip()
        line = f"{self.name}: error: {redacted(one_line(message))}; see  {where} --help"
        print(line, file=sys.stderr)
        sys.exit(USAGE)

    def warn_of_old(self, old: str, new: str) -> None:
        """Say that a spelling is an old one."""
        line = f"{self.name}: warning: {old} is called {new} now; the next release drops {old}"
        print(line, file=sys.stderr)

    def _known(self) -> str:
        return f"a command: {', '.join(entry.name for entry in self.entries)}"


def _raise(error: Exception) -> NoReturn:
    raise error


def _print_and_exit(text: str) -> NoReturn:
    print(text)
    sys.exit(0)


def _parse(program: Program, entry: Entry, tokens: list[str]) -> Parsed:
    command = entry.load()
    options = command.all_options()
    end = tokens.index("--") if "--" in tokens else len(tokens)
    if any(token in HELP for token in tokens[:end]):
        _print_and_exit(command_help(program, entry, command))
    try:
        found = build(command.options, read_values(tokens, options))
    except WrongLineError as error:
        program.fail(str(error), entry.name)
    except BharError as error:  # values that contradict each other
        program.fail(str(error), entry.name)
    _warn_of_old(program, options, tokens[:end])
    return Parsed(command, found, _files(found, options))


def _warn_of_old(program: Program, options: Sequence[Option], tokens: Sequence[str]) -> None:
    new = {old: option.name for option in options for old in option.cli.old}
    for old in dict.fromkeys(token.partition("=")[0] for token in tokens):
        if old in new:
            program.warn_of_old(old, new[old])


def _files(found: Any, options: Sequence[Option]) -> argparse.Namespace:
    uses: dict[Use, dict[str, str]] = {use: {} for use in Use}
    values = argparse.Namespace()
    for option in options:
        if option.cli.file is not None:
            uses[option.cli.file][option.key] = option.name
            value = found
            for name in option.path:
                value = getattr(value, name)
            setattr(values, option.key, value)
    setattr(values, DECLARED, Declared(uses[Use.READ], uses[Use.WRITE], uses[Use.UPDATE]))
    return values
