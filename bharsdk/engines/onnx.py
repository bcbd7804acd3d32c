"""Runs the graph of the manifest's precision, ``model*.onnx``, with ONNX Runtime, on one thread."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bharsdk.bundle import GOLDEN, STEP_MODEL, Bundle
from bharsdk.engines.inputs import checked_inputs
from bharsdk.errors import BackendMissingError, BundleError, UsageError

if TYPE_CHECKING:
    import onnxruntime

    from bharsdk.engines.onnx_step import OnnxStepEngine, OnnxStream

__all__ = ["EMBEDDING", "OnnxEngine", "checked_session", "single_thread_session"]

FloatArray = npt.NDArray[np.float32]

_EXTERNAL_LOCATION = b"\x0a\x08location\x12"
"""How a tensor kept in another file names it: field 1 of StringStringEntryProto. A graph
in a bundle is whole; one that points elsewhere would make the runtime read that path."""

EMBEDDING = "embedding"
"""The second output of a graph, which older ones lack: what its heads classify."""

_ERRORS_ONLY = 3


def single_thread_session(model: bytes, *, optimised: bool = True) -> onnxruntime.InferenceSession:
    """A CPU session that computes on the calling thread and never spins.

    optimised: let onnxruntime fuse nodes into its integer kernels; else it runs them as written.

    The machine belongs to the landmarker; more threads would only take it away. Raises
    BackendMissingError without onnxruntime, and whatever onnxruntime raises on a bad graph.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendMissingError(
            "onnxruntime is not installed: run  pip install bharsdk"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def checked_session(
    model: bytes, where: str, *, optimised: bool = True
) -> onnxruntime.InferenceSession:
    """:func:`single_thread_session` of a graph that is not trusted; ``where`` names it.

    Raises BackendMissingError without onnxruntime, BundleError when the graph does not load.
    """
    if _EXTERNAL_LOCATION in model:
        raise BundleError(f"{where} keeps weights in another file, expected one whole")
    try:
        return single_thread_session(model, optimised=optimised)
    except BackendMissingError:
        raise
    # onnxruntime's exceptions have no common base class of their own.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise BundleError(f"{where} does not load: {reason}") from error


class OnnxEngine:
    """See :class:`bharsdk.engines.Engine`. Raises BundleError if the graph is not what it says."""

    def __init__(self, bundle: Bundle, *, optimised: bool = True) -> None:
        self._precision = bundle.manifest.precision
        self._optimised = optimised
        self._shapes = bundle.manifest.input_shapes
        self._where = f"{bundle.source}: {self._precision.model_file}"
        self._bundle = bundle
        self._session = checked_session(bundle.model, self._where, optimised=optimised)
        self._check_graph(len(bundle.manifest.labels))

    @property
    def name(self) -> str:
        """``onnxruntime``, the precision, and whether its integer kernels had to be left out."""
        return f"onnxruntime {self._precision.value}" + ("" if self._optimised else ", not fused")

    @property
    def golden_logits(self) -> str:
        """Those of the graph."""
        return GOLDEN["logits"]

    @property
    def suspect(self) -> str:
        """The machine, or the runtime."""
        return "this machine or onnxruntime"

    def run(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Logits float32 [N, classes] of ``inputs``, those of the graph by name."""
        fed = checked_inputs(inputs, self._shapes)
        logits: FloatArray = self._session.run(["logits"], fed)[0]
        return logits

    def embed(self, inputs: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Logits and embedding: see :class:`bharsdk.engines.EmbeddingEngine`.

        Raises BackendMissingError when the graph has no such output.
        """
        if EMBEDDING not in self._outputs:
            raise BackendMissingError(
                f"{self._where} has no output {EMBEDDING!r}: export the model again, or run its"
                " native network with  --device native"
            )
        fed = checked_inputs(inputs, self._shapes)
        logits, embedding = self._session.run(["logits", EMBEDDING], fed)
        return logits, embedding

    def stream(self) -> OnnxStream:
        """A new stream, frame by frame. Raises UsageError if the bundle has no step form."""
        if STEP_MODEL not in self._bundle.files:
            raise UsageError(
                f"{self._bundle.source} has no step form: train its model with"
                "  bhar-train fit --causal  and export it again"
            )
        return self._steps.stream()

    @cached_property
    def _steps(self) -> OnnxStepEngine:
        from bharsdk.engines.onnx_step import OnnxStepEngine

        return OnnxStepEngine(self._bundle)

    def _check_graph(self, classes: int) -> None:
        """Raise BundleError unless names, types and shapes are those the manifest implies."""
        got = {i.name: (i.type, i.shape) for i in self._session.get_inputs()}
        outputs = {o.name: (o.type, o.shape) for o in self._session.get_outputs()}
        self._outputs, got = frozenset(outputs), got | outputs
        expected = {**self._shapes, "logits": (classes,)}
        if EMBEDDING in outputs:
            expected[EMBEDDING] = tuple(outputs[EMBEDDING][1][1:])
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
