"""Record the machine that trained a run, since a time without a machine says nothing."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from bharsdk.errors import BundleError, InputError
from bharsdk.files.codec import from_json_dict, to_json_dict
from bharsdk.files.untrusted import read_json
from bharsdk.files.writing import make_folder, write_text

__all__ = ["Machine", "machines_of", "note_machine"]

FILE = "machine.json"


@dataclass(frozen=True)
class Machine:
    """What trained. threads: of torch. accelerator: "" for none, None when not known."""

    processor: str
    threads: int | None = None
    torch: str | None = None
    accelerator: str = ""


def note_machine(folder: Path, accelerator: str = "") -> None:
    """Add this machine to those that trained the run in ``folder``."""
    version = str(torch.__version__)
    mine = Machine(_processor(), torch.get_num_threads(), version, accelerator)
    machines = [*machines_of(folder)]
    if mine in machines:
        return
    machines.append(mine)
    make_folder(folder)
    text = json.dumps([to_json_dict(machine) for machine in machines], indent=2)
    write_text(folder / FILE, text + "\n")


def machines_of(folder: Path) -> tuple[Machine, ...]:
    """Return the machines that trained the run in ``folder``; () when it does not say."""
    path = folder / FILE
    if not path.is_file():
        return ()
    try:
        return tuple(from_json_dict(Machine, item, FILE) for item in read_json(path))
    except (TypeError, InputError) as error:
        raise BundleError(f"{path}: damaged ({error}): remove it") from error


def _processor() -> str:
    """The name of the processor; Linux keeps it in /proc, not in uname."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
