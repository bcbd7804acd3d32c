"""The backend ``onnx``: ONNX Runtime runs ``model*.onnx``, on one thread."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.bundle import GOLDEN, STEP_MODEL, Bundle
from bharsdk.engines.engine import Opening
from bharsdk.engines.inputs import checked_inputs
from bharsdk.engines.onnx_session import EMBEDDING, check_onnx, checked_session
from bharsdk.engines.onnx_step import OnnxStepEngine, OnnxStream
from bharsdk.engines.running import checked_rows, running
from bharsdk.errors import BackendMissingError, BundleError, UsageError

__all__ = ["OnnxEngine", "open_bundle"]

FloatArray = npt.NDArray[np.float32]


class OnnxEngine:
    """An :class:`bharsdk.engines.engine.Engine` of the backend ``onnx``.

    optimized, vouched: see :func:`bharsdk.engines.engine.open_engine`. Raises BundleError if the
    graph does not fit the manifest.
    """

    def __init__(self, bundle: Bundle, *, optimized: bool = True, vouched: bool = False) -> None:
        self._precision = bundle.manifest.precision
        self._optimized = optimized
        self._shapes = bundle.manifest.input_shapes
        self._where = f"{bundle.source}: {self._precision.model_file}"
        self._bundle = bundle
        self._work = 0.0 if vouched else check_onnx(bundle.model, self._where).work
        self._session = checked_session(bundle.model, self._where, optimized=optimized)
        self._classes = len(bundle.manifest.labels)
        self._embedding = 0
        self._check_graph()

    @property
    def name(self) -> str:
        """``onnxruntime``, the precision, and ``not fused`` if its fused kernels are left out."""
        return f"onnxruntime {self._precision.value}" + ("" if self._optimized else ", not fused")

    @property
    def work(self) -> float:
        """The multiply-adds of one clip, plus eight for each value; 0 if ``vouched``."""
        return self._work

    @property
    def golden_logits(self) -> str:
        """The file of the logits of the graph."""
        return GOLDEN["logits"]

    @property
    def suspect(self) -> str:
        """The machine, or the runtime."""
        return "this machine or onnxruntime"

    def run(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return the logits, float32 [N, classes]. inputs: those of the graph, by name."""
        fed = checked_inputs(inputs, self._shapes)
        rows = len(next(iter(fed.values())))
        with running(self._where, "onnxruntime"):
            (logits,) = self._session.run(["logits"], fed)
        return checked_rows(logits, rows, self._classes, self._where, "logits")

    def embed(self, inputs: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Return logits and embedding: see :class:`bharsdk.engines.engine.EmbeddingEngine`.

        Raises BackendMissingError when the graph has no such output.
        """
        if not self._embedding:
            raise BackendMissingError(
                f"{self._where} has no output {EMBEDDING!r}: export the model again, or run its"
                " native network with  --backend native"
            )
        fed = checked_inputs(inputs, self._shapes)
        rows = len(next(iter(fed.values())))
        with running(self._where, "onnxruntime"):
            logits, embedding = self._session.run(["logits", EMBEDDING], fed)
        return (
            checked_rows(logits, rows, self._classes, self._where, "logits"),
            checked_rows(embedding, rows, self._embedding, self._where, EMBEDDING),
        )

    def stream(self) -> OnnxStream:
        """Return a new stream. Raises UsageError if the bundle has no step form."""
        if STEP_MODEL not in self._bundle.files:
            raise UsageError(
                f"{self._bundle.source} has no step form: train its model with"
                "  bhar-train fit --causal  and export it again"
            )
        return self._steps.stream()

    @cached_property
    def _steps(self) -> OnnxStepEngine:
        return OnnxStepEngine(self._bundle)

    def _check_graph(self) -> None:
        """Raise BundleError unless names, types and shapes are those the manifest implies."""
        got = {i.name: (i.type, i.shape) for i in self._session.get_inputs()}
        outputs = {o.name: (o.type, o.shape) for o in self._session.get_outputs()}
        got |= outputs
        expected = {**self._shapes, "logits": (self._classes,)}
        if EMBEDDING in outputs:
            record, shape = self._bundle.manifest.enrollment, outputs[EMBEDDING][1]
            self._embedding = shape[-1] if record is None else record.embedding
            if len(shape) != 2 or not isinstance(self._embedding, int):
                raise BundleError(f"{self._where}: got {EMBEDDING} {shape}, expected ['N', D]")
            expected[EMBEDDING] = (self._embedding,)
        if set(got) != set(expected):
            raise BundleError(
                f"{self._where}: got inputs and outputs {sorted(got)}, expected {sorted(expected)}"
            )
        for name, shape in expected.items():
            kind, dimensions = got[name]
            # The first axis is the batch: free, or fixed by a graph that runs single windows.
            if kind != "tensor(float)" or tuple(dimensions[1:]) != shape:
                raise BundleError(
                    f"{self._where}: got {name} {kind} {dimensions}, expected tensor(float)"
                    f" ['N', {', '.join(map(str, shape))}] from the manifest"
                )


def open_bundle(bundle: Bundle, opening: Opening) -> OnnxEngine:
    """Load the model of ``bundle``. Raises what :class:`OnnxEngine` raises."""
    return OnnxEngine(bundle, optimized=opening.optimized, vouched=opening.vouched)
