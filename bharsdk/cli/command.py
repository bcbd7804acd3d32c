"""Commands and programs: a dataclass of options becomes a command line, parsed by cyclopts.

What is wrong ends in one line, ``got ..., expected ...``, and exit code 2.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Annotated, Any, NoReturn

from bharsdk.cli.exit_codes import exit_code_of
from bharsdk.cli.help import command_help, program_help
from bharsdk.cli.option import Option, build, options_in
from bharsdk.errors import BharError
from bharsdk.files.outputs import DECLARED, Declared
from bharsdk.values.declared import Use
from bharsdk.values.redaction import redacted
from bharsdk.values.terminal import one_line

__all__ = ["Command", "Entry", "Parsed", "Program"]

POSITIONAL_ONLY, VAR_POSITIONAL, KEYWORD_ONLY = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.KEYWORD_ONLY,
)
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
        near = _nearest(first, [entry.name for entry in self.entries])
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
    from cyclopts import App
    from cyclopts.exceptions import CycloptsError

    command = entry.load()
    options = command.all_options()
    end = tokens.index("--") if "--" in tokens else len(tokens)
    if any(token in HELP for token in tokens[:end]):
        _print_and_exit(command_help(program, entry, command))
    app = App(name=program.name, help_flags=[], version_flags=[])
    app.default(_signed(options))
    try:
        # verbose: or a message names the function that it was for.
        _, bound, _ = app.parse_args(
            _completed(tokens, options), exit_on_error=False, print_error=False, verbose=False
        )
    except CycloptsError as error:
        program.fail(_told(error, options), entry.name)
    values = {
        option.path: bound.arguments[option.key]
        for option in options
        if bound.arguments.get(option.key) not in (None, ())
    }
    missing = [option for option in options if option.required and option.path not in values]
    if missing:
        names = ", ".join(_place(option) for option in missing)
        program.fail(
            f"got no {names}, expected {'it' if len(missing) == 1 else 'them'}", entry.name
        )
    try:
        found = build(command.options, values)
    except BharError as error:  # values that contradict each other
        program.fail(str(error), entry.name)
    _warn_of_old(program, options, tokens[:end])
    return Parsed(command, found, _files(found, options))


def _signed(options: Sequence[Option]) -> Callable[..., None]:
    """A function of the options, which cyclopts makes a command line of."""

    def function(*_: Any, **__: Any) -> None: ...

    parameters = [_parameter(option) for option in options]
    parameters.sort(key=lambda parameter: parameter.kind)
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function


def _parameter(option: Option) -> inspect.Parameter:
    from cyclopts import Parameter

    def read(_: Any, tokens: Sequence[Any]) -> Any:
        found = option.read([token.value for token in tokens])
        # Each text of a list of places comes alone.
        return found[0] if option.is_place and option.is_list else found

    names = (*option.names, *option.cli.old)
    if option.is_place:
        hint: Any = Annotated[str, Parameter(converter=read)]
        if option.is_list:
            return inspect.Parameter(option.key, VAR_POSITIONAL, annotation=hint)
        return inspect.Parameter(option.key, POSITIONAL_ONLY, annotation=hint, default=None)
    if option.is_flag:
        hint = Annotated[bool, Parameter(name=names, negative=option.off or ())]
    else:
        # A list for cyclopts in any case, so that one given twice is no error: the last one counts.
        hint = Annotated[
            list[str], Parameter(name=names, converter=read, negative=(), json_list=False)
        ]
    return inspect.Parameter(option.key, KEYWORD_ONLY, annotation=hint, default=None)


def _completed(tokens: list[str], options: Sequence[Option]) -> list[str]:
    """The tokens, with the value of an option that may stand alone and does."""
    alone = {o.name: o.cli.alone for o in options if o.cli.alone is not None}
    done = []
    for token, after in zip(tokens, [*tokens, "--"][1:], strict=True):
        value = alone.get(token) if after.startswith("-") else None
        done.append(token if value is None else f"{token}={value}")
    return done


def _told(error: Any, options: Sequence[Option]) -> str:
    """What cyclopts found, as got and expected."""
    from cyclopts import exceptions

    token, argument = getattr(error, "token", None), error.argument
    name = token.keyword if token is not None and token.keyword else ""
    if not name and argument is not None:
        by_key = {option.key: _place(option) for option in options}
        name = by_key.get(argument.field_info.name, argument.name)
    match error:
        case exceptions.UnknownOptionError():
            got = error.token.keyword or error.token.value
            known = [each for o in options if not o.is_place for each in o.names]
            near = _nearest(got.partition("=")[0], known)
            return f"got {got}, expected no such argument{near}"
        case exceptions.UnusedCliTokensError():
            return f"got {' '.join(error.unused_tokens or ())}, expected no such argument"
        case exceptions.MissingArgumentError():
            return f"argument {name}: got no value, expected one"
        case exceptions.CoercionError() if error.msg is not None:
            return f"argument {name}: {error.msg}"
        case exceptions.CoercionError() if token is not None:
            return f"argument {name}: got the value {token.value!r}, expected none"
        case _:
            return f"got a wrong command line, expected another one: {error}"


def _place(option: Option) -> str:
    return (option.cli.metavar or option.name) if option.is_place else option.name


def _nearest(got: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(got, known, 1)
    return f"; did you mean {found[0]}?" if found else ""


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
