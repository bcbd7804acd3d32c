"""The golden check: does this machine compute what the exporting machine computed?"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bharsdk.bundle import GOLDEN, Bundle
from bharsdk.engines import Backend, open_engine
from bharsdk.errors import BundleError, ParityError

__all__ = ["Golden", "GoldenResult", "encode_golden", "read_golden", "verify_bundle"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Golden:
    """body float32 [N, C, T, 25, 1], hands float32 [N, C, T, 21, 2], logits float32 [N, classes]."""

    body: FloatArray
    hands: FloatArray
    logits: FloatArray


@dataclass(frozen=True)
class GoldenResult:
    """How far the logits are from the golden ones. clips: N. tolerance: the manifest's."""

    engine: str
    clips: int
    max_abs_difference: float
    tolerance: float


def verify_bundle(bundle: Bundle, backend: Backend = Backend.AUTO) -> GoldenResult:
    """Replay the golden inputs of ``bundle``.

    Raises ParityError when a logit differs by more than the manifest's tolerance or is not finite,
    BundleError when the bundle has no golden data or cannot run.
    """
    golden = read_golden(bundle)
    engine = open_engine(bundle, backend)
    difference = float(np.abs(engine.run(golden.body, golden.hands) - golden.logits).max())
    tolerance = bundle.manifest.golden_tolerance
    # Negated, so that NaN fails too.
    if not difference <= tolerance:
        raise ParityError(
            f"{bundle.source}: {engine.name} is off the golden logits by {difference:.3g}, expected"
            f" at most {tolerance:.3g}; this machine or onnxruntime computes the model wrongly"
        )
    return GoldenResult(engine.name, len(golden.logits), difference, tolerance)


def encode_golden(golden: Golden) -> dict[str, bytes]:
    """The bundle files that hold ``golden``, by name."""
    files = {}
    for name, file in GOLDEN.items():
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.ascontiguousarray(getattr(golden, name)), (1, 0))
        files[file] = buffer.getvalue()
    return files


def read_golden(bundle: Bundle) -> Golden:
    """The golden arrays of ``bundle``; BundleError when they are missing or do not fit."""
    manifest = bundle.manifest
    arrays = {name: _read_array(bundle, file) for name, file in GOLDEN.items()}
    expected = {**manifest.input_shapes, "logits": (len(manifest.labels),)}
    for name, array in arrays.items():
        if array.shape[1:] != expected[name] or not 0 < len(array) == len(arrays["logits"]):
            raise BundleError(
                f"{bundle.source}: got golden {name} {list(array.shape)}, expected"
                f" [{len(arrays['logits'])}, {', '.join(map(str, expected[name]))}]"
            )
    return Golden(**arrays)


def _read_array(bundle: Bundle, file: str) -> FloatArray:
    """A float32 array in .npy format 1.0 whose header says exactly as much as there is."""
    where = f"{bundle.source}: {file}"
    if file not in bundle.files:
        raise BundleError(f"{where} is missing, the bundle cannot be verified; export it again")
    buffer = io.BytesIO(bundle.files[file])
    try:
        if np.lib.format.read_magic(buffer) != (1, 0):
            raise ValueError("another .npy version")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(buffer)
    # A hostile header may make the literal parser raise nearly anything.
    except Exception as error:
        raise BundleError(f"{where} is no .npy file, the bundle is damaged") from error
    data = buffer.read()
    if dtype != np.float32 or fortran_order or math.prod(shape) * 4 != len(data):
        raise BundleError(f"{where}: got {dtype} {shape} in {len(data)} bytes, expected float32")
    return np.frombuffer(data, np.float32).reshape(shape)
