from __future__ import annotations

import dataclasses
import enum
import importlib
import typing
from types import NoneType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.bundle.manifest import Manifest
from bharsdk.engines.network import NetworkSpec
from bharsdk.errors import BharError, IncompatibleError, InputError
from bharsdk.events import Event
from bharsdk.files.codec import check_version, from_json_dict
from bharsdk.recognition.options import RecognizerOptions
from bharsdk.recordings.journal import _Header as JournalHeader
from bharsdk.recordings.session import TrueEvent
from bharsdk.recordings.session_file import _Header as SessionHeader

READ_FROM_OUTSIDE: dict[str, type[Any] | str] = {
    "decoder": DecoderConfig,
    "event": Event,
    "journal": JournalHeader,
    "manifest": Manifest,
    "network": NetworkSpec,
    "options": RecognizerOptions,
    "session": SessionHeader,
    "true event": TrueEvent,
    "training configuration": "bhar_training.training.config:TrainConfig",
    "checkpoint": "bhar_training.checkpoint:CheckpointMeta",
    "results": "bhar_training.paper.results:Results",
    "machine": "bhar_training.paper.machine:Machine",
}
NUMBERS = (
    st.sampled_from(
        [
            0,
            1,
            -1,
            2,
            0.5,
            1e-308,
            1e308,
            -1e308,
            1e19,
            2**53,
            2**63,
            10**400,
            -(10**400),
            True,
            None,
        ]
    )
    | st.integers()
    | st.floats()
)
TEXT = (
    st.sampled_from(["", "a", "x" * 5000, "\x1b[2J", "a\nb", "\ud800", "end", "body"]) | st.text()
)
ANYTHING = st.recursive(
    NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def nearly(hint: Any) -> st.SearchStrategy[Any]:
    """JSON that may be what ``hint`` asks for, so that the checks behind its type are reached."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        fields = {f.name: f for f in dataclasses.fields(hint) if f.init}
        hints = typing.get_type_hints(hint)
        required = {n: deferred(hints[n]) for n, f in fields.items() if is_required(f)}
        optional = {n: deferred(hints[n]) for n, f in fields.items() if not is_required(f)}
        return st.fixed_dictionaries(required, optional=optional)
    if origin is tuple:
        if args[-1] is Ellipsis:
            return st.lists(deferred(args[0]), max_size=3)
        return st.tuples(*(deferred(arg) for arg in args)).map(list)
    if origin is dict:
        return st.dictionaries(TEXT, deferred(args[1]), max_size=3)
    if args:
        return st.one_of(*(deferred(arg) for arg in args))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return st.sampled_from([member.value for member in hint])
    known = {float: NUMBERS, int: NUMBERS, bool: st.booleans(), str: TEXT, NoneType: st.none()}
    return known.get(hint, ANYTHING)


def is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def deferred(hint: Any) -> st.SearchStrategy[Any]:
    """Mostly what is asked for."""
    return st.one_of(*[st.deferred(lambda: nearly(hint))] * 6, ANYTHING)


@pytest.mark.parametrize("kind", READ_FROM_OUTSIDE)
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_json_value_becomes_the_object_or_an_error_of_the_tree(
    kind: str, data: st.DataObject
) -> None:
    """Whatever a file says: gigantic integers, NaN, lists for numbers, text of 5,000 signs."""
    cls = READ_FROM_OUTSIDE[kind]
    if isinstance(cls, str):
        pytest.importorskip("torch", reason="needs the extra 'train'")
        module, _, name = cls.partition(":")
        cls = getattr(importlib.import_module(module), name)
    value = data.draw(nearly(cls) | ANYTHING)
    try:
        from_json_dict(cls, value, "here")
    except BharError as error:
        message = str(error)
    else:
        message = "fine"
    assert "\n" not in message
    assert len(message) < 1000


@dataclasses.dataclass(frozen=True)
class Fragile:
    size: int = 0
    scale: float = 0.0

    def __post_init__(self) -> None:
        if self.size == 3:
            raise OverflowError("int too large to convert to float")
        if self.scale == 3:
            raise InputError("scale: got 3, expected less")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"scale": 10**400}, r"here\.scale: got a huge number"),
        ({"size": -(10**400)}, r"here\.size: got a huge number"),
        ({"size": 3}, r"here: damaged \(int too large"),
        ({"scale": 3}, r"^here: scale: got 3"),
        ({"x" * 100_000: 3}, r"unknown key 'xxx"),
    ],
)
def test_a_number_too_large_for_its_field_is_one_short_line(
    data: dict[str, Any], message: str
) -> None:
    """With the path of the key, whichever check it was that could not work with it."""
    with pytest.raises(InputError, match=message) as info:
        from_json_dict(Fragile, data, "here")
    assert len(str(info.value)) < 200


@pytest.mark.parametrize("version", [10**400, "1" * 10_000, [[]], True, 1.5])
def test_a_version_that_is_none_is_one_short_line(version: object) -> None:
    """Python refuses to print integers of thousands of digits."""
    with pytest.raises(IncompatibleError, match="expected 1: update") as info:
        check_version({"format_version": version}, 1, "here", "update")
    assert len(str(info.value)) < 200
