"""LiteRT (formerly TensorFlow Lite) as a peer: what ``bhar-export --target tflite`` makes.

Converted by litert-torch, quantized by ai-edge-quantizer, run with XNNPACK on one thread.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from bharsdk.engines.tflite import TfliteModel

__all__ = ["installed", "run_by"]

Array = npt.NDArray[np.float32]
NAMES = "ai_edge_litert", "litert_torch", "ai_edge_quantizer"


def installed() -> bool:
    """The run time and both converters."""
    return all(importlib.util.find_spec(name) is not None for name in NAMES)


def run_by(flatbuffer: bytes, inputs: Mapping[str, Array]) -> Callable[[], Array]:
    """A call runs the network on ``inputs``."""
    model = TfliteModel(flatbuffer, "LiteRT")
    model.run(inputs)
    return lambda: model.run(inputs)
