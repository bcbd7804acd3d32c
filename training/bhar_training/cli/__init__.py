"""``bhar-train``: fit, calibrate, evaluate and describe models, extract landmarks from videos."""

from __future__ import annotations

from bharsdk.cli.entry import enter, preload

TYPE_CHECKING = False  # as of typing, which would have to be imported for it
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bharsdk.cli.command import Program

__all__ = ["main", "program"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (see ``bharsdk.errors``)."""
    return enter("bhar-train", lambda: _begin(argv))


def _begin(argv: Sequence[str] | None) -> Callable[[], int]:
    import os

    from bhar_training.data.notes import shown
    from bharsdk.cli.exit_codes import exit_code_of

    parsed = program().parse(argv)
    # Threads that spin while they wait cost more than they gain on small, shared machines.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    preload(*parsed.command.preload)

    def work() -> int:
        # Of the processes that torchrun has started, one tells.
        with shown(quiet=os.environ.get("RANK", "0") != "0"):
            return exit_code_of(
                lambda: parsed.command.work(parsed.options),
                "bhar-train",
                arguments=parsed.files,
                extra="train",
                when_interrupted=parsed.command.when_interrupted,
            )

    return work


def program() -> Program:
    """Return its commands; they are imported one by one, when they are asked for."""
    from bhar_training.cli.options import EXIT_CODES
    from bharsdk.cli.command import Entry, Program

    rows = (
        ("fit", "train a model"),
        ("qat", "fine-tune a run for INT8, where calibration alone loses too much"),
        ("calibrate", "measure how sure a run may be, and when it should not answer"),
        ("eval", "score a checkpoint, or an ensemble"),
        ("enrollment", "enroll labels that a model was not trained on, and score them"),
        ("reproduce", "run a row of the results table, from raw data to its figures"),
        ("describe", "parameters and multiply-adds of the models"),
        ("bench", "training speed of DeGCN against its public form"),
        ("extract", "landmarks of videos, as recordings to train on"),
        ("false-events", "count the events of a bundle in hours of no sign, or of unknown signs"),
    )
    old, modules = {"enrollment": ("enrolment",)}, {"eval": "evaluate"}
    entries = tuple(
        Entry(
            name,
            f"bhar_training.cli.{modules.get(name, name).replace('-', '_')}:COMMAND",
            does,
            old.get(name, ()),
        )
        for name, does in rows
    )
    description = "Fit, calibrate, evaluate and describe models, extract landmarks from videos."
    return Program("bhar-train", description, EXIT_CODES, entries, extra="train")
