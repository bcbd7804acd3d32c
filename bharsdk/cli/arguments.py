"""Arguments that several commands of ``bhar`` share."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from bharsdk.cli.names import some_text

__all__ = [
    "AUTO",
    "DEFAULT_MODEL",
    "DEVICES",
    "FOLDER_FPS",
    "MAX_PERSONS",
    "POLICIES",
    "RECONNECT_FOR_S",
    "SESSION_SUFFIX",
    "AddCommand",
    "add_model_arguments",
]

DEFAULT_MODEL = "asl-coffee-prgcn"
"""The smallest, the fastest, and the one that is right most often."""

# Values of ``Backend``, ``Backpressure``, ``SourceConfig``, ``people`` and ``session_file``; here
# too, so that ``--help`` need not import numpy. (held by a test)
AUTO = "auto"
DEVICES = (AUTO, "onnx", "native", "tflite", "tensorrt", "onnx-step")
POLICIES = ("latest", "drop_oldest", "wait")
RECONNECT_FOR_S = 30.0
FOLDER_FPS = 30.0
MAX_PERSONS = 8
SESSION_SUFFIX = ".bhar-session"

AddCommand = Callable[[str, str, Callable[[argparse.Namespace], int]], argparse.ArgumentParser]
"""Adds a command: its name, what it does, and its work, which returns an exit code."""


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model runs, and on what."""
    parser.add_argument(
        "--model",
        type=some_text,
        default=DEFAULT_MODEL,
        help="path of a bundle, or name of a shipped one (see  bhar models); default %(default)s",
    )
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default=AUTO,
        help="what runs the model; auto, the default, measures at the first start which of them is"
        " the fastest here (kept in ~/.cache/bharsdk; BHAR_CACHE=0 measures at each start)",
    )
    parser.add_argument(
        "--require",
        action="store_true",
        help="end with exit code 7 or 8 where a back end computes something else than the exporter"
        " did, or cannot run; without it, a warning says what runs in its place",
    )
