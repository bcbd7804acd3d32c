"""What runs the model of a bundle: body, hands or both in, logits out.

A backend is one module with one class (an :class:`Engine`), one member of :class:`Backend` and one
case in :func:`open_engine`.
"""

from __future__ import annotations

import enum
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.bundle import NATIVE_NETWORK, STEP_MODEL, TFLITE_MODEL, Bundle
from bharsdk.errors import BackendMissingError, UsageError

__all__ = [
    "LISTED_BACKENDS",
    "Backend",
    "EmbeddingEngine",
    "Engine",
    "ModelStream",
    "Opening",
    "StreamingEngine",
    "backend_by_name",
    "backends_of",
    "embedding_engine",
    "model_files",
    "model_stream",
    "open_engine",
]

FloatArray = npt.NDArray[np.float32]


class Engine(Protocol):
    """A model that is loaded in a backend.

    "Engine" means nothing else in this package, and users never see the word: they choose a
    backend. (TensorRT calls the file that it builds an engine too.) An engine has no state, so
    several threads may use one at the same time.
    """

    @property
    def name(self) -> str:
        """The backend and how it runs, for people: ``native int8, avx512 vnni``."""
        ...

    @property
    def golden_logits(self) -> str:
        """The file of the bundle with the logits that the golden inputs must give."""
        ...

    @property
    def suspect(self) -> str:
        """What computes wrongly if the logits are not the golden ones, and what may help."""
        ...

    @property
    def work(self) -> float:
        """The number of multiply-adds of one clip, roughly; 0 if it is not known."""
        ...

    def run(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return the logits, float32 [N, classes].

        inputs: body float32 [N, C, T, 25, 1] and hands float32 [N, C, T, 21, 2], by name. N is any
        number; the manifest gives the other sizes. Inputs that the model does not read are ignored.
        Raises InputError when an input is missing or has another shape or dtype, BundleError when
        the model cannot run or returns something else than logits.
        """
        ...


@runtime_checkable
class EmbeddingEngine(Engine, Protocol):
    """An engine that also returns the features that the heads of its model classify."""

    def embed(self, inputs: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Return the logits and the embedding from one forward pass.

        logits: float32 [N, classes], the same as :meth:`run` returns. embedding: float32 [N, D],
        the features of each head, pooled over time, joints and persons, joined in the order of the
        heads. inputs: as of :meth:`run`. Raises BackendMissingError when the model has no
        embedding.
        """
        ...


class ModelStream(Protocol):
    """The state of one person in a causal model, which takes one new frame at a time.

    Made by :meth:`bharsdk.Recognizer.model_stream`. Streams share the model. Each belongs to one
    thread at a time.
    """

    def step(self, frame: Mapping[str, FloatArray]) -> FloatArray:
        """Take one more frame, and return the logits, float32 [classes].

        The logits are those of the clip of all frames since the last reset, within 1e-4.

        Args:
            frame: the model inputs of the frame by name, body float32 [C, 25, 1] and hands float32
                [C, 21, 2].

        Raises:
            InputError: an input is missing or has another shape or dtype.
        """
        ...

    def reset(self) -> None:
        """Forget all frames."""
        ...


@runtime_checkable
class StreamingEngine(Engine, Protocol):
    """An engine that runs a causal model frame by frame."""

    def stream(self) -> ModelStream:
        """Return a new stream. Raises UsageError if the model is not causal."""
        ...


def model_stream(engine: Engine) -> ModelStream:
    """Return a new stream of ``engine``.

    Raises UsageError if the model is not causal, BackendMissingError if the backend takes only
    whole clips.
    """
    if isinstance(engine, StreamingEngine):
        return engine.stream()
    raise BackendMissingError(
        f"the backend {engine.name} takes whole clips, expected one that takes single frames:"
        " run the bundle with backend='native' or 'onnx'"
    )


def embedding_engine(engine: Engine) -> EmbeddingEngine:
    """Return ``engine`` if it can embed. Raises BackendMissingError if it cannot."""
    if isinstance(engine, EmbeddingEngine):
        return engine
    raise BackendMissingError(
        f"the backend {engine.name} gives logits alone, and enrolled gestures need the features"
        " behind them: run the bundle with  --backend native  or  --backend onnx"
    )


@dataclass(frozen=True)
class Opening:
    """How a model is opened.

    Attributes:
        optimized: ONNX Runtime may fuse the graph.
        build: TensorRT may build its engine, which takes about a minute.
        vouched: the structure of the model was checked before.
    """

    optimized: bool = True
    build: bool = True
    vouched: bool = False


FileOf = Callable[[Bundle], str | None]


class Backend(enum.Enum):
    """What runs a model: name, module and model file. ``AUTO`` takes the fastest on this machine.

    The value is the name. module: below ``bharsdk.engines``; its function ``open_bundle(bundle,
    opening)`` loads the model, and is imported then. file: bundle -> the file that this backend
    runs; None if the bundle can have none.
    """

    AUTO = "auto", "", lambda bundle: None
    ONNX = "onnx", "onnx", lambda bundle: bundle.manifest.precision.model_file
    NATIVE = "native", "native", lambda bundle: NATIVE_NETWORK
    TFLITE = "tflite", "tflite", lambda bundle: TFLITE_MODEL
    TENSORRT = "tensorrt", "tensorrt", lambda bundle: bundle.tensorrt_file
    ONNX_STEP = "onnx-step", "onnx_step", lambda bundle: STEP_MODEL
    """ONNX Runtime, with the clips of a causal model frame by frame. ``bhar verify`` runs it;
    nothing lists it to users."""

    _value_: str
    module: str
    file: FileOf

    def __new__(cls, name: str, module: str = "", file: FileOf = lambda bundle: None) -> Backend:
        """Make one row of the table."""
        self = object.__new__(cls)
        self._value_, self.module, self.file = name, module, file
        return self


LISTED_BACKENDS: list[Backend] = [
    backend for backend in Backend if backend is not Backend.ONNX_STEP
]
"""The backends that messages and help list, in the order of :class:`Backend`."""


def backend_by_name(name: str | Backend) -> Backend:
    """Return the backend called ``name``. Raises UsageError if there is none."""
    try:
        return name if isinstance(name, Backend) else Backend(name)
    except ValueError:
        known = ", ".join(backend.value for backend in LISTED_BACKENDS)
        raise UsageError(f"backend: got {name!r}, expected one of {known}") from None


def backends_of(bundle: Bundle) -> list[Backend]:
    """Return the backends that ``bundle`` has a model for."""
    return [*model_files(bundle)]


def model_files(bundle: Bundle) -> dict[Backend, str]:
    """Return the model file of each backend that ``bundle`` has a model for."""
    own = {backend: backend.file(bundle) for backend in Backend}
    return {b: file for b, file in own.items() if file is not None and file in bundle.files}


def open_engine(
    bundle: Bundle,
    backend: Backend = Backend.AUTO,
    *,
    optimized: bool = True,
    build: bool = True,
    vouched: bool = False,
) -> Engine:
    """Load the model of ``bundle`` in ``backend``, and return it without a check of its results.

    :func:`bharsdk.engines.selection.choose_engine` checks them too. backend: AUTO takes the native
    network if the bundle has one, else ONNX Runtime. optimized: ONNX Runtime may fuse the graph.
    build: TensorRT may build its engine, which takes about a minute. vouched: the structure of the
    model was checked before (:func:`bharsdk.engines.trial.try_model`). Raises BundleError when the
    graph cannot be loaded or does not fit the manifest, BackendMissingError when the package that
    runs it is not installed.
    """
    if backend is Backend.AUTO:
        backend = Backend.NATIVE if NATIVE_NETWORK in bundle.files else Backend.ONNX
    module = importlib.import_module(f"bharsdk.engines.{backend.module}")
    opened: Engine = module.open_bundle(bundle, Opening(optimized, build, vouched))
    return opened
