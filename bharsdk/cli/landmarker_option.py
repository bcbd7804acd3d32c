"""``--landmarker NAME``: which landmarker finds the joints in pictures, for every command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

from bharsdk.values.declared import Cli, Help

if TYPE_CHECKING:
    from bharsdk.landmarkers.landmarker import Landmarker

__all__ = ["LandmarkerName", "opened"]

# The one place that knows the registry: LANDMARKERS, by name, and open_landmarker(name,
# max_persons). The option is there as soon as the module is.
REGISTRY = "bharsdk.landmarkers.registry"

LandmarkerName = Annotated[
    str | None,
    Help("what finds the joints in pictures; an unknown name lists all"),
    Cli(names=("--landmarker",), metavar="NAME", skip=find_spec(REGISTRY) is None),
]
"""The type of the option's field; None: the default one."""


@contextmanager
def opened(name: str | None, max_persons: int = 1) -> Iterator[Landmarker | None]:
    """Open the landmarker ``name`` for this block; None where there is no name.

    Raises UsageError on an unknown name.
    """
    if name is None:
        yield None
        return
    landmarker: Landmarker = import_module(REGISTRY).open_landmarker(name, max_persons)
    try:
        yield landmarker
    finally:
        landmarker.close()
