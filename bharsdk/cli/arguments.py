"""Options that several commands of ``bhar`` share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from bharsdk.values.declared import Cli, Help, Use

if TYPE_CHECKING:
    from bharsdk.bundle.bundle import Bundle
    from bharsdk.recognizer import Recognizer

__all__ = [
    "AUTO",
    "BACKEND",
    "BACKENDS",
    "BUNDLE",
    "DEFAULT_MODEL",
    "HIDDEN_BACKENDS",
    "SESSION_SUFFIX",
    "ModelOptions",
    "open_recognizer",
]

DEFAULT_MODEL = "asl-coffee-prgcn"
"""The smallest, the fastest, and the one that is right most often."""

# Values of ``Backend`` and ``session_file``; here too, so that ``--help`` need not import numpy.
# (held by a test)
AUTO = "auto"
BACKENDS = (AUTO, "native", "onnx", "tflite", "tensorrt")
HIDDEN_BACKENDS = ("onnx-step",)
"""They work, and are for those who develop bharsdk."""
SESSION_SUFFIX = ".bhar-session"

BACKEND = Cli(choices=BACKENDS, hidden=HIDDEN_BACKENDS, old=("--device",))
"""Of every option that names what runs a model."""
BUNDLE = Help("path of a bundle, or the name of a shipped one (see  bhar models)")


@dataclass(frozen=True)
class ModelOptions:
    """Which model runs, and on what."""

    model: Annotated[str, BUNDLE, Cli(metavar="MODEL", file=Use.READ)] = DEFAULT_MODEL
    backend: Annotated[
        str,
        Help(
            "what runs the model; auto measures at the first start what is the fastest here (kept"
            " in ~/.cache/bharsdk; BHAR_CACHE=0 measures at each start)"
        ),
        BACKEND,
    ] = AUTO
    require: Annotated[
        bool,
        Help(
            "end with exit code 7 or 8 where a backend computes something else than the exporter"
            " did, or cannot run; without it, a warning says what runs in its place"
        ),
    ] = False


def open_recognizer(bundle: str | Bundle, backend: str, **options: Any) -> Recognizer:
    """Return the recognizer of a command line: the one place that names its arguments."""
    from bharsdk.recognizer import Recognizer

    return Recognizer(bundle, backend=backend, **options)
