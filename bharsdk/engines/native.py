"""Runs ``native/``: bharsdk's own kernels, on the calling thread.

A causal model can also run frame by frame: a stream keeps what one person's frames so far have left
behind, and each new frame costs what it adds, whatever the length of the window.
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
from bharsdk.engines.inputs import checked_inputs
from bharsdk.engines.network import build_network
from bharsdk.engines.running import running
from bharsdk.errors import BackendMissingError, BundleError, InputError, UsageError
from bharsdk.files.limits import MAX_RUN_WORK

__all__ = ["NativeEngine", "NativeStream", "network_of"]

FloatArray = npt.NDArray[np.float32]


def network_of(files: Mapping[str, bytes], where: str = NATIVE_NETWORK) -> _ops.Network:
    """The network in the ``native/`` files of a bundle, in float32 or integers.

    where: names it in messages. Raises what :func:`bharsdk.engines.network.build_network` raises.
    """
    integers = files.get(NATIVE_INTEGERS, b"")
    return build_network(files[NATIVE_NETWORK], files[NATIVE_WEIGHTS], where, integers=integers)


class NativeEngine:
    """See :class:`bharsdk.engines.engine.Engine`.

    Raises BackendMissingError if the bundle has no native network, BundleError if it is not what
    the manifest says.
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
        """Multiply-adds of one clip, and eight for each value that is read or written."""
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
        """Those of the graph, or its own if it is quantized."""
        return self._golden

    @property
    def suspect(self) -> str:
        """The machine: nothing else has a part in it."""
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
        """How many frames an answer lags behind what it is about: none looks ahead."""
        return 0

    @property
    def warmup_frames(self) -> int:
        """Frames until an answer rests on as much as in training: the window."""
        return self._window

    def run(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Logits float32 [N, classes] of ``inputs``, those of the network by name.

        A causal network takes each clip as a stream, from a reset on, and gives its last logits.
        """
        fed = checked_inputs(inputs, self._shapes)
        with running(self._where, "bharsdk"):
            return self._network.run([np.ascontiguousarray(array) for array in fed.values()])

    def embed(self, inputs: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Logits and embedding: see :class:`bharsdk.engines.engine.EmbeddingEngine`.

        Raises BackendMissingError for a BHaRNet-P, whose heads classify what they never pool.
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
        """A new stream. Raises UsageError if the model is not causal."""
        if not self.causal:
            raise UsageError(
                "this model sees whole clips: train one with  bhar-train fit --causal  for streams"
            )
        return NativeStream(self._network, tuple(self._shapes))


class NativeStream:
    """The frames of one person. Streams share the network; each belongs to one thread at a time."""

    def __init__(self, network: _ops.Network, inputs: tuple[str, ...]) -> None:
        self._network, self._inputs, self._state = network, inputs, _ops.NetworkState()

    @property
    def frames(self) -> int:
        """How many came since the last reset."""
        return self._state.frames

    def step(self, frame: Mapping[str, FloatArray]) -> FloatArray:
        """Logits float32 [classes] after one more frame: body [C, V, 1], hands [C, V, 2], by name.

        They are those of the clip of all frames since the reset, within 1e-4. Raises InputError
        when an input is missing or has another shape or dtype.
        """
        missing = sorted(set(self._inputs) - set(frame))
        if missing:
            raise InputError(f"stream: got inputs {sorted(frame)}, {missing[0]} is missing")
        try:
            return self._network.step([frame[name] for name in self._inputs], self._state)
        except ValueError as error:
            raise InputError(f"stream: {error}") from error

    def reset(self) -> None:
        """As if no frame had come."""
        self._state.reset()
