"""The golden check: this machine must compute what the exporting machine computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.bundle import GOLDEN, Bundle
from bharsdk.engines.engine import Backend, Engine, open_engine
from bharsdk.errors import BundleError, ParityError
from bharsdk.files.limits import MAX_GOLDEN_CLIPS, MAX_GOLDEN_WORK
from bharsdk.files.npy import decode_array, encode_array

__all__ = [
    "Golden",
    "GoldenResult",
    "check_engine",
    "encode_golden",
    "read_golden",
    "verify_bundle",
]

FloatArray = npt.NDArray[np.float32]

BATCH = 4
"""Golden clips that run at once."""


@dataclass(frozen=True, eq=False)
class Golden:
    """Golden clips: inputs by name, float32 [N, C, T, V, M], and logits, float32 [N, classes]."""

    inputs: Mapping[str, FloatArray]
    logits: FloatArray


@dataclass(frozen=True)
class GoldenResult:
    """The largest difference of a logit from the golden one.

    engine: the backend and how it runs, for people. clips: number of golden clips. tolerance:
    largest difference that the manifest allows.
    """

    engine: str
    clips: int
    max_abs_difference: float
    tolerance: float


def verify_bundle(bundle: Bundle, backend: Backend = Backend.AUTO) -> GoldenResult:
    """Replay the golden inputs of ``bundle`` in ``backend``.

    Raises ParityError when a logit differs by more than the manifest's tolerance or is not finite,
    BundleError when the bundle has no golden data or cannot run.
    """
    return check_engine(bundle, open_engine(bundle, backend))


def check_engine(bundle: Bundle, engine: Engine) -> GoldenResult:
    """Replay the golden inputs of ``bundle`` on ``engine``. Raises as :func:`verify_bundle`."""
    golden = read_golden(bundle, engine.golden_logits)
    work = engine.work * len(golden.logits)
    if work > MAX_GOLDEN_WORK:
        raise BundleError(
            f"{bundle.source}: got {len(golden.logits)} golden clips that take {work:.3g}"
            f" operations, expected at most {MAX_GOLDEN_WORK:.3g}"
        )
    difference = _largest_difference(engine, golden)
    tolerance = bundle.manifest.golden_tolerance
    # Negated, so that NaN fails too.
    if not difference <= tolerance:
        raise ParityError(
            f"{bundle.source}: {engine.name} is off the golden logits by {difference:.3g}, expected"
            f" at most {tolerance:.3g}: {engine.suspect} computes the model wrongly"
        )
    return GoldenResult(engine.name, len(golden.logits), difference, tolerance)


def _largest_difference(engine: Engine, golden: Golden) -> float:
    """Of a logit; NaN where one is. A few clips at a time: each of a batch takes memory."""
    found = []
    for i in range(0, len(golden.logits), BATCH):
        given = {name: clips[i : i + BATCH] for name, clips in golden.inputs.items()}
        # What does not compute to a number is found by the comparison, not told by numpy.
        with np.errstate(invalid="ignore", over="ignore"):
            found.append(np.abs(engine.run(given) - golden.logits[i : i + BATCH]).max())
    return float(np.max(found))


def encode_golden(golden: Golden) -> dict[str, bytes]:
    """Return the bundle files that hold ``golden``, by name."""
    arrays = {**golden.inputs, "logits": golden.logits}
    return {GOLDEN[name]: encode_array(array) for name, array in arrays.items()}


def read_golden(bundle: Bundle, logits_file: str = GOLDEN["logits"]) -> Golden:
    """Return the golden arrays. Raises BundleError if they are missing or do not fit."""
    manifest = bundle.manifest
    inputs = {
        name: _read_array(bundle, GOLDEN[name], shape)
        for name, shape in manifest.input_shapes.items()
    }
    logits = _read_array(bundle, logits_file, (len(manifest.labels),))
    for name, array in inputs.items():
        if not 0 < len(array) == len(logits) <= MAX_GOLDEN_CLIPS:
            raise BundleError(
                f"{bundle.source}: got {len(array)} golden clips of {name} and {len(logits)} of"
                f" logits, expected as many, and 1 to {MAX_GOLDEN_CLIPS}"
            )
    return Golden(inputs, logits)


def _read_array(bundle: Bundle, file: str, clip: tuple[int, ...]) -> FloatArray:
    """Clips of shape ``clip``, float32."""
    where = f"{bundle.source}: {file}"
    if file not in bundle.files:
        raise BundleError(f"{where} is missing, the bundle cannot be verified; export it again")
    return decode_array(bundle.files[file], clip, where)
