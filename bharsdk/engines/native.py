"""Runs ``native/``: bharsdk's own kernels, on the calling thread."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from bharsdk.bundle import NATIVE_NETWORK, NATIVE_WEIGHTS, Bundle
from bharsdk.engines.inputs import checked_inputs
from bharsdk.engines.network import build_network
from bharsdk.errors import BackendMissingError, BundleError

__all__ = ["NativeEngine"]

FloatArray = npt.NDArray[np.float32]


class NativeEngine:
    """See :class:`bharsdk.engines.Engine`.

    Raises BackendMissingError if the bundle has no native network, BundleError if it is not what
    the manifest says.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._shapes = bundle.manifest.input_shapes
        where = f"{bundle.source}: {NATIVE_NETWORK}"
        if NATIVE_NETWORK not in bundle.files or NATIVE_WEIGHTS not in bundle.files:
            raise BackendMissingError(
                f"{bundle.source} has no native network: export it with  --target native"
            )
        self._network = build_network(
            bundle.files[NATIVE_NETWORK], bundle.files[NATIVE_WEIGHTS], where
        )
        expected = list(self._shapes.values()), len(bundle.manifest.labels)
        got = [tuple(shape) for shape in self._network.sources], self._network.classes
        if got != expected:
            raise BundleError(f"{where}: got inputs and classes {got}, expected {expected}")

    @property
    def name(self) -> str:
        """``native fp32`` and the instruction set that runs."""
        return f"native fp32, {self._network.isa}"

    def run(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """Logits float32 [N, classes] of ``inputs``, those of the network by name."""
        fed = checked_inputs(inputs, self._shapes)
        return self._network.run([np.ascontiguousarray(array) for array in fed.values()])
