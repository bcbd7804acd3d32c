"""The backend ``tensorrt``: TensorRT runs the model on a Jetson or another NVIDIA GPU.

It reads ``model.qdq.onnx`` or ``model.fp16.onnx``. At the first load it builds a file, which
TensorRT calls an engine. That takes about a minute. The file is kept beside the bundle
(:mod:`bharsdk.engines.tensorrt_cache`).
"""

from __future__ import annotations

import hashlib
import importlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.bundle import GOLDEN, QDQ_LOGITS, Bundle
from bharsdk.engines.engine import Opening
from bharsdk.engines.inputs import checked_inputs
from bharsdk.engines.onnx_session import check_onnx
from bharsdk.engines.running import running
from bharsdk.engines.tensorrt_build import BATCH, build_engine
from bharsdk.engines.tensorrt_cache import (
    EngineKey,
    engine_path,
    load_engine,
    machine_id,
    store_engine,
)
from bharsdk.errors import BackendMissingError, BundleError, IncompatibleError, InputError

__all__ = ["TensorrtEngine", "open_bundle"]

FloatArray = npt.NDArray[np.float32]
Say = Callable[[str], None]

RELEASE = Path("/etc/nv_tegra_release")
"""Of JetPack's board support: its first line names the release."""


class TensorrtEngine:
    """An :class:`bharsdk.engines.engine.Engine` of the backend ``tensorrt``.

    say: called with lines that say why TensorRT builds its engine, and how far it is. build:
    whether it may build one. ``not_kept``: why a new engine could not be written, or None.

    Raises BackendMissingError if the bundle has no graph for TensorRT, if TensorRT is not
    installed, or if no kept engine fits and ``build`` is False. Raises IncompatibleError without a
    GPU, BundleError when TensorRT refuses the graph.
    """

    def __init__(self, bundle: Bundle, say: Say = lambda line: None, *, build: bool = True) -> None:
        file = bundle.tensorrt_file
        if file is None:
            raise BackendMissingError(
                f"{bundle.source} has no graph for TensorRT: export it with  --target jetson --int8"
            )
        where, self._precision = f"{bundle.source}: {file}", bundle.manifest.precision.value
        self._where = where
        self._shapes, self._classes = bundle.manifest.input_shapes, len(bundle.manifest.labels)
        self._golden = QDQ_LOGITS if QDQ_LOGITS in bundle.files else GOLDEN["logits"]
        self._trt, self._cuda = _libraries()
        self.not_kept: InputError | None = None
        check_onnx(bundle.files[file], where)
        self._lock = threading.Lock()
        serialized = self._kept_or_built(bundle.source, bundle.files[file], where, say, build=build)
        logger = self._trt.Logger(self._trt.Logger.ERROR)
        self._runtime = self._trt.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(serialized)
        if self._engine is None:
            raise BundleError(f"{where}: TensorRT does not load the engine it built; remove it")
        self._context = self._engine.create_execution_context()
        self._stream = self._done(self._cuda.cudaStreamCreate())
        sizes = {**self._shapes, "logits": (self._classes,)}
        self._memory = {
            name: self._done(self._cuda.cudaMalloc(4 * BATCH * int(np.prod(shape))))
            for name, shape in sizes.items()
        }
        for name, address in self._memory.items():
            if name in self._shapes:
                self._context.set_input_shape(name, (BATCH, *self._shapes[name]))
            self._context.set_tensor_address(name, int(address))

    @property
    def name(self) -> str:
        """``tensorrt``, its version, and the precision."""
        return f"tensorrt {self._trt.__version__} {self._precision}"

    @property
    def work(self) -> float:
        """Not known: TensorRT does not say."""
        return 0.0

    @property
    def golden_logits(self) -> str:
        """The file of the logits of the graph with TensorRT's Q/DQ."""
        return self._golden

    @property
    def suspect(self) -> str:
        """The machine, or the runtime."""
        return "this machine or TensorRT"

    def run(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return the logits, float32 [N, classes]. inputs: those of the graph, by name."""
        fed = checked_inputs(inputs, self._shapes)
        count = len(next(iter(fed.values())))
        with self._lock, running(self._where, "TensorRT"):
            return np.stack([self._one({n: x[i] for n, x in fed.items()}) for i in range(count)])

    def _one(self, clip: Mapping[str, FloatArray]) -> FloatArray:
        cuda, kinds = self._cuda, self._cuda.cudaMemcpyKind
        held = {name: np.ascontiguousarray(x) for name, x in clip.items()}
        for name, x in held.items():
            self._copy(self._memory[name], x.ctypes.data, x.nbytes, kinds.cudaMemcpyHostToDevice)
        if not self._context.execute_async_v3(int(self._stream)):
            raise BundleError("TensorRT could not run the engine; remove it to build it anew")
        logits = np.empty(self._classes, np.float32)
        back = kinds.cudaMemcpyDeviceToHost
        self._copy(logits.ctypes.data, self._memory["logits"], logits.nbytes, back)
        self._done(cuda.cudaStreamSynchronize(self._stream))
        return logits

    def _copy(self, to: Any, of: Any, size: int, kind: Any) -> None:
        self._done(self._cuda.cudaMemcpyAsync(to, of, size, kind, self._stream))

    def _kept_or_built(
        self, source: str, model: bytes, where: str, say: Say, *, build: bool
    ) -> bytes:
        key = self._key(model)
        path = engine_path(Path(source))
        kept, reason = load_engine(path, key)
        if kept is not None:
            return kept
        if not build:
            raise BackendMissingError(f"{path.name}: {reason}: build it with  bhar build")
        say(f"{path.name}: {reason}: TensorRT builds it, once")
        built = build_engine(
            self._trt,
            model,
            self._shapes,
            where,
            progress=lambda phase, part: say(f"{phase}: {100 * part:.0f} %"),
        )
        if path.parent.is_dir():
            try:
                store_engine(path, key, built)
            except InputError as error:  # it runs all the same, until the process ends
                self.not_kept = error
                say(str(error))
        return built

    def _key(self, model: bytes) -> EngineKey:
        gpu = self._done(self._cuda.cudaGetDeviceProperties(0))
        name = gpu.name.decode() if isinstance(gpu.name, bytes) else str(gpu.name)
        release = RELEASE.read_text().splitlines()[:1] if RELEASE.is_file() else []
        return EngineKey(
            model_sha256=hashlib.sha256(model).hexdigest(),
            precision=self._precision,
            tensorrt=str(self._trt.__version__),
            gpu=name,
            compute_capability=f"{gpu.major}.{gpu.minor}",
            jetpack="".join(release)[:100],
            machine=machine_id(),
        )

    def _done(self, result: tuple[Any, ...]) -> Any:
        """The value of a CUDA call, whose error comes first."""
        error, *values = result
        if int(error) != 0:
            raise IncompatibleError(f"CUDA says {error}: is there an NVIDIA GPU, and its driver?")
        return values[0] if values else None


def _libraries() -> tuple[Any, Any]:
    """TensorRT and CUDA's run time, as JetPack and NVIDIA's wheels bring them."""
    try:
        trt = importlib.import_module("tensorrt")
    except ImportError as error:
        raise BackendMissingError(
            "TensorRT is not installed: JetPack brings it (apt-get install python3-libnvinfer)"
        ) from error
    for name in ("cuda.bindings.runtime", "cuda.cudart"):
        try:
            return trt, importlib.import_module(name)
        except ImportError:
            continue
    raise BackendMissingError("CUDA's Python bindings are not installed: pip install cuda-python")


def open_bundle(bundle: Bundle, opening: Opening) -> TensorrtEngine:
    """Load the model of ``bundle``. Raises what :class:`TensorrtEngine` raises."""
    return TensorrtEngine(bundle, build=opening.build)
