"""The step forms of a causal model: one frame in, state as inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from torch import nn

from bhar_export.artefacts import Artefact
from bhar_export.spec import Target
from bhar_export.step_form import step_form, to_step_onnx
from bharsdk.bundle import GOLDEN, STEP_LOGITS, STEP_MODEL, Precision
from bharsdk.engines import Backend
from bharsdk.engines.onnx_step import OnnxStep

__all__ = ["build"]


def build(
    model: nn.Module, shapes: Mapping[str, tuple[int, ...]], precision: Precision
) -> list[Artefact]:
    """Of the deployed ``model``, in float32, for a bundle of ``precision``.

    shapes: of the clips that it reads, [C, T, V, M] by name. Raises UsageError for a model that has
    no step form.
    """
    graph = to_step_onnx(step_form(model, shapes)).SerializeToString(deterministic=True)
    # The golden logits of a quantised bundle are those of its integers.
    golden = GOLDEN["logits"] if precision is Precision.FP32 else STEP_LOGITS
    return [_artefact(graph, golden)]


def _artefact(graph: bytes, golden: str) -> Artefact:
    runner = OnnxStep(graph)
    reset = runner.reset()

    def first(inputs: Mapping[str, npt.NDArray[np.float32]]) -> None:
        runner.step({name: inputs[name][:, :, :1] for name in runner.frame}, reset)

    return Artefact(
        target=Target.ONNX,
        precision=Precision.FP32,
        files={STEP_MODEL: graph},
        reads=tuple(runner.frame),
        run=runner.run,
        backend=Backend.ONNX_STEP,
        golden=golden,
        step=first,
    )
