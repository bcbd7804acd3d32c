"""The backend ``tflite``: LiteRT runs ``model.tflite``, on the calling thread.

A full INT8 model reads and returns bytes. This module converts them, with the scales of the model.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.bundle import GOLDEN, TFLITE_LOGITS, TFLITE_MODEL, Bundle
from bharsdk.engines.engine import Opening
from bharsdk.engines.inputs import checked_inputs
from bharsdk.engines.running import checked_rows, running
from bharsdk.engines.tflite_graph import check_tflite
from bharsdk.errors import BackendMissingError, BundleError
from bharsdk.files.untrusted import reading, reason_of
from bharsdk.process.silence import STDERR, quiet_outputs

__all__ = ["TfliteEngine", "TfliteModel", "open_bundle"]

FloatArray = npt.NDArray[np.float32]

PREDECESSOR = "tflite-runtime"
THREADS = 1
BATCH = 1
"""LiteRT's models have one batch size; single clips are what a recognizer asks for."""


class TfliteModel:
    """A model in memory: inputs by name, ``logits`` out. May be shared between threads.

    runtime: ``litert``, or ``tflite-runtime``, its predecessor, where nothing else is installed.

    Raises BackendMissingError when LiteRT is not installed, BundleError when it refuses the model.
    """

    def __init__(self, model: bytes, where: str) -> None:
        self._where = where
        with reading(f"{where} does not load", BundleError, expected="a LiteRT model"):
            check_tflite(model)
        self.runtime, interpreter = _interpreter_class()
        try:
            with quiet_outputs(STDERR):  # it announces itself
                self._interpreter = interpreter(model_content=model, num_threads=THREADS)
                self._runner = self._interpreter.get_signature_runner()
        # LiteRT's exceptions are plain ValueErrors and RuntimeErrors.
        except Exception as error:
            raise BundleError(f"{where} does not load: {reason_of(error)}") from error
        self._inputs = self._runner.get_input_details()
        self._outputs = self._runner.get_output_details()
        self._lock = threading.Lock()

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the inputs, without batch, by name."""
        return {name: _shape(of) for name, of in self._inputs.items()}

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the outputs, without batch, by name."""
        return {name: _shape(of) for name, of in self._outputs.items()}

    @property
    def integer(self) -> bool:
        """Whether its inputs are bytes."""
        return any(of["dtype"] == np.int8 for of in self._inputs.values())

    def run(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return the logits, float32 [N, classes]. inputs: [N, ...], by name."""
        count = len(next(iter(inputs.values())))
        with self._lock:
            return np.concatenate([self._one(inputs, i) for i in range(count)])

    def call(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Return all outputs by name, for inputs [1, ...]: for models with several outputs."""
        with self._lock, running(self._where, "LiteRT"):
            results = self._runner(**{name: inputs[name] for name in self._inputs})
        return {name: np.asarray(result, np.float32) for name, result in results.items()}

    def _one(self, inputs: Mapping[str, FloatArray], i: int) -> FloatArray:
        with running(self._where, "LiteRT"):
            # A row that is not contiguous would be read as if it were.
            fed = {
                name: _quantized(np.ascontiguousarray(inputs[name][i : i + BATCH]), of)
                for name, of in self._inputs.items()
            }
            ((name, result),) = self._runner(**fed).items()
            return _real(result, self._outputs[name])


class TfliteEngine:
    """An :class:`bharsdk.engines.engine.Engine` of the backend ``tflite``.

    Raises BackendMissingError if the bundle has no such model or LiteRT is not installed,
    BundleError if the model is not what the manifest says.
    """

    def __init__(self, bundle: Bundle) -> None:
        where = f"{bundle.source}: {TFLITE_MODEL}"
        if TFLITE_MODEL not in bundle.files:
            raise BackendMissingError(
                f"{bundle.source} has no LiteRT model: export it with  --target tflite"
            )
        self._model = TfliteModel(bundle.files[TFLITE_MODEL], where)
        self._shapes = bundle.manifest.input_shapes
        self._golden = TFLITE_LOGITS if TFLITE_LOGITS in bundle.files else GOLDEN["logits"]
        self._where, self._classes = where, len(bundle.manifest.labels)
        got = self._model.inputs, list(self._model.outputs.values())
        expected = self._shapes, [(self._classes,)]
        if got != expected:
            raise BundleError(f"{where}: got inputs and outputs {got}, expected {expected}")

    @property
    def name(self) -> str:
        """``litert`` or ``tflite-runtime``, and the type of its inputs."""
        return f"{self._model.runtime} {'int8' if self._model.integer else 'fp32'}"

    @property
    def work(self) -> float:
        """Not known: LiteRT does not say."""
        return 0.0

    @property
    def golden_logits(self) -> str:
        """The file of its own logits if it is quantized, else of the graph's."""
        return self._golden

    @property
    def suspect(self) -> str:
        """The machine or the runtime. For tflite-runtime it names the package to install."""
        if self._model.runtime == PREDECESSOR:
            return f"{PREDECESSOR}, outdated (run  pip install ai-edge-litert),"
        return "this machine or LiteRT"

    def run(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return the logits, float32 [N, classes]. inputs: those of the model, by name."""
        fed = checked_inputs(inputs, self._shapes)
        logits = self._model.run(fed)
        return checked_rows(
            logits, len(next(iter(fed.values()))), self._classes, self._where, "logits"
        )


def _shape(of: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(n) for n in of["shape"][1:])


def _quantized(x: FloatArray, of: Mapping[str, Any]) -> npt.NDArray[Any]:
    """``x`` as the input ``of`` takes it, by LiteRT's 8-bit quantization specification."""
    if of["dtype"] != np.int8:
        return x
    scale, zero = of["quantization"]
    steps: FloatArray = np.rint(x / np.float32(scale)) + np.float32(zero)
    return np.clip(steps, -128, 127).astype(np.int8)


def _real(x: npt.NDArray[Any], of: Mapping[str, Any]) -> FloatArray:
    if of["dtype"] != np.int8:
        return np.asarray(x, np.float32)
    scale, zero = of["quantization"]
    return (x.astype(np.float32) - np.float32(zero)) * np.float32(scale)


def _interpreter_class() -> tuple[str, Any]:
    """(its name, LiteRT's interpreter or its predecessor's).

    The last tflite-runtime, 2.14, is from 2023, for numpy below 2 and Python below 3.12. Where it
    computes an operator otherwise than LiteRT it does not say so; golden data do. Of PR-GCN in INT8
    it takes the same decisions (x86-64), though a logit may be off by a tenth of the largest.
    """
    known = {"litert": "ai_edge_litert.interpreter", PREDECESSOR: "tflite_runtime.interpreter"}
    for name, module in known.items():
        with contextlib.suppress(ImportError):
            return name, importlib.import_module(module).Interpreter
    raise BackendMissingError(
        "LiteRT is not installed, which runs  --target tflite:  pip install 'bharsdk[tflite]'"
    )


def open_bundle(bundle: Bundle, opening: Opening) -> TfliteEngine:
    """Load the model of ``bundle``. Raises what :class:`TfliteEngine` raises."""
    return TfliteEngine(bundle)
