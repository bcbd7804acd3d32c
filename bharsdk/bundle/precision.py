"""The number formats that a model may run in. Imports nothing, so that ``--help`` is quick."""

from __future__ import annotations

import enum

__all__ = ["Precision"]


class Precision(enum.Enum):
    """The number format of the graph that runs."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    MIXED = "mixed"
    """INT8, but for layers that lose too much in it."""

    @property
    def model_file(self) -> str:
        """Return the name of the bundle's file with the graph of this precision."""
        return "model.onnx" if self is Precision.FP32 else f"model.{self.value}.onnx"

    @property
    def in_integers(self) -> bool:
        """Return whether layers compute in integers, which needs quantization ranges."""
        return self in (Precision.INT8, Precision.MIXED)
