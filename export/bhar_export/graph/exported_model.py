"""What one export makes: forms of the model that can each run alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bhar_export.targets import Target
from bharsdk.bundle.bundle import GOLDEN, Precision
from bharsdk.engines.engine import Backend
from bharsdk.engines.onnx_session import EMBEDDING, single_thread_session

__all__ = [
    "ExportedModel",
    "IntegerNodes",
    "Selection",
    "exported_onnx",
    "form_name",
    "onnx_runner",
]

FloatArray = npt.NDArray[np.float32]
Run = Callable[[Mapping[str, FloatArray]], FloatArray]
Embed = Callable[[Mapping[str, FloatArray]], tuple[FloatArray, FloatArray]]


def form_name(target: Target, precision: Precision, *, step: bool = False) -> str:
    """What reports call a form of the model: ``native-int8``, or a step form ``onnx-step-fp32``."""
    return f"{target.value}-{'step-' if step else ''}{precision.value}"


@dataclass(frozen=True)
class Selection:
    """What of a quantized form was measured and chosen; errors are relative (``Difference``).

    ranges: the method of its ranges. range_errors: method -> error, of all that were tried.
    in_float: layers left in float so that the gate passes -> error when that layer alone is in
    integers.
    """

    ranges: str
    range_errors: dict[str, float]
    in_float: dict[str, float]


@dataclass(frozen=True)
class IntegerNodes:
    """What of a quantized form really runs in integers.

    integer: nodes that multiply in integers. float_compute: names of nodes that multiply in
    float32. float_other: cheaper operators between float tensors, operator -> count, where the back
    end tells.
    """

    integer: int
    float_compute: tuple[str, ...]
    float_other: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """One form of a model. files: of the bundle, by name. reads: its inputs.

    run: inputs by name, those of ``reads`` or more -> logits float32 [N, classes]. backend: what
    replays it from the bundle; None where it cannot run on this machine. embed: the logits and the
    embedding float32 [N, D]; None where it gives none. golden: the file that
    holds its logits; a quantized form rounds in its own way and has its own. selection: what was
    chosen for it by measurement. step: of a step form, which ``run`` takes through whole clips: one
    frame of such inputs, to be timed. nodes: counts what of
    a quantized form runs in integers.
    """

    target: Target
    precision: Precision
    files: Mapping[str, bytes]
    reads: tuple[str, ...]
    run: Run
    backend: Backend | None
    golden: str = GOLDEN["logits"]
    selection: Selection | None = None
    nodes: Callable[[], IntegerNodes] | None = None
    step: Callable[[Mapping[str, FloatArray]], None] | None = None
    embed: Embed | None = None

    @property
    def name(self) -> str:
        """In reports."""
        return form_name(self.target, self.precision, step=self.step is not None)

    @property
    def quantized(self) -> bool:
        """Whether it loses accuracy, and has to show how much."""
        return self.precision is not Precision.FP32

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files.values()))


def exported_onnx(precision: Precision, model: bytes) -> ExportedModel:
    """An ONNX graph under ONNX Runtime."""
    reads, run, embed = onnx_runner(model)
    files = {precision.model_file: model}
    return ExportedModel(Target.ONNX, precision, files, reads, run, Backend.ONNX, embed=embed)


def onnx_runner(model: bytes) -> tuple[tuple[str, ...], Run, Embed | None]:
    """What ``model`` reads, and calls that run it under ONNX Runtime: see ExportedModel."""
    session = single_thread_session(model)
    reads = tuple(value.name for value in session.get_inputs())

    def run(inputs: Mapping[str, FloatArray]) -> FloatArray:
        logits: FloatArray = session.run(["logits"], {name: inputs[name] for name in reads})[0]
        return logits

    def embed(inputs: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        fed = {name: inputs[name] for name in reads}
        logits, embedding = session.run(["logits", EMBEDDING], fed)
        return logits, embedding

    embeds = EMBEDDING in {value.name for value in session.get_outputs()}
    return reads, run, embed if embeds else None
