"""A field declares its range once: who sets it in Python and on a command line is held to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import pytest

from bharsdk import DecoderConfig, RecognizerOptions, SourceConfig
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.cli.option import build, documented, options_in
from bharsdk.errors import InputError, UsageError
from bharsdk.values.declared import Cli, Help, Part, Range, check_ranges


@pytest.mark.parametrize(
    ("limits", "inside", "outside", "words"),
    [
        (Range(0, 1), (0, 0.5, 1), (-0.1, 1.1, math.nan), "a number from 0 to 1"),
        (Range(0, 1, above=True), (0.1, 1), (0, 1.1), "a number above 0, up to 1"),
        (Range(0, 1, below=True), (0, 0.9), (1,), "a number from 0 to below 1"),
        (Range(0, 1, above=True, below=True), (0.5,), (0, 1), "a number above 0, below 1"),
        (Range(1, unit="frames"), (1, 10**30), (0,), "frames, 1 or more"),
        (Range(0, unit="seconds"), (0, math.inf), (-math.inf,), "seconds, 0 or more"),
        (Range(0, 60, "seconds", above=True), (60,), (0,), "seconds, above 0, up to 60"),
        (Range(0, above=True, below=True), (1e300,), (0, math.inf), "a number above 0"),
    ],
)
def test_a_range_says_what_is_in_it(
    limits: Range, inside: tuple[float, ...], outside: tuple[float, ...], words: str
) -> None:
    """Its ends too, or without them; NaN is in none."""
    assert all(value in limits for value in inside)
    assert not any(value in limits for value in outside)
    assert limits.told("a number") == words
    assert words.endswith(limits.told())


@dataclass(frozen=True)
class _Config:
    weights: Annotated[tuple[float, ...], Range(0, 9), Help("of each")] = (1.0,)
    limit: Annotated[float | None, Range(1)] = None

    def __post_init__(self) -> None:
        check_ranges(self, "config", UsageError)


def test_every_item_of_a_list_is_held_to_the_range_and_none_is_in_it() -> None:
    """With the name of the field, what was got and what was expected."""
    assert _Config((0.0, 9.0)).limit is None
    with pytest.raises(UsageError, match="config: got weights 10, expected 0 to 9"):
        _Config((1.0, 10.0))
    with pytest.raises(UsageError, match="config: got limit nan, expected 1 or more"):
        _Config(limit=math.nan)
    with pytest.raises(UsageError, match="got limit a huge number"):
        _Config(limit=-(10**5000))


CONFIGS = (DecoderConfig, FeatureConfig, RecognizerOptions, SourceConfig)


@pytest.mark.parametrize("kind", CONFIGS)
def test_python_refuses_what_the_command_line_refuses(kind: type) -> None:
    """Every number of a public configuration declares its range."""
    for option in options_in(kind):
        if option.kind not in (int, float):
            continue
        assert math.isfinite(option.limits.least), option.name
        beyond = option.limits.least - 1
        with pytest.raises(InputError, match=f"got {option.path[-1]} {beyond:g}, expected"):
            kind(**{option.path[-1]: option.kind(beyond)})
        with pytest.raises(ValueError, match=f"got '{beyond:g}', expected"):
            option.read([f"{beyond:g}"])


@dataclass(frozen=True)
class _Outer:
    """What the fields of a configuration become.

    Attributes:
        count: how many. More is
            slower.
        first, second: either of two
            (:mod:`bharsdk`).
    """

    count: int
    first: Annotated[_Config, Part("inner", prefix="in.")]
    second: Annotated[dict[str, object], Part(of=_Config, overrides=True, skip=("weights",))]
    flag: Annotated[bool, Cli(old=("--old",))] = True


def test_options_come_from_the_fields_of_a_dataclass_and_go_back_into_it() -> None:
    """Names, parts, help of the docstring; a part of overrides is what was given and no more."""
    found = {option.path: option for option in options_in(_Outer)}
    names = [option.name for option in found.values()]
    assert names == ["--count", "--in.weights", "--in.limit", "--limit", "--flag"]
    assert found["first", "weights"].help == "of each"
    assert found["first", "weights"].group == "inner"
    assert found["count",].help == "how many"
    assert documented(_Outer)["second"] == "either of two"
    assert (found["count",].required, found["flag",].off) == (True, "--no-flag")
    values = {("count",): 3, ("first", "limit"): 2.0}
    assert build(_Outer, values) == _Outer(3, _Config(limit=2.0), {})
    values = {("count",): 3, ("second", "limit"): 2.0, ("flag",): False}
    assert build(_Outer, values) == _Outer(3, _Config(), {"limit": 2.0}, False)
