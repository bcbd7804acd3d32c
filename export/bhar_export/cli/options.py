"""The options of ``bhar-export``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bhar_export.graph.spec import MAX_DROP
from bhar_export.targets import DEVICES, Target
from bharsdk.bundle.precision import Precision
from bharsdk.errors import UsageError
from bharsdk.files.limits import MAX_FPS
from bharsdk.values.declared import Cli, Help, Range, Use

__all__ = ["Export"]

TARGETS = (*(target.value for target in Target), "all")
Signers = Annotated[tuple[str, ...], Help("only these"), Cli(metavar="S,S", default="all")]


@dataclass(frozen=True)
class Export:
    """The options of ``bhar-export``. Raises UsageError if they contradict each other."""

    checkpoint: Annotated[
        Path,
        Help("checkpoint folder, or the run that has it"),
        Cli(names=("checkpoint",), file=Use.READ),
    ]
    output: Annotated[Path, Help("the bundle to write"), Cli(metavar="NAME.bhar", file=Use.WRITE)]
    targets: Annotated[
        tuple[str, ...],
        Help(
            "where it runs: "
            + ", ".join(f"{target.value} ({target.description})" for target in Target)
            + ", or all; again for more"
        ),
        Cli(names=("--target",), choices=TARGETS, default="onnx"),
    ] = ()
    device: Annotated[
        str | None,
        Help("for this one: its targets, unless --target names others, and its GPU"),
        Cli(choices=tuple(DEVICES)),
    ] = None
    precision: Annotated[
        Precision | None,
        Help("mixed: int8 but for layers that lose too much"),
        Cli(default="fp32"),
    ] = None
    int8: Annotated[bool, Help("the same as --precision int8")] = False
    calib: Annotated[
        Path | None,
        Help("recordings that set the ranges of integers"),
        Cli(metavar="DATA", file=Use.READ),
    ] = None
    calib_signers: Signers = ()
    eval: Annotated[
        Path | None, Help("recordings for the accuracy gate"), Cli(metavar="DATA", file=Use.READ)
    ] = None
    eval_signers: Signers = ()
    fps: Annotated[
        float,
        Range(0, MAX_FPS, "frames a second", above=True),
        Help("of recordings without time"),
    ] = 15.0
    max_drop_points: Annotated[
        float,
        MAX_DROP,
        Help("of top-1 that may be lost"),
        Cli(names=("--max-drop",)),
    ] = 1.0
    force: Annotated[bool, Help("write even if a gate fails, and mark it")] = False
    keep_fp32: Annotated[bool, Help("keep the float32 graph beside int8")] = False
    plot: Annotated[
        Path | None,
        Help("draw what became of each form"),
        Cli(metavar="OUT.png", file=Use.WRITE),
    ] = None
    name: Annotated[
        str, Help("name in the manifest"), Cli(metavar="NAME", default="that of the output")
    ] = ""
    license: Annotated[str, Help("of the training data, for the card"), Cli(old=("--licence",))] = (
        "not stated"
    )
    decoder: Annotated[
        str,
        Help("decoder configuration: words, spelling, or a JSON file of DecoderConfig"),
        Cli(metavar="NAME", file=Use.READ),
    ] = "words"

    def __post_init__(self) -> None:
        if self.int8 and self.precision not in (None, Precision.INT8):
            raise UsageError("got --int8 with --precision, expected one of them")

    @property
    def chosen_precision(self) -> Precision:
        """What is exported: fp32 unless told."""
        return Precision.INT8 if self.int8 else self.precision or Precision.FP32
