"""A causal model frame by frame: ONNX Runtime runs ``model.step.onnx``, on one thread.

The graph has no state of its own. It returns the state after a frame as ``next.NAME``, and reads it
again as ``state.NAME``. A state of zeros is a reset.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.bundle import GOLDEN, STEP_LOGITS, STEP_MODEL, Bundle
from bharsdk.engines.engine import Opening
from bharsdk.engines.inputs import checked_inputs
from bharsdk.engines.onnx_session import check_onnx, checked_session
from bharsdk.engines.running import checked_rows, running
from bharsdk.errors import BackendMissingError, BundleError, InputError

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["LOGITS", "NEXT", "STATE", "OnnxStep", "OnnxStepEngine", "OnnxStream", "open_bundle"]

FloatArray = npt.NDArray[np.float32]

STATE, NEXT, LOGITS = "state.", "next.", "logits"
MAX_STATE_BYTES = 16 << 20
"""Of one stream. The largest model, a BHaRNet-E with all its branches, needs far less."""


class OnnxStep:
    """A loaded step graph. Threads may share it, because the state is passed in and out.

    Raises BackendMissingError without onnxruntime, BundleError if it is no step graph.
    """

    def __init__(self, model: bytes, where: str = STEP_MODEL) -> None:
        self.work = check_onnx(model, where).work
        """Multiply-adds of one step."""
        self._where, self._session = where, checked_session(model, where)
        inputs = _shapes(self._session.get_inputs(), where)
        outputs = _shapes(self._session.get_outputs(), where)
        self._outputs = list(outputs)
        logits = outputs.pop(LOGITS, ())
        self.frame = {name: of for name, of in inputs.items() if not name.startswith(STATE)}
        self.state = {n.removeprefix(STATE): of for n, of in inputs.items() if n not in self.frame}
        leaves = {name.removeprefix(NEXT): of for name, of in outputs.items()}
        if len(logits) != 1 or leaves != self.state or len(leaves) != len(outputs):
            raise BundleError(
                f"{where}: got {len(self.state)} states and outputs {', '.join(self._outputs[:4])},"
                f" expected {LOGITS} and each {STATE}NAME again, as {NEXT}NAME"
            )
        (self.classes,) = logits
        if self.state_bytes > MAX_STATE_BYTES:
            raise BundleError(
                f"{where}: got a state of {self.state_bytes} bytes, expected {MAX_STATE_BYTES} or"
                " fewer"
            )

    @property
    def state_bytes(self) -> int:
        """Bytes of the state of one stream."""
        return 4 * sum(map(math.prod, self.state.values()))

    def reset(self, rows: int = 1) -> dict[str, onnxruntime.OrtValue]:
        """Return the state of ``rows`` streams before their first frame."""
        zeros = {name: np.zeros((rows, *of), np.float32) for name, of in self.state.items()}
        return {name: _value(array) for name, array in zeros.items()}

    def step(
        self, frame: Mapping[str, FloatArray], state: Mapping[str, onnxruntime.OrtValue]
    ) -> tuple[FloatArray, dict[str, onnxruntime.OrtValue]]:
        """Take one frame of N streams, and return logits [N, classes] and the next state.

        frame: float32 [N, C, 1, V, M] by name. state: as the last step or :meth:`reset` returned.
        """
        fed = {name: _value(np.ascontiguousarray(frame[name])) for name in self.frame}
        fed |= {STATE + name: value for name, value in state.items()}
        # As they are: what is not read here is not copied.
        with running(self._where, "onnxruntime"):
            results = self._session.run_with_ort_values(self._outputs, fed)
            found = dict(zip(self._outputs, results, strict=True))
            logits = found.pop(LOGITS).numpy()
        rows = len(frame[next(iter(self.frame))])
        logits = checked_rows(logits, rows, self.classes, self._where, LOGITS)
        return logits, {name.removeprefix(NEXT): value for name, value in found.items()}

    def run(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return the last logits [N, classes] of clips [N, C, T, V, M], each from a new state."""
        clips = {name: inputs[name] for name in self.frame}
        n, _, frames, *_ = next(iter(clips.values())).shape
        state, logits = self.reset(n), np.zeros((n, self.classes), np.float32)
        for t in range(frames):
            logits, state = self.step({k: x[:, :, t : t + 1] for k, x in clips.items()}, state)
        return logits


