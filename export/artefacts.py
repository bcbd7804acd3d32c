"""What one export makes: forms of the model that can each run alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bharsdk.bundle import Precision
from bharsdk.engines.onnx import single_thread_session

__all__ = ["INTEGER_FORMS", "NATIVE", "NATIVE_INT8", "Artefact", "onnx_artefact"]

FloatArray = npt.NDArray[np.float32]

NATIVE, NATIVE_INT8 = "native", "native-int8"
"""The artefacts that bharsdk's own kernels run; others are named by their precision."""

INTEGER_FORMS = (Precision.INT8.value, NATIVE_INT8)
"""Those that lose accuracy, and have to show how much."""


@dataclass(frozen=True, eq=False)
class Artefact:
    """One form of a model. name: in reports. files: of the bundle, by name. reads: its inputs.

    run: inputs by name, those of ``reads`` or more -> logits float32 [N, classes].
    """

    name: str
    files: Mapping[str, bytes]
    reads: tuple[str, ...]
    run: Callable[[Mapping[str, FloatArray]], FloatArray]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files.values()))


def onnx_artefact(precision: Precision, model: bytes) -> Artefact:
    """An ONNX graph under ONNX Runtime."""
    session = single_thread_session(model)
    reads = tuple(value.name for value in session.get_inputs())

    def run(inputs: Mapping[str, FloatArray]) -> FloatArray:
        logits: FloatArray = session.run(["logits"], {name: inputs[name] for name in reads})[0]
        return logits

    return Artefact(precision.value, {precision.model_file: model}, reads, run)
