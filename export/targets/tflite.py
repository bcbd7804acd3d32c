"""Target ``tflite``: phones and small boards, run by LiteRT.

litert-torch converts the deployed torch model, ai-edge-quantizer quantises it: weights and
activations in eight bits, bytes in and out where the accuracy allows it.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bhar_export.artefacts import Artefact
from bhar_export.calibrate import LabelledFeatures
from bhar_export.graph import OfInputs
from bhar_export.litert_forms import InOperatorsOfLiteRt, litert_form
from bhar_export.spec import Target
from bhar_training.quiet import quiet
from bharsdk.bundle import GOLDEN, TFLITE_LOGITS, TFLITE_MODEL, Precision
from bharsdk.engines import Backend
from bharsdk.engines.tflite import TfliteModel
from bharsdk.errors import BackendMissingError, UsageError
from bharsdk.quiet import STDERR, STDOUT, quiet_outputs

__all__ = ["build", "convert", "convert_called", "quantize"]

FloatArray = npt.NDArray[np.float32]

MAX_CLIPS = 128
"""The calibrator reads every tensor of every clip: a quarter of a second for one of BHaRNet-E."""
IN_FLOAT = ("BATCH_MATMUL", "TANH", "SUB")
"""What refined topologies are made of, which differ from sample to sample: see ``sensitive.py``."""
COORDINATES = (
    ".*_input_norm.*",
    ".*/bhar_training.models.degcn.Block_0/.*StaticGraphConv.*",
    ".*/bhar_training.models.degcn.Block_0/.*_residual_graph.*",
    ".*PoseRefinement_refine.*",
    ".*TemporalConv_enter_(position|motion).*",
)
"""The same for coordinates, up to the first convolutions: modules, as the converter names them. In
eight bits a BHaRNet-E lost 20 points of top-1 on a new signer, with these in float none; the inputs
themselves are bytes all the same."""
DIFFERENCES = ".*PRGCN_net;.*", ("SLICE", "PAD", "PADV2")
"""And of PR-GCN's motion: what of a module subtracts coordinates of neighbouring frames."""


def build(
    model: nn.Module, shapes: Mapping[str, tuple[int, ...]], clips: LabelledFeatures | None
) -> list[Artefact]:
    """The deployed ``model`` in float32 and, with ``clips`` for its ranges, in INT8.

    shapes: of what it reads, without batch, by name. Raises BackendMissingError where the
    converters are not installed, UsageError for a model that they cannot convert.
    """
    flatbuffer = convert(model, shapes)
    made = [_artefact(Precision.FP32, flatbuffer)]
    if clips is not None:
        few = clips.evenly(MAX_CLIPS).batches(tuple(shapes), 1)
        made.append(_artefact(Precision.INT8, quantize(flatbuffer, few), TFLITE_LOGITS))
    return made


def convert(model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """The flatbuffer of the deployed ``model``, for one clip at a time."""
    examples = {name: torch.zeros(1, *shape) for name, shape in shapes.items()}
    return convert_called(OfInputs(model), examples)


def convert_called(model: nn.Module, examples: Mapping[str, torch.Tensor]) -> bytes:
    """The flatbuffer of ``model`` as it is called with ``examples``, by the same names."""
    with _silent():
        litert_torch = _imported("litert_torch")
        form = litert_form(copy.deepcopy(model)).eval()
        try:
            with InOperatorsOfLiteRt():
                converted = litert_torch.convert(form, (), sample_kwargs=dict(examples))
        # Its exceptions are those of torch, jax and MLIR, without a common class.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(
                f"target tflite: litert-torch cannot convert this: {reason}"
            ) from error
        return bytes(converted.model_content())


def quantize(flatbuffer: bytes, clips: Iterable[Mapping[str, FloatArray]]) -> bytes:
    """INT8 weights, per channel, and activations, their ranges from ``clips``.

    clips: what the model reads, one clip at a time, by name.
    """
    with _silent():
        quantizer = _imported("ai_edge_quantizer.quantizer")
        recipe = _imported("ai_edge_quantizer.recipe")
        calibrator_of = _imported("ai_edge_quantizer.calibrator").Calibrator
        updates = _imported("ai_edge_quantizer.utils.qsv_utils")
        work = quantizer.Quantizer(flatbuffer)
        work.load_quantization_recipe(recipe.static_wi8_ai8())
        for operator in IN_FLOAT:
            work.update_quantization_recipe(".*", operator, algorithm_key="no_quantize")
        for modules in COORDINATES:
            work.update_quantization_recipe(modules, "*", algorithm_key="no_quantize")
        module, operators = DIFFERENCES
        for operator in operators:
            work.update_quantization_recipe(module, operator, algorithm_key="no_quantize")
        # Not Quantizer.calibrate: its moving averages cut the ranges.
        calibrator = calibrator_of(
            flatbuffer, num_threads=1, qsv_update_func=updates.min_max_update
        )
        calibrator.calibrate({"serving_default": list(clips)}, work._recipe_manager)
        result = work.quantize(calibrator.get_model_qsvs(), enable_progress_report=False)
    return bytes(result.quantized_model)


def _artefact(precision: Precision, flatbuffer: bytes, golden: str = GOLDEN["logits"]) -> Artefact:
    model = TfliteModel(flatbuffer, TFLITE_MODEL)
    return Artefact(
        target=Target.TFLITE,
        precision=precision,
        files={TFLITE_MODEL: flatbuffer},
        reads=tuple(model.inputs),
        run=model.run,
        backend=Backend.TFLITE,
        golden=golden,
    )


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendMissingError(
            f"target tflite needs {name.split('.')[0]}:  pip install 'bharsdk[export]'"
        ) from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Their C++ tells stories on both outputs, errors that are none among them."""
    with quiet(), quiet_outputs(STDOUT, STDERR):
        yield
