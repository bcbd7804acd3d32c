"""``--landmarker NAME``: which landmarker finds the joints in pictures, for every command."""

from __future__ import annotations

from typing import Annotated

from bharsdk.values.declared import Cli, Help

__all__ = ["LandmarkerName"]

LandmarkerName = Annotated[
    str | None,
    Help("what finds the joints in pictures; an unknown name lists all"),
    Cli(names=("--landmarker",), metavar="NAME", default="body-hands"),
]
"""The type of the option: a name of :mod:`bharsdk.landmarkers.registry`; None: the default."""
