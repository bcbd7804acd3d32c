from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from bharsdk.cli.numbers import natural, part, positive, seconds


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (natural, "0", 0),
        (positive, "12", 12),
        (part, "1", 1.0),
        (part, "0.25", 0.25),
        (seconds, "0", 0.0),
        (seconds, "inf", float("inf")),
    ],
)
def test_a_number_is_taken(kind: Callable[[str], float], text: str, value: float) -> None:
    """The ends of its range too."""
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (natural, ("-1", "1.5", "a", "")),
        (positive, ("0", "-1", "1e3", "inf")),
        (part, ("0", "1.01", "-0.5", "nan", "a", "")),
        (seconds, ("-1", "nan", "-inf", "soon", "")),
    ],
)
def test_what_is_no_such_number_is_refused(
    kind: Callable[[str], float], texts: tuple[str, ...]
) -> None:
    """With what was got and expected."""
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError, match=f"got '{text}', expected"):
            kind(text)
