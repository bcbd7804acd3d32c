"""The export targets: what a bundle can be made for, and the module that makes it.

A target is one row of :class:`Target`. Its module has a function
``models(job)``, which yields what it makes of the model, float32 first. The module is imported when
the target is exported, so this table needs none of the packages that do the work.
"""

from __future__ import annotations

import enum
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["DEVICES", "Device", "Target", "models_of"]


class Target(enum.Enum):
    """Where the bundle will run: name, what runs it, and the module that makes it.

    The value is the name on the command line and in reports. description: for help texts. module:
    its ``models(job)`` makes the target. The first target is in every bundle; the others must
    compute the same.
    """

    ONNX = "onnx", "always there", "bhar_export.onnx.target"
    NATIVE = "native", "bharsdk's own kernels", "bhar_export.native.target"
    TFLITE = "tflite", "LiteRT", "bhar_export.litert.target"
    JETSON = "jetson", "TensorRT", "bhar_export.tensorrt.target"

    _value_: str
    description: str
    module: str

    def __new__(cls, name: str, description: str = "", module: str = "") -> Target:
        """Make one row of the table."""
        self = object.__new__(cls)
        self._value_, self.description, self.module = name, description, module
        return self


def models_of(target: Target, job: Any) -> Iterator[Any]:
    """Yield what ``target`` makes of ``job``, a :class:`bhar_export.quantization.job.ExportJob`.

    Raises UsageError, BackendMissingError or BundleError where the target cannot be made.
    """
    return importlib.import_module(target.module).models(job)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Device:
    """A device by name.

    Attributes:
        targets: those of an export that names none.
        capability: of its GPU, as NVIDIA counts.
        checked_as: the GPU for which TensorRT-RTX builds the graph in its place. It is of the same
            generation, since TensorRT-RTX knows no Jetson.
    """

    targets: tuple[Target, ...]
    capability: str = ""
    checked_as: str = ""


ARM = (Target.NATIVE, Target.TFLITE)
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
"""Device -> what runs best there. The native model goes along where a busy GPU may need the CPU."""
