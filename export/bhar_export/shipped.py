"""``python -m bhar_export.shipped``: exports the models that ship to every target, and proves them.

Their checkpoints are in ``training/checkpoints``; the bundles in ``bharsdk/models`` are the native
and the ONNX forms of what this makes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from bhar_export.cli import EXIT_CODES
from bhar_export.cli import main as export
from bharsdk.cli.command import Command, Entry, Program
from bharsdk.cli.exit_codes import INTERRUPTED, exit_code_of
from bharsdk.errors import AccuracyGateError, InputError
from bharsdk.values.declared import Cli, Help, Use

__all__ = ["COMMAND", "SHIPPED", "Options", "Shipped", "main"]

CHECKPOINTS = Path("training", "checkpoints")
LICENSE = "code Apache-2.0; trained on MIT data, (c) 2022 traduttore"
MAX_DROP_POINTS = 0.5


@dataclass(frozen=True)
class Shipped:
    """data: below the data root. trained_on, tested_on: its signers.

    precision: ``mixed`` for one whose graph for ONNX Runtime loses too much in ``int8``.
    """

    data: str
    trained_on: tuple[str, ...]
    tested_on: tuple[str, ...]
    decoder: str = "words"
    precision: str = "int8"


WORDS = Shipped("traduttore/words.npz", ("s1", "s3"), ("s2",))
SHIPPED = {
    "asl-coffee": WORDS,
    "asl-coffee-prgcn": WORDS,
    "asl-letters": Shipped(
        "traduttore/letters_hands.npz", ("s1", "s2"), ("s3",), "spelling", "mixed"
    ),
}


@dataclass(frozen=True)
class Options:
    """The options of ``python -m bhar_export.shipped``."""

    names: Annotated[
        tuple[str, ...], Help("the models"), Cli(names=("names",), default=", ".join(SHIPPED))
    ] = ()
    _: KW_ONLY
    data_root: Annotated[Path, Help("folder of the data sets"), Cli(metavar="DIR", file=Use.READ)]
    checkpoints: Annotated[
        Path, Help("folder of their checkpoints"), Cli(metavar="DIR", file=Use.READ)
    ] = CHECKPOINTS
    out: Annotated[
        Path, Help("where bundles and pictures go"), Cli(metavar="DIR", file=Use.WRITE)
    ] = Path("out", "shipped")
    target: Annotated[str, Help("as of bhar-export"), Cli(metavar="NAME")] = "all"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code, that of the first export that failed."""
    parsed = PROGRAM.parse(argv)
    work = partial(parsed.command.work, parsed.options)
    return exit_code_of(work, PROGRAM.name, arguments=parsed.files, extra="export")


def _run(arguments: Options) -> None:
    unknown = set(arguments.names) - set(SHIPPED)
    if unknown:
        raise InputError(f"got {', '.join(sorted(unknown))}, expected some of {', '.join(SHIPPED)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in arguments.names or SHIPPED:
        print(f"## {name}", flush=True)
        start = time.perf_counter()
        code = export(_arguments(name, arguments))
        if code == INTERRUPTED:  # of one is of all
            raise KeyboardInterrupt
        if code != 0:
            failed.append(name)
        print(f"{name}: {time.perf_counter() - start:.0f} s\n", flush=True)
    if failed:
        raise AccuracyGateError(f"not exported, see above: {', '.join(failed)}")


def _arguments(name: str, arguments: Options) -> list[str]:
    """Of ``bhar-export``."""
    model, out = SHIPPED[name], arguments.out / name
    data = str(arguments.data_root / model.data)
    return [
        *(str(arguments.checkpoints / name), "--target", arguments.target),
        *("--precision", model.precision),
        *("--calib", data, "--calib-signers", ",".join(model.trained_on)),
        *("--eval", data, "--eval-signers", ",".join(model.tested_on)),
        *("--max-drop", str(MAX_DROP_POINTS), "--decoder", model.decoder),
        *("--license", LICENSE, "--name", name),
        *("--output", f"{out}.bhar", "--plot", f"{out}.png"),
    ]


COMMAND = Command(Options, _run, "At most 0.5 points may be lost.")
DOES = "export the models that ship to every target, and prove them"
PROGRAM = Program(
    "python -m bhar_export.shipped",
    DOES,
    EXIT_CODES,
    (Entry("", "bhar_export.shipped:COMMAND", DOES),),
    extra="export",
)


if __name__ == "__main__":
    sys.exit(main())
