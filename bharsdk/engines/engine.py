"""What runs a bundle's graph: body, hands or both in, logits out; some give what they classify too.

A back end is one module with one class, one member of :class:`Backend` and one case in
:func:`open_engine`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.bundle import NATIVE_NETWORK, STEP_MODEL, TFLITE_MODEL, Bundle
from bharsdk.errors import BackendMissingError, UsageError, assert_never

__all__ = [
    "Backend",
    "EmbeddingEngine",
    "Engine",
    "backend_by_name",
    "backends_of",
    "embedding_engine",
    "model_files",
    "open_engine",
]

FloatArray = npt.NDArray[np.float32]


class Engine(Protocol):
    """A loaded model. Stateless: one engine may be used by several threads at once."""

    @property
    def name(self) -> str:
        """What runs, for people: ``native int8, avx512 vnni``."""
        ...

    @property
    def golden_logits(self) -> str:
        """The file of the bundle whose logits it must give for the golden inputs."""
        ...

    @property
    def suspect(self) -> str:
        """Who it is that computes wrongly if the golden logits are missed; any way out."""
        ...

    @property
    def work(self) -> float:
        """Multiply-adds that one clip takes, roughly; 0 where that is not known."""
        ...

    def run(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Logits float32 [N, classes].

        inputs: body float32 [N, C, T, 25, 1], hands float32 [N, C, T, 21, 2], by name. N is free,
        the rest is the manifest's; what its graph does not read is passed over. Raises InputError
        when one that it reads is missing or of another shape or dtype, BundleError when the model
        cannot be run or makes something else.
        """
        ...


@runtime_checkable
class EmbeddingEngine(Engine, Protocol):
    """One that also gives the features which the heads of its model classify."""

    def embed(self, inputs: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """(logits float32 [N, classes], embedding float32 [N, D]) of one pass over the network.

        The embedding is what each head classifies, pooled over time, joints and persons, side by
        side in the order of the heads. inputs: as of :meth:`run`, whose logits these are. Raises
        BackendMissingError when this model or its file has none.
        """
        ...


def embedding_engine(engine: Engine) -> EmbeddingEngine:
    """``engine``, if it embeds. Raises BackendMissingError if its kind does not."""
    if isinstance(engine, EmbeddingEngine):
        return engine
    raise BackendMissingError(
        f"{engine.name} gives logits alone, and enrolled gestures need the features behind them:"
        " run the bundle with  --device native  or  --device onnx"
    )


class Backend(enum.Enum):
    """What may run a graph."""

    AUTO = "auto"
    ONNX = "onnx"
    NATIVE = "native"
    TFLITE = "tflite"
    TENSORRT = "tensorrt"
    ONNX_STEP = "onnx-step"
    """ONNX Runtime, clips of a causal model frame by frame."""


def backend_by_name(name: str) -> Backend:
    """The back end called ``name``; UsageError if there is none."""
    try:
        return Backend(name)
    except ValueError:
        known = ", ".join(backend.value for backend in Backend)
        raise UsageError(f"device: got {name!r}, expected one of {known}") from None


def backends_of(bundle: Bundle) -> list[Backend]:
    """Those that ``bundle`` has a model for."""
    return [*model_files(bundle)]


def model_files(bundle: Bundle) -> dict[Backend, str]:
    """Of each back end that ``bundle`` has a model for, the file that says so."""
    own = {
        Backend.ONNX: bundle.manifest.precision.model_file,
        Backend.ONNX_STEP: STEP_MODEL,
        Backend.NATIVE: NATIVE_NETWORK,
        Backend.TFLITE: TFLITE_MODEL,
        Backend.TENSORRT: bundle.tensorrt_file,
    }
    return {b: file for b, file in own.items() if file is not None and file in bundle.files}


def open_engine(
    bundle: Bundle,
    backend: Backend = Backend.AUTO,
    *,
    optimized: bool = True,
    build: bool = True,
    vouched: bool = False,
) -> Engine:
    """The engine for ``bundle``, unproven: see :func:`bharsdk.engines.selection.choose_engine`.

    optimized: lets ONNX Runtime fuse the graph. build: lets TensorRT build an engine, a minute or
    so. vouched: the structure of its model was looked at before
    (:func:`bharsdk.engines.trial.try_model`). AUTO takes the native network if the bundle has one,
    else ONNX Runtime. Raises BundleError when the graph cannot be loaded or does not fit the
    manifest, and BackendMissingError when the package that runs it is not installed.
    """
    match backend:
        case Backend.AUTO:
            found = Backend.NATIVE if NATIVE_NETWORK in bundle.files else Backend.ONNX
            return open_engine(bundle, found, optimized=optimized, build=build, vouched=vouched)
        case Backend.NATIVE:
            from bharsdk.engines.native import NativeEngine

            return NativeEngine(bundle)
        case Backend.ONNX:
            from bharsdk.engines.onnx import OnnxEngine

            return OnnxEngine(bundle, optimized=optimized, vouched=vouched)
        case Backend.ONNX_STEP:
            from bharsdk.engines.onnx_step import OnnxStepEngine

            return OnnxStepEngine(bundle)
        case Backend.TFLITE:
            from bharsdk.engines.tflite import TfliteEngine

            return TfliteEngine(bundle)
        case Backend.TENSORRT:
            from bharsdk.engines.tensorrt import TensorrtEngine

            return TensorrtEngine(bundle, build=build)
        case _:
            assert_never(backend)
