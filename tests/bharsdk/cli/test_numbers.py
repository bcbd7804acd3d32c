from __future__ import annotations

import math

import pytest

from bharsdk.cli.numbers import real, whole
from bharsdk.values.declared import Range

NATURAL, POSITIVE = Range(0), Range(1)
PART, SECONDS = Range(0, 1, above=True), Range(0, unit="seconds")
RATE = Range(0, above=True, below=True)


@pytest.mark.parametrize(
    ("limits", "text", "value"),
    [
        (NATURAL, "0", 0),
        (POSITIVE, "12", 12),
        (POSITIVE, str(2**31 - 1), 2**31 - 1),
        (Range(0, 2**62), str(2**62), 2**62),
    ],
)
def test_a_whole_number_is_taken(limits: Range, text: str, value: int) -> None:
    """The ends of its range too."""
    assert whole(text, limits) == value


@pytest.mark.parametrize(
    ("limits", "text", "value"),
    [
        (PART, "1", 1.0),
        (PART, "0.25", 0.25),
        (SECONDS, "0", 0.0),
        (SECONDS, "inf", math.inf),
    ],
)
def test_a_number_is_taken(limits: Range, text: str, value: float) -> None:
    """The ends of its range too, and infinity where it means for ever."""
    assert real(text, limits) == value


@pytest.mark.parametrize(
    ("limits", "texts"),
    [
        (NATURAL, ("-1", "1.5", "a", "", "1_000", "٣")),
        (POSITIVE, ("0", "-1", "1e3", "inf", str(2**31), "9" * 5000)),
    ],
)
def test_what_is_no_such_whole_number_is_refused(limits: Range, texts: tuple[str, ...]) -> None:
    """With what was got and expected."""
    for text in texts:
        with pytest.raises(ValueError, match=f"got '{text[:40]}.*, expected a whole number"):
            whole(text, limits)


@pytest.mark.parametrize(
    ("limits", "texts"),
    [
        (PART, ("0", "1.01", "-0.5", "nan", "a", "")),
        (SECONDS, ("-1", "nan", "-inf", "soon", "", "1e400")),
        (RATE, ("0", "inf", "nan")),
    ],
)
def test_what_is_no_such_number_is_refused(limits: Range, texts: tuple[str, ...]) -> None:
    """With what was got and expected."""
    for text in texts:
        with pytest.raises(ValueError, match=f"got '{text}', expected"):
            real(text, limits)
