"""What one export reads, makes and demands. Imports no numpy: the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from bhar_export.targets import Target
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
]

MIN_CALIBRATION_CLIPS = 300
"""An export warns below this: the next signer would exceed the ranges of so few clips."""

MAX_DROP = Range(0, 100, "points")
"""Of top-1 that INT8 may lose."""

GPUS = ("SM86", "SM120")
"""GPUs for which TensorRT-RTX checks the graph: one of Orin's generation, and Thor's. It does not
know Orin's own, 8.7."""

DECODERS = {
    "words": DecoderConfig(min_movement=0.05),
    "spelling": DecoderConfig(enter_threshold=0.5, patience_s=0.2, min_duration_s=0.2),
}
"""Decoder configurations by name.

``words``: a held pose moves by less than 0.05. Each of 2,130 clips of signs, by two signers, moves
by 0.06 or more. ``spelling``: letters follow without a pause and return soon, so they end sooner
than words. ``min_duration_s`` leaves out shapes that the hand only passes through. The values were
chosen with a small network on strings of letters, of a signer that it had not seen. An entry at 0.5
lost the fewest letters; patience hardly mattered; more than 0.2 s loses fast letters."""


@dataclass(frozen=True)
class DataSpec:
    """Name labeled recordings.

    signers: only these; empty for all. fps: frames a second of layouts without time.
    """

    path: Path
    signers: tuple[str, ...] = ()
    fps: float = 15.0

    def __str__(self) -> str:
        return f"{self.path.name} ({', '.join(self.signers) or 'all signers'})"


@dataclass(frozen=True)
class ExportSpec:
    """Describe one export.

    checkpoint: folder of ``model.safetensors``. output: the bundle to write. targets: where it will
    run; ONNX is always made. gpus: TensorRT must accept the graph for these, as TensorRT-RTX names
    them. precision: number format of the graph. calibration: clips that set the ranges of INT8.
    evaluation: clips of the accuracy gate; None: the calibration clips. max_drop_points: top-1, in
    points, that INT8 may lose. force: write a bundle that failed its gate, and mark it. keep_fp32:
    keep the float32 graph beside the INT8 one. name: in the manifest; empty: the output's. license:
    of the training data, for the card. decoder: rules over time.

    Raises UsageError when the parts contradict each other.
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
        """Return the name in the manifest: ``name``, or else the output file's."""
        return self.name or self.output.stem
