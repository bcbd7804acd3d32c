"""The golden check: this machine must compute what the exporting machine computed."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bharsdk.bundle import GOLDEN, Bundle
from bharsdk.engines import Backend, Engine, open_engine
from bharsdk.errors import BundleError, ParityError

__all__ = [
    "Golden",
    "GoldenResult",
    "check_engine",
    "encode_array",
    "encode_golden",
    "read_golden",
    "verify_bundle",
]

FloatArray = npt.NDArray[np.float32]

_NPY_MAGIC = b"\x93NUMPY\x01\x00"
_NPY_HEADER = re.compile(
    rb"\{'descr': '<f4', 'fortran_order': False, 'shape': \(((?:\d{1,9}, ?){0,5}\d{0,9})\), \} *\n"
)
"""What ``np.save`` writes for a float32 array. (numpy.lib.format, version 1.0)"""


@dataclass(frozen=True, eq=False)
class Golden:
    """float32: inputs of the graph [N, C, T, V, M], by name; logits [N, classes]."""

    inputs: Mapping[str, FloatArray]
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
    return check_engine(bundle, open_engine(bundle, backend))


def check_engine(bundle: Bundle, engine: Engine) -> GoldenResult:
    """Replay the golden inputs of ``bundle`` on ``engine``; raises as :func:`verify_bundle`."""
    golden = read_golden(bundle, engine.golden_logits)
    difference = float(np.abs(engine.run(golden.inputs) - golden.logits).max())
    tolerance = bundle.manifest.golden_tolerance
    # Negated, so that NaN fails too.
    if not difference <= tolerance:
        raise ParityError(
            f"{bundle.source}: {engine.name} is off the golden logits by {difference:.3g}, expected"
            f" at most {tolerance:.3g}: {engine.suspect} computes the model wrongly"
        )
    return GoldenResult(engine.name, len(golden.logits), difference, tolerance)


def encode_golden(golden: Golden) -> dict[str, bytes]:
    """The bundle files that hold ``golden``, by name."""
    arrays = {**golden.inputs, "logits": golden.logits}
    return {GOLDEN[name]: encode_array(array) for name, array in arrays.items()}


def encode_array(array: FloatArray) -> bytes:
    """``array`` as a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def read_golden(bundle: Bundle, logits_file: str = GOLDEN["logits"]) -> Golden:
    """The golden arrays of ``bundle``; BundleError when they are missing or do not fit."""
    manifest = bundle.manifest
    inputs = {
        name: _read_array(bundle, GOLDEN[name], shape)
        for name, shape in manifest.input_shapes.items()
    }
    logits = _read_array(bundle, logits_file, (len(manifest.labels),))
    for name, array in inputs.items():
        if not 0 < len(array) == len(logits):
            raise BundleError(
                f"{bundle.source}: got {len(array)} golden clips of {name}, expected {len(logits)}"
            )
    return Golden(inputs, logits)


def _read_array(bundle: Bundle, file: str, clip: tuple[int, ...]) -> FloatArray:
    """Clips of shape ``clip`` in .npy format 1.0, float32, whose header says what there is."""
    where = f"{bundle.source}: {file}"
    if file not in bundle.files:
        raise BundleError(f"{where} is missing, the bundle cannot be verified; export it again")
    data = bundle.files[file]
    # Read by hand: numpy allocates whatever a header claims before it looks at the data.
    header_size = int.from_bytes(data[8:10], "little")
    header, values = data[10 : 10 + header_size], data[10 + header_size :]
    found = _NPY_HEADER.fullmatch(header)
    shape = tuple(int(n) for n in found[1].split(b",") if n.strip()) if found else ()
    if not data.startswith(_NPY_MAGIC) or not shape or math.prod(shape) * 4 != len(values):
        raise BundleError(f"{where} is no float32 .npy file, the bundle is damaged")
    if shape[1:] != clip:
        raise BundleError(f"{where}: got shape {list(shape)}, expected [N, {str([*clip])[1:]}")
    return np.frombuffer(values, "<f4").reshape(shape).astype(np.float32, copy=False)
