"""What to export, from what, to what: the arguments of one export, checked once."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.bundle.precision import Precision
from bharsdk.errors import UsageError
from bharsdk.values.declared import Range, check_ranges

__all__ = [
    "DECODERS",
    "GPUS",
    "MAX_DROP",
    "MIN_CALIBRATION_CLIPS",
    "DataSpec",
    "ExportSpec",
    "Target",
]

MIN_CALIBRATION_CLIPS = 300
"""Fewer clips than this leave ranges that the next signer exceeds: a warning."""

MAX_DROP = Range(0, 100, "points")
"""Of top-1 that INT8 may lose."""

GPUS = ("SM86", "SM120")
"""That TensorRT-RTX builds for: of Orin's generation (8.7 itself it lacks) and of Thor's."""

DECODERS = {
    "words": DecoderConfig(min_movement=0.05),
    "spelling": DecoderConfig(enter_threshold=0.5, patience_s=0.2, min_duration_s=0.2),
}
"""Decoder configurations by name. A pose that is held does not move by 0.05; of 2,130 clips of
signs, by two signers, every one moves by 0.06 or more. Letters follow one another without a pause
and return soon, so they end sooner than words, and a shape that the hand only passes through is
none. Chosen with a small network on letters strung together, of a signer it had not seen: an entry
at 0.5 lost fewest letters, patience hardly mattered, and longer than 0.2 s loses fast letters."""


class Target(enum.Enum):
    """Where the bundle will run."""

    ONNX = "onnx"
    """CPUs, run by ONNX Runtime. Every bundle has this form: it is what the others must equal."""
    NATIVE = "native"
    """bharsdk's own kernels."""
    TFLITE = "tflite"
    """Phones and small boards, run by LiteRT."""
    JETSON = "jetson"
    """TensorRT, which builds its engine on the device, from a graph it accepts."""


@dataclass(frozen=True)
class DataSpec:
    """Labeled recordings. signers: only these; empty for all. fps: of layouts without time."""

    path: Path
    signers: tuple[str, ...] = ()
    fps: float = 15.0

    def __str__(self) -> str:
        return f"{self.path.name} ({', '.join(self.signers) or 'all signers'})"


@dataclass(frozen=True)
class ExportSpec:
    """One export. Raises UsageError when the parts contradict.

    checkpoint: folder of ``model.safetensors``. output: the bundle to write. targets: where it will
    run; ONNX is always made. gpus: for which TensorRT must accept its graph, as TensorRT-RTX names
    them. calibration: clips that set the ranges of INT8. evaluation: clips the
    accuracy gate counts; the calibration clips when None. max_drop_points: top-1, in points, that
    INT8 may lose. force: write a bundle that failed its gate, and mark it. keep_fp32: keep the
    float32 graph beside the INT8 one.
    """

    checkpoint: Path
    output: Path
    targets: tuple[Target, ...] = (Target.ONNX,)
    gpus: tuple[str, ...] = GPUS
    precision: Precision = Precision.FP32
    calibration: DataSpec | None = None
    evaluation: DataSpec | None = None
    max_drop_points: Annotated[float, MAX_DROP] = 1.0
    force: bool = False
    keep_fp32: bool = False
    name: str = ""
    license: str = "not stated"
    decoder: DecoderConfig = field(default_factory=lambda: DECODERS["words"])

    def __post_init__(self) -> None:
        if self.precision.in_integers and self.calibration is None:
            raise UsageError(
                f"{self.precision.value} needs real recordings to calibrate on: add --calib DATA,"
                " the training data"
            )
        if self.output.suffix != ".bhar":
            raise UsageError(f"--output: got {self.output.name!r}, expected a name ending in .bhar")
        check_ranges(self, "export", UsageError)
        if not self.output.absolute().parent.is_dir():
            raise UsageError(f"--output: {self.output.absolute().parent} is no folder, create it")

    @property
    def bundle_name(self) -> str:
        """The name in the manifest: ``name``, or else that of the output file."""
        return self.name or self.output.stem
