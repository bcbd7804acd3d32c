"""LiteRT (formerly TensorFlow Lite) as a peer: the deployed torch model in float32 and in INT8.

Converted by litert-torch, quantised by ai-edge-quantizer, run with XNNPACK on one thread.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bhar_training.quiet import quiet

__all__ = ["convert", "installed", "quantize", "run_by"]

Array = npt.NDArray[np.float32]
Inputs = Mapping[str, Array]
NAMES = "ai_edge_litert", "litert_torch", "ai_edge_quantizer"
IN_FLOAT = "INPUT", "OUTPUT", "BATCH_MATMUL"
"""Both ends, as the other runtimes have them; XNNPACK has no INT8 product of two activations."""


def installed() -> bool:
    """The run time and both converters."""
    return all(importlib.util.find_spec(name) is not None for name in NAMES)


def convert(model: nn.Module, inputs: Inputs) -> bytes:
    """The flatbuffer of ``model`` for inputs of these shapes."""
    with _silent():
        import litert_torch

        examples = tuple(torch.from_numpy(array) for array in inputs.values())
        with _in_operators_that_it_has():
            flatbuffer: bytes = litert_torch.convert(model.eval(), examples).model_content()
    return flatbuffer


def quantize(flatbuffer: bytes, clips: Inputs) -> bytes:
    """INT8 weights and activations, ranges of ``clips``, one by one."""
    with _silent():
        from ai_edge_quantizer import quantizer, recipe
        from ai_edge_quantizer.calibrator import Calibrator
        from ai_edge_quantizer.utils import qsv_utils

        work = quantizer.Quantizer(flatbuffer)
        work.load_quantization_recipe(recipe.static_wi8_ai8())
        for operator in IN_FLOAT:
            work.update_quantization_recipe(".*", operator, algorithm_key="no_quantize")
        # Not Quantizer.calibrate: its moving averages cut the ranges.
        calibrator = Calibrator(flatbuffer, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
        each_clip = zip(*clips.values(), strict=True)
        samples = [_arguments([array[None] for array in clip]) for clip in each_clip]
        calibrator.calibrate({"serving_default": samples}, work._recipe_manager)
        result = work.quantize(calibrator.get_model_qsvs(), enable_progress_report=False)
    return bytes(result.quantized_model)


def run_by(flatbuffer: bytes, inputs: Inputs) -> Callable[[], Array]:
    """A call runs the network on ``inputs``."""
    with _silent():
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
        interpreter.allocate_tensors()
        runner = interpreter.get_signature_runner()
        arguments = _arguments(list(inputs.values()))
        runner(**arguments)

    def compute() -> Array:
        (logits,) = runner(**arguments).values()
        return logits

    return compute


def _arguments(arrays: list[Array]) -> dict[str, Array]:
    """As litert-torch names them."""
    return {f"args_{i}": array for i, array in enumerate(arrays)}


@contextlib.contextmanager
def _in_operators_that_it_has() -> Iterator[None]:
    """The same numbers in operators that LiteRT runs fast, while a model is converted.

    A product with constant matrices becomes FULLY_CONNECTED (a broadcast BATCH_MATMUL takes several
    times as long), an average of whole windows MEAN (with a ceiling, a REDUCE_WINDOW that the
    quantiser refuses), replicate padding CONCATENATION (GATHER_ND).
    """
    with (
        mock.patch("bhar_training.models.deployed.aggregate", _aggregate),
        mock.patch("bhar_training.models.prgcn.aggregate", _aggregate),
        mock.patch.object(F, "avg_pool2d", _average_of_whole_windows),
        mock.patch.object(F, "pad", _pad),
    ):
        yield


def _aggregate(values: Tensor, adjacency: Tensor) -> Tensor:
    parts = values.chunk(len(adjacency), dim=1)
    products = [F.linear(part, a.T) for part, a in zip(parts, adjacency, strict=True)]
    return sum(products[1:], products[0])


def _average_of_whole_windows(x: Tensor, size: tuple[int, int], **_: object) -> Tensor:
    n, c, _frames, v = x.shape
    return x.view(n, c, -1, size[0], v).mean(3)


def _pad(
    x: Tensor, sizes: tuple[int, ...], mode: str = "constant", value: float | None = None
) -> Tensor:
    if mode != "replicate":
        return torch.constant_pad_nd(x, sizes, value or 0.0)
    *_, before, after = sizes
    return torch.cat([x[:, :, :1]] * before + [x] + [x[:, :, -1:]] * after, dim=2)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Its C++ tells stories on standard error, errors that are none among them."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nothing, quiet():
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
