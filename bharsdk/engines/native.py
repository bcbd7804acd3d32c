"""The backend ``native``: bharsdk's own kernels, on the calling thread.

A causal model can also run frame by frame. A stream keeps the state of one person, so each new
frame costs the same, however long the window is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from bharsdk import _ops
from bharsdk.bundle.bundle import (
    GOLDEN,
    NATIVE_INTEGERS,
    NATIVE_LOGITS,
    NATIVE_NETWORK,
    NATIVE_WEIGHTS,
    Bundle,
)
from bharsdk.engines.engine import Opening
from bharsdk.engines.inputs import checked_inputs
from bharsdk.engines.network import build_network
from bharsdk.engines.running import running
from bharsdk.errors import BackendMissingError, BundleError, InputError, UsageError
from bharsdk.files.limits import MAX_RUN_WORK

__all__ = ["NativeEngine", "NativeStream", "network_of", "open_bundle"]

FloatArray = npt.NDArray[np.float32]


def network_of(files: Mapping[str, bytes], where: str = NATIVE_NETWORK) -> _ops.Network:
    """Build the network from the ``native/`` files of a bundle, in float32 or integers.

    where: its name in messages. Raises the errors of :func:`bharsdk.engines.network.build_network`.
    """
    integers = files.get(NATIVE_INTEGERS, b"")
    return build_network(files[NATIVE_NETWORK], files[NATIVE_WEIGHTS], where, integers=integers)


class NativeEngine:
    """An :class:`bharsdk.engines.engine.Engine` of the backend ``native``.

    Raises BackendMissingError if the bundle has no native network, BundleError if the network does
    not fit the manifest.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._shapes = bundle.manifest.input_shapes
        self._window = bundle.manifest.features.frames
        self._golden = NATIVE_LOGITS if NATIVE_LOGITS in bundle.files else GOLDEN["logits"]
        where = f"{bundle.source}: {NATIVE_NETWORK}"
        if NATIVE_NETWORK not in bundle.files or NATIVE_WEIGHTS not in bundle.files:
            raise BackendMissingError(
                f"{bundle.source} has no native network: export it with  --target native"
            )
        self._network = network_of(bundle.files, where)
        shapes = [
            (channels, 1 if self._network.causal else frames, *rows)
            for channels, frames, *rows in self._shapes.values()
        ]
        expected = shapes, len(bundle.manifest.labels)
        got = [tuple(shape) for shape in self._network.sources], self._network.classes
        if got != expected:
            raise BundleError(f"{where}: got inputs and classes {got}, expected {expected}")
        self._where, self._embedded = where, self._network.embedding_size
        record = bundle.manifest.enrollment
        if record is not None and self._embedded not in (0, record.embedding):
            raise BundleError(
                f"{where}: got an embedding of {self._embedded} numbers, expected"
                f" {record.embedding} by the manifest"
            )
        self._work = self._network.work * (self._window if self._network.causal else 1)
        if self._work > MAX_RUN_WORK:
            raise BundleError(
                f"{where}: got {self._work:.3g} operations for one clip, expected at most"
                f" {MAX_RUN_WORK:.3g}"
            )

    @property
    def work(self) -> float:
        """The multiply-adds of one clip, plus eight for each value that is read or written."""
        return self._work

    @property
    def name(self) -> str:
        """``native fp32`` or ``native int8``, how it runs, and the instruction set that runs."""
        network = self._network
        number = "fp32" if network.integers is None else "int8"
        causal = ", causal" if network.causal else ""
        return f"native {number}{causal}, {network.integers or network.isa}"

    @property
    def golden_logits(self) -> str:
        """The file of its own logits if it is quantized, else of the graph's."""
        return self._golden

    @property
    def suspect(self) -> str:
        """The machine: no other software takes part."""
        return "this machine"

    @property
    def causal(self) -> bool:
        """Whether it runs frame by frame."""
        return self._network.causal

    @property
    def receptive_field(self) -> int:
        """Frames that the convolutions of a causal model see, the newest included."""
        return self._network.receptive_field if self.causal else self._window

    @property
    def delay_frames(self) -> int:
        """The number of frames that the model looks ahead: none."""
        return 0

    @property
    def warmup_frames(self) -> int:
        """The number of frames until a result uses as many frames as in training: the window."""
        return self._window

    def run(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Return the logits, float32 [N, classes]. inputs: those of the network, by name.

        A causal network takes each clip frame by frame from a new state, and returns the logits of
        the last frame.
        """
        fed = checked_inputs(inputs, self._shapes)
        with running(self._where, "bharsdk"):
            return self._network.run([np.ascontiguousarray(array) for array in fed.values()])

    def embed(self, inputs: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Return logits and embedding: see :class:`bharsdk.engines.engine.EmbeddingEngine`.

        Raises BackendMissingError for a BHaRNet-P, which has no pooled features.
        """
        if self._embedded == 0:
            raise BackendMissingError(
                "this model classifies features that it never pools, so it has no embedding: use a"
                " bharnet-e, a single expert or a pr-gcn"
            )
        fed = checked_inputs(inputs, self._shapes)
        with running(self._where, "bharsdk"):
            return self._network.embed([np.ascontiguousarray(array) for array in fed.values()])

    def stream(self) -> NativeStream:
        """Return a new stream. Raises UsageError if the model is not causal."""
        if not self.causal:
            raise UsageError(
                "this model takes whole clips, so it has no streams: train one with"
                "  bhar-train fit --causal"
            )
        return NativeStream(self._network, tuple(self._shapes))


class NativeStream:
    """The state of one person. Streams share the network. One thread at a time may use each."""

    def __init__(self, network: _ops.Network, inputs: tuple[str, ...]) -> None:
        self._network, self._inputs, self._state = network, inputs, _ops.NetworkState()

    @property
    def frames(self) -> int:
        """The number of frames since the last reset."""
        return self._state.frames

    def step(self, frame: Mapping[str, FloatArray]) -> FloatArray:
        """Take one more frame: see :class:`bharsdk.engines.engine.ModelStream`."""
        missing = sorted(set(self._inputs) - set(frame))
        if missing:
            raise InputError(f"stream: got inputs {sorted(frame)}, {missing[0]} is missing")
        try:
            return self._network.step([frame[name] for name in self._inputs], self._state)
        except ValueError as error:
            raise InputError(f"stream: {error}") from error

    def reset(self) -> None:
        """Forget all frames."""
        self._state.reset()


def open_bundle(bundle: Bundle, opening: Opening) -> NativeEngine:
    """Load the model of ``bundle``. Raises what :class:`NativeEngine` raises."""
    return NativeEngine(bundle)
