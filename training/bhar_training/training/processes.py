"""Start training on its devices, in its processes and in its precision.

Only :func:`launch` knows about these. Everything it calls gets a ``Fabric``, which looks the same
for one process, for many that are started here, and for many that ``torchrun`` has started.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from lightning_fabric.strategies.ddp import DDPStrategy

from bhar_training.console.quiet import quiet
from bharsdk.errors import BharError, IncompatibleError, UsageError

__all__ = ["Devices", "Fabric", "from_first", "launch"]

ACCELERATORS = ("auto", "cpu", "cuda")
T = TypeVar("T")


@dataclass(frozen=True)
class Devices:
    """accelerator: cpu, cuda, or auto: GPUs where there are any. count: processes, one a GPU.

    Under torchrun its number of processes counts.
    """

    accelerator: str = "auto"
    count: int = 1

    def __post_init__(self) -> None:
        if self.accelerator not in ACCELERATORS or self.count < 1:
            raise UsageError(
                f"devices: got {self.count} of {self.accelerator!r}, expected at least 1 of"
                f" {', '.join(ACCELERATORS)}"
            )

    @property
    def processes(self) -> int:
        """Return the number of processes on all machines."""
        return int(os.environ["WORLD_SIZE"]) if TorchElasticEnvironment.detect() else self.count

    @property
    def here(self) -> int:
        """Return the number of processes on this machine."""
        return (
            int(os.environ["LOCAL_WORLD_SIZE"]) if TorchElasticEnvironment.detect() else self.count
        )

    @property
    def kind(self) -> str:
        """Return ``cpu`` or ``cuda``. Raises IncompatibleError when there are too few GPUs."""
        there = torch.cuda.device_count() if self.accelerator != "cpu" else 0
        kind = "cuda" if there and self.accelerator == "auto" else self.accelerator
        if kind == "cuda" and self.here > there:
            raise IncompatibleError(f"devices: got {self.here} of cuda, this machine has {there}")
        return "cpu" if kind == "auto" else kind


class _Mixed(MixedPrecision):
    """bfloat16 where autocast says so. Input stays float32: a coordinate needs its digits."""

    def convert_input(self, data: Any) -> Any:
        return data


class _Together(DDPStrategy):
    """Processes that average their gradients."""

    def setup_environment(self) -> None:
        with quiet():  # every process would tell that it has come
            super().setup_environment()


class _Outcome:
    """What a process sends back; Fabric takes collections and dataclasses apart."""

    def __init__(self, value: Any) -> None:
        self.value = value


def launch(work: Callable[[Fabric], T], devices: Devices, *, bfloat16: bool = False) -> T:
    """Call ``work`` in every process and return the result of the first one.

    ``work`` is sent to the processes that are started here, so it and its arguments must
    pickle. Raises the BharError that the first process raised.
    """
    by_torchrun = TorchElasticEnvironment.detect()
    together = _Together(
        start_method="popen" if by_torchrun else "spawn",
        forward_sync_buffers=False,  # they are those of the whole batch everywhere
    )
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=devices.kind,
        devices=devices.here,
        num_nodes=devices.processes // devices.here,
        strategy=together if devices.processes > 1 else "auto",
        plugins=[
            # What a cluster's scheduler has set is none of ours.
            TorchElasticEnvironment() if by_torchrun else LightningEnvironment(),
            _precision(devices.kind, bfloat16),
        ],
    )
    before, port = set(multiprocessing.active_children()), os.environ.get("MASTER_PORT")
    try:
        outcome: _Outcome = fabric.launch(partial(_outcome, work))
    finally:
        # An interrupted parent would wait for its children to end by themselves.
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        if port is None:
            os.environ.pop("MASTER_PORT", None)
    if isinstance(outcome.value, BharError):
        raise outcome.value
    found: T = outcome.value
    return found


def _precision(kind: str, bfloat16: bool) -> Precision:
    if bfloat16 and (kind == "cpu" or torch.cuda.is_bf16_supported()):
        return _Mixed("bf16-mixed", kind)
    return Precision()


def _outcome(work: Callable[[Fabric], T], fabric: Fabric) -> _Outcome:
    try:
        return _Outcome(work(fabric))
    except BharError as error:
        return _Outcome(error)


def from_first(fabric: Fabric, read: Callable[[], T]) -> T:
    """Return, in every process, what ``read`` returns in the first one.

    A BharError in the first process is raised in every process.
    """
    found: T | BharError | None = None
    if fabric.is_global_zero:
        try:
            found = read()
        except BharError as error:
            found = error
    found = fabric.broadcast(found)
    if isinstance(found, BharError):
        raise found
    return found  # type: ignore[return-value]  # read in the first process, sent to the others
