"""Builds a TensorRT engine from the graph with explicit Q/DQ in a bundle.

Written against the Python API that TensorRT 10 and 11 and TensorRT-RTX share. On a Jetson the
module ``tensorrt`` builds for the GPU at hand; ``tensorrt_rtx`` builds for GPUs that are not there,
which is how ``bhar-export`` learns whether TensorRT accepts a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bharsdk.errors import BundleError

__all__ = ["build_engine"]

BATCH = 1
"""What a recognizer asks for, and the only size that is tuned."""
MAX_ERRORS = 3
"""Of the parser: the later ones follow from the first."""


def build_engine(
    trt: Any,
    model: bytes,
    shapes: Mapping[str, tuple[int, ...]],
    where: str,
    *,
    capability: str | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> bytes:
    """The serialized engine of the ONNX graph ``model``, for one clip at a time.

    trt: the module ``tensorrt`` or ``tensorrt_rtx``. shapes: of the inputs, without batch, by name.
    capability: of a GPU that need not be there, ``SM86`` (TensorRT-RTX alone); None: the one at
    hand. progress: told the phase and how far it is, 0 to 1. Raises BundleError, with the parser's
    reason, when TensorRT does not accept the graph or cannot build it.
    """
    messages = _logger(trt)
    builder = trt.Builder(messages)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, messages)
    if not parser.parse(model):
        count = min(parser.num_errors, MAX_ERRORS)
        reasons = "; ".join(" ".join(parser.get_error(i).desc().split()) for i in range(count))
        raise BundleError(f"{where}: TensorRT does not accept the graph: {reasons[:400]}")
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for i in range(network.num_inputs):
        name = network.get_input(i).name
        if name not in shapes:
            raise BundleError(f"{where}: got input {name!r}, expected {', '.join(shapes)}")
        shape = (BATCH, *shapes[name])
        profile.set_shape(name, shape, shape, shape)
    config.add_optimization_profile(profile)
    if capability is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0)
    if progress is not None and hasattr(trt, "IProgressMonitor"):
        config.progress_monitor = _monitor(trt, progress)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        reason = messages.last or "it does not say why"
        raise BundleError(f"{where}: TensorRT cannot build the graph: {reason}")
    return bytes(engine)


def _network_flags(trt: Any) -> int:
    """TensorRT 10 types a network by its graph only if asked; later ones know nothing else."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _logger(trt: Any) -> Any:
    class Messages(trt.ILogger):  # type: ignore[misc]
        """Keeps the last error, and prints nothing."""

        def __init__(self) -> None:
            super().__init__()
            self.last = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.last = " ".join(message.split())[:400]

    return Messages()


def _monitor(trt: Any, progress: Callable[[str, float], None]) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Phases nest; the outermost one that is open is told."""

        def __init__(self) -> None:
            super().__init__()
            self.open: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.open[phase] = max(1, steps)
            progress(phase, 0.0)

        def phase_finish(self, phase: str) -> None:
            self.open.pop(phase, None)

        def step_complete(self, phase: str, step: int) -> bool:
            if phase in self.open:
                progress(phase, (step + 1) / self.open[phase])
            return True

    return Monitor()
