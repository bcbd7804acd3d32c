"""LiteRT's packages: found, or refused by name, and quiet."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from bhar_training.console.quiet import quiet
from bharsdk.errors import BackendMissingError
from bharsdk.process.silence import STDERR, STDOUT, quiet_outputs

__all__ = ["imported", "silent"]


def imported(name: str) -> Any:
    """The module of that name. Raises BackendMissingError where its package is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendMissingError(
            f"target tflite needs {name.split('.')[0]}:  pip install 'bharsdk[export]'"
        ) from error


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Their C++ tells stories on both outputs, errors that are none among them."""
    with quiet(), quiet_outputs(STDOUT, STDERR):
        yield