class OnnxStepEngine:
    """An :class:`bharsdk.engines.engine.Engine` that takes clips frame by frame.

    Raises BackendMissingError if the bundle has no step graph, BundleError if the graph is not what
    the manifest says.
    """

    def __init__(self, bundle: Bundle) -> None:
        if STEP_MODEL not in bundle.files:
            raise BackendMissingError(
                f"{bundle.source} has no step form: train its model with  bhar-train fit --causal"
                "  and export it again"
            )
        where = f"{bundle.source}: {STEP_MODEL}"
        self._step = OnnxStep(bundle.files[STEP_MODEL], where)
        self._shapes = bundle.manifest.input_shapes
        self._golden = STEP_LOGITS if STEP_LOGITS in bundle.files else GOLDEN["logits"]
        got = self._step.frame, self._step.classes
        frame = {name: (c, 1, *rows) for name, (c, _, *rows) in self._shapes.items()}
        expected = frame, len(bundle.manifest.labels)
        if got != expected:
            raise BundleError(f"{where}: got inputs and classes {got}, expected {expected}")

    @property
    def name(self) -> str:
        """``onnxruntime, frame by frame``."""
        return "onnxruntime, frame by frame"

    @property
    def work(self) -> float:
        """The multiply-adds of all frames of a clip."""
        frames: int = next(iter(self._shapes.values()))[1]
        return frames * self._step.work

    @property
    def golden_logits(self) -> str:
        """The file of its own logits beside a quantized graph, else of the graph's."""
        return self._golden

    @property
    def suspect(self) -> str:
        """The machine, or the runtime."""
        return "this machine or onnxruntime"

    def run(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return the logits, float32 [N, classes]. inputs: those of the graph, by name."""
        return self._step.run(checked_inputs(inputs, self._shapes))

    def stream(self) -> OnnxStream:
        """Return a new stream."""
        return OnnxStream(self._step)


class OnnxStream:
    """The state of one person. Streams share the graph. One thread at a time may use each."""

    def __init__(self, step: OnnxStep) -> None:
        self._step = step
        self._frames, self._state = 0, step.reset()

    @property
    def frames(self) -> int:
        """The number of frames since the last reset."""
        return self._frames

    def step(self, frame: Mapping[str, FloatArray]) -> FloatArray:
        """Take one more frame: see :class:`bharsdk.engines.engine.ModelStream`.

        After an InputError the state stays as it was.
        """
        missing = sorted(set(self._step.frame) - set(frame))
        if missing:
            raise InputError(f"stream: got inputs {sorted(frame)}, {missing[0]} is missing")
        for name, (channels, _, *rows) in self._step.frame.items():
            x, expected = frame[name], (channels, *rows)
            if x.dtype != np.float32 or x.shape != expected:
                raise InputError(
                    f"stream: got {name} {x.dtype} {list(x.shape)}, expected float32"
                    f" {list(expected)}"
                )
        fed = {name: frame[name][None, :, None] for name in self._step.frame}
        logits, self._state = self._step.step(fed, self._state)
        self._frames += 1
        row: FloatArray = logits[0]
        return row

    def reset(self) -> None:
        """Forget all frames."""
        self._frames, self._state = 0, self._step.reset()


def _shapes(values: list[onnxruntime.NodeArg], where: str) -> dict[str, tuple[int, ...]]:
    """Without batch, by name; all that is not float32, or free beyond the batch, is refused."""
    found = {}
    for value in values:
        shape = tuple(value.shape[1:])
        fixed = all(isinstance(n, int) and n > 0 for n in shape)
        if value.type != "tensor(float)" or not shape or not fixed:
            raise BundleError(
                f"{where}: got {value.name} {value.type} {value.shape}, expected tensor(float) of a"
                " shape that is fixed but for the batch"
            )
        found[value.name] = shape
    return found


def _value(array: FloatArray) -> onnxruntime.OrtValue:
    import onnxruntime

    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def open_bundle(bundle: Bundle, opening: Opening) -> OnnxStepEngine:
    """Load the model of ``bundle``. Raises what :class:`OnnxStepEngine` raises."""
    return OnnxStepEngine(bundle)
