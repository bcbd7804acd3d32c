"""Devices by name: which form runs best there, and what can be said of it without one."""

from __future__ import annotations

from dataclasses import dataclass

from bhar_export.graph.spec import Target

__all__ = ["DEVICES", "Device"]

ARM = (Target.NATIVE, Target.TFLITE)


@dataclass(frozen=True)
class Device:
    """targets: of an export that names none. capability: of its GPU, as NVIDIA counts.

    checked_as: the GPU for which TensorRT-RTX builds the graph in its place: of the same
    generation, since it knows none of the Jetsons.
    """

    targets: tuple[Target, ...]
    capability: str = ""
    checked_as: str = ""


DEVICES = {
    "orin-nano": Device((Target.JETSON, Target.NATIVE), "8.7", "SM86"),
    "orin-nx": Device((Target.JETSON, Target.NATIVE), "8.7", "SM86"),
    "agx-orin": Device((Target.JETSON, Target.NATIVE), "8.7", "SM86"),
    "agx-thor": Device((Target.JETSON, Target.NATIVE), "11.0", "SM120"),
    "raspberry-pi-4": Device(ARM),
    "raspberry-pi-5": Device(ARM),
    "android": Device((Target.TFLITE,)),
    "x86": Device((Target.NATIVE,)),
}
"""The native form goes along where the CPU may be asked to run it: a board whose GPU is busy."""
