"""The step forms of a causal model: one frame in, state as inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from bhar_export.graph.exported_model import ExportedModel
from bhar_export.litert.target import convert_called
from bhar_export.step.form import StepModel, step_form, to_step_onnx
from bhar_export.targets import Target
from bharsdk.bundle.bundle import GOLDEN, STEP_LOGITS, STEP_MODEL, STEP_TFLITE, Precision
from bharsdk.engines.engine import Backend
from bharsdk.engines.onnx_step import LOGITS, NEXT, STATE, OnnxStep
from bharsdk.engines.tflite import TfliteModel

__all__ = ["build"]

FloatArray = npt.NDArray[np.float32]
Inputs = Mapping[str, FloatArray]


def build(
    target: Target, model: nn.Module, shapes: Mapping[str, tuple[int, ...]], precision: Precision
) -> ExportedModel:
    """Of the deployed ``model``, in float32, for a bundle of ``precision``: ONNX or TFLITE.

    shapes: of the clips that it reads, [C, T, V, M] by name. Raises UsageError for a model that has
    no step form or that LiteRT's converter refuses, BackendMissingError where that is missing.
    """
    step = step_form(model, shapes)
    # The golden logits of a quantized bundle are those of its integers.
    golden = GOLDEN["logits"] if precision is Precision.FP32 else STEP_LOGITS
    if target is Target.TFLITE:
        return _of_litert(step, golden)
    return _of_onnx(to_step_onnx(step).SerializeToString(deterministic=True), golden)


def _of_onnx(graph: bytes, golden: str) -> ExportedModel:
    runner = OnnxStep(graph)
    reset = runner.reset()

    def first(inputs: Inputs) -> None:
        runner.step({name: inputs[name][:, :, :1] for name in runner.frame}, reset)

    return ExportedModel(
        target=Target.ONNX,
        precision=Precision.FP32,
        files={STEP_MODEL: graph},
        reads=tuple(runner.frame),
        run=runner.run,
        backend=Backend.ONNX_STEP,
        golden=golden,
        step=first,
    )


class _ByName(nn.Module):
    """The step as LiteRT's converter takes it: tensors by names that are names in Python too."""

    def __init__(self, step: StepModel) -> None:
        super().__init__()
        self.step = step

    def forward(self, **tensors: Tensor) -> dict[str, Tensor]:
        """What the step reads -> what it gives, by name."""
        state = {name: tensors[_spelt(STATE, name)] for name in self.step.state}
        logits, after = self.step({name: tensors[name] for name in self.step.frame}, state)
        return {LOGITS: logits, **{_spelt(NEXT, name): x for name, x in after.items()}}


def _spelt(prefix: str, name: str) -> str:
    return (prefix + name).replace(".", "_")


def _of_litert(step: StepModel, golden: str) -> ExportedModel:
    reset = {_spelt(STATE, name): x for name, x in step.state.items()}
    flatbuffer = convert_called(_ByName(step), {**step.frame, **reset})
    model, names = TfliteModel(flatbuffer, STEP_TFLITE), list(step.frame)
    zeros = {name: x.numpy() for name, x in reset.items()}
    follows = {_spelt(STATE, name): _spelt(NEXT, name) for name in step.state}

    def frame(inputs: Inputs, i: int, t: int) -> dict[str, FloatArray]:
        of_one = {name: inputs[name][i : i + 1, :, t : t + 1] for name in names}
        return {name: np.ascontiguousarray(x) for name, x in of_one.items()}

    def run(inputs: Inputs) -> FloatArray:
        clips, _, frames, *_ = inputs[names[0]].shape
        logits = []
        for i in range(clips):
            state, given = zeros, {}
            for t in range(frames):
                given = model.call({**frame(inputs, i, t), **state})
                state = {name: given[after] for name, after in follows.items()}
            logits.append(given[LOGITS])
        return np.concatenate(logits)

    def first(inputs: Inputs) -> None:
        model.call({**frame(inputs, 0, 0), **zeros})

    return ExportedModel(
        target=Target.TFLITE,
        precision=Precision.FP32,
        files={STEP_TFLITE: flatbuffer},
        reads=tuple(names),
        run=run,
        backend=None,
        golden=golden,
        step=first,
    )
