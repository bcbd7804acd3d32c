"""The exit codes, from the error classes themselves."""

from __future__ import annotations

from collections.abc import Iterator

from bharsdk.errors import BharError


def exit_codes_as_markdown() -> str:
    """Return the table of exit codes and the errors behind them."""
    rows = [(0, "none", "All went well. A camera run that Ctrl-C ends is also 0.")]
    rows += [(error.exit_code, f"`{error.__name__}`", _first(error)) for error in _tree(BharError)]
    rows.append((130, "`KeyboardInterrupt`", "Ctrl-C, SIGTERM or SIGHUP before the end of a file."))
    lines = [f"| {code} | {name} | {text} |" for code, name, text in sorted(rows)]
    return "\n".join(["| exit code | Python error | meaning |", "|---|---|---|", *lines])


def _tree(error: type[BharError]) -> Iterator[type[BharError]]:
    yield error
    for child in error.__subclasses__():
        # Private kinds of an error share its code.
        if child.__module__ == error.__module__:
            yield from _tree(child)


def _first(error: type[BharError]) -> str:
    if error is BharError:
        return "Something inside bharsdk went wrong. All other errors are children of it."
    return " ".join((error.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
