from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from bharsdk.bundle.feature_config import FeatureConfig, Modality
from bharsdk.errors import IncompatibleError, InputError
from bharsdk.files.codec import check_version, from_json_dict, to_json_dict


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    size: int
    scale: float = 1.0


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    colors: tuple[Color, ...]
    pair: tuple[int, str] = (1, "a")
    rates: dict[str, float] = field(default_factory=dict)
    parts: tuple[Inner, ...] = ()
    on: bool = False
    note: str | None = None


FULL = Outer(
    "x", Inner(3, 0.5), (Color.BLUE, Color.RED), (2, "b"), {"top1": 0.9}, (Inner(1),), True, "n"
)
LEAST: dict[str, Any] = {"name": "x", "inner": {"size": 3}, "colors": []}


@pytest.mark.parametrize(
    "value", [FULL, Outer("y", Inner(0), ()), FeatureConfig(modalities=(Modality.BONE,))]
)
def test_what_is_encoded_decodes_to_an_equal_value(value: Any) -> None:
    """Through real JSON text, with enums, nested dataclasses, tuples and optional values."""
    text = json.dumps(to_json_dict(value), allow_nan=False)
    assert from_json_dict(type(value), json.loads(text), "here") == value


def test_an_optional_value_that_is_not_used_is_left_out() -> None:
    """So that a version that does not know the key can still read what does not use it."""
    assert "note" not in to_json_dict(Outer("y", Inner(0), ()))
    assert to_json_dict(FULL)["note"] == "n"


def test_absent_keys_take_their_defaults() -> None:
    """A key with a default may be left out."""
    assert from_json_dict(Outer, LEAST, "here") == Outer("x", Inner(3), ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nmae": 1}, r"here: unknown key 'nmae', expected \['colors'"),
        ({"inner": {"size": 1, "x": 2}}, r"here\.inner: unknown key 'x'"),
        ({"inner": {}}, r"here\.inner: key 'size' is missing"),
        ({"name": 3}, r"here\.name: got int, expected str"),
        ({"inner": []}, r"here\.inner: got list, expected an object"),
        ({"inner": {"size": 1.5}}, r"here\.inner\.size: got float, expected int"),
        ({"inner": {"size": True}}, r"here\.inner\.size: got bool, expected int"),
        ({"inner": {"size": 1, "scale": True}}, r"here\.inner\.scale: got bool, expected float"),
        ({"inner": {"size": 1, "scale": "1"}}, r"here\.inner\.scale: got str, expected float"),
        ({"on": 1}, r"here\.on: got int, expected bool"),
        ({"colors": "red"}, r"here\.colors: got str, expected a list"),
        ({"colors": ["green"]}, r"here\.colors\[0\]: got 'green', expected one of"),
        ({"pair": [1]}, r"here\.pair: got 1 values, expected 2"),
        ({"pair": ["a", 1]}, r"here\.pair\[0\]: got str, expected int"),
        ({"rates": {"top1": "high"}}, r"here\.rates\.top1: got str, expected float"),
        ({"rates": []}, r"here\.rates: got list"),
        ({"parts": [{"size": 1}, 2]}, r"here\.parts\[1\]: got int, expected an object"),
        ({"note": 1}, r"here\.note: got int, expected str"),
        ({"name": None}, r"here\.name: got NoneType, expected str"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(change: dict[str, Any], message: str) -> None:
    """The message names where in the document the value is, what was got and what was expected."""
    with pytest.raises(InputError, match=message):
        from_json_dict(Outer, {**LEAST, **change}, "here")


def test_a_missing_key_is_refused() -> None:
    """A key without a default must be there."""
    with pytest.raises(InputError, match="key 'name' is missing"):
        from_json_dict(Outer, {"inner": {"size": 1}, "colors": []}, "here")


@pytest.mark.parametrize("data", [None, 3, "text", [LEAST]])
def test_a_document_that_is_no_object_is_refused(data: object) -> None:
    """Also when it is valid JSON."""
    with pytest.raises(InputError, match="expected an object"):
        from_json_dict(Outer, data, "here")


def test_a_whole_number_is_accepted_for_a_float() -> None:
    """JSON writers drop the point of 1.0."""
    decoded = from_json_dict(Inner, {"size": 1, "scale": 2}, "here")
    assert isinstance(decoded.scale, float)


def test_the_checks_of_the_dataclass_run() -> None:
    """What __post_init__ refuses, decoding refuses."""
    with pytest.raises(InputError, match="fps"):
        from_json_dict(FeatureConfig, {"fps": 0}, "here")


@pytest.mark.parametrize(
    "data", [{"format_version": 2, "name": 1}, {"format_version": "1"}, {}, [], None]
)
def test_another_format_version_is_named_before_anything_else_is_read(data: object) -> None:
    """A file of a later version is no damaged file, and its error says what to do."""
    with pytest.raises(IncompatibleError, match=r"here: got format version .*expected 1: update"):
        check_version(data, 1, "here", "update")
    check_version({"format_version": 1, "surprise": 2}, 1, "here", "update")
