"""Loads ONNX graphs into ONNX Runtime: checked first, on one thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bharsdk.engines.onnx_sizes import GraphCost, check_graph_cost
from bharsdk.errors import BackendMissingError, BundleError
from bharsdk.files.untrusted import reading, reason_of

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["EMBEDDING", "check_onnx", "checked_session", "single_thread_session"]

EMBEDDING = "embedding"
"""The second output of a graph, which older ones lack: what its heads classify."""


_ERRORS_ONLY = 3


def single_thread_session(model: bytes, *, optimized: bool = True) -> onnxruntime.InferenceSession:
    """A CPU session that computes on the calling thread and never spins.

    optimized: let onnxruntime fuse nodes into its integer kernels; else it runs them as written.

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
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def check_onnx(model: bytes, where: str) -> GraphCost:
    """Return what a graph that is not trusted takes; BundleError if it is none that we would run.

    No library but Python sees it: see :mod:`bharsdk.engines.onnx_graph`.
    """
    with reading(f"{where} does not load", BundleError, expected="an ONNX graph"):
        return check_graph_cost(model)


def checked_session(
    model: bytes, where: str, *, optimized: bool = True
) -> onnxruntime.InferenceSession:
    """:func:`single_thread_session` of a graph that :func:`check_onnx` accepted.

    Raises BackendMissingError without onnxruntime, BundleError when the graph does not load.
    """
    try:
        return single_thread_session(model, optimized=optimized)
    except BackendMissingError:
        raise
    # onnxruntime's exceptions have no common base class of their own.
    except Exception as error:
        raise BundleError(f"{where} does not load: {reason_of(error)}") from error
