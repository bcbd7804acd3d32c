"""Promises of the type checks at the public edge."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import pytest
from typing_extensions import TypeAliasType

from bharsdk.errors import InputError
from bharsdk.values.checks import typed

S = TypeVar("S", bound=np.generic)
NewArray: Any = TypeAliasType("NewArray", np.ndarray[Any, np.dtype[S]], type_params=(S,))
"""What ``numpy.typing.NDArray`` is from numpy 2.5 on."""


def test_an_array_passes_also_where_its_type_is_an_alias() -> None:
    array = np.zeros(3, np.float32)
    assert typed(NewArray[np.float32], array, "test: got") is array
    assert typed(NewArray[np.float32] | None, None, "test: got") is None
    with pytest.raises(InputError, match="test: got"):
        typed(NewArray[np.float32], "text", "test: got")
