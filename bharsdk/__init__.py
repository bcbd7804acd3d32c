"""Recognizes body-and-hand actions from a camera, on the device.

::

    from bharsdk import Recognizer

    for result in Recognizer("words.bhar").run(source=0):
        print(result)

The names below are loaded when they are first used, so ``import bharsdk`` costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as of typing, which would have to be imported for it
if TYPE_CHECKING:
    from bharsdk.bundle.bundle import Bundle, load_bundle
    from bharsdk.errors import BharError
    from bharsdk.events import Event
    from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
    from bharsdk.recognition.results import Result
    from bharsdk.recognition.stream import Stream
    from bharsdk.recognizer import Recognizer

__all__ = [
    "BharError",
    "Bundle",
    "Event",
    "LandmarkSequence",
    "Landmarks",
    "Recognizer",
    "Result",
    "Stream",
    "__version__",
    "load_bundle",
]

__version__ = "0.1.0"

_HOME = {
    "BharError": "errors",
    "Bundle": "bundle.bundle",
    "Event": "events",
    "LandmarkSequence": "landmarks.landmarks",
    "Landmarks": "landmarks.landmarks",
    "Recognizer": "recognizer",
    "Result": "recognition.results",
    "Stream": "recognition.stream",
    "load_bundle": "bundle.bundle",
}


def __getattr__(name: str) -> object:
    if name == "_ops":  # asked for by  from bharsdk import _ops
        from bharsdk.kernels.compiled import load_compiled

        return load_compiled()
    if name not in _HOME:
        raise AttributeError(f"module 'bharsdk' has no attribute {name!r}")
    import importlib

    try:
        value: object = getattr(importlib.import_module(f"bharsdk.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        from bharsdk.kernels.compiled import explain_missing

        explain_missing(error)
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
