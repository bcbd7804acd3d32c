"""Command lines, read by cyclopts: the only module that knows this library.

It gets a function whose parameters are the options. Values are read by the options themselves
(:meth:`bharsdk.cli.option.Option.read`), and what is wrong is said in our words.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from bharsdk.cli.option import Option

__all__ = ["WrongLineError", "nearest", "read_values"]

POSITIONAL_ONLY, VAR_POSITIONAL, KEYWORD_ONLY = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.KEYWORD_ONLY,
)


class WrongLineError(Exception):
    """A command line that is wrong: got and expected."""


def read_values(tokens: list[str], options: Sequence[Option]) -> dict[tuple[str, ...], Any]:
    """Return the values that ``tokens`` give, by the path of their option.

    Raises WrongLineError on a wrong, an unknown and a missing one.
    """
    from cyclopts import App
    from cyclopts.exceptions import CycloptsError

    app = App(name="bharsdk", help_flags=[], version_flags=[])
    app.default(_signed(options))
    try:
        # Not verbose: or a message names the function that it was for.
        _, bound, _ = app.parse_args(
            _completed(tokens, options), exit_on_error=False, print_error=False, verbose=False
        )
    except CycloptsError as error:
        raise WrongLineError(_told(error, options)) from error
    given = {o.path: bound.arguments.get(o.key) for o in options}
    values = {path: value for path, value in given.items() if value not in (None, ())}
    missing = [_place(o) for o in options if o.required and o.path not in values]
    if missing:
        them = "it" if len(missing) == 1 else "them"
        raise WrongLineError(f"got no {', '.join(missing)}, expected {them}")
    return values


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
            near = nearest(got.partition("=")[0], known)
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


def nearest(got: str, known: Sequence[str]) -> str:
    """Return ``"; did you mean --fps?"``, or nothing where no known name is like ``got``."""
    found = difflib.get_close_matches(got, known, 1)
    return f"; did you mean {found[0]}?" if found else ""
