"""What a model reads: its inputs, and how a window of landmarks becomes them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

from bharsdk.errors import InputError
from bharsdk.values.brief import brief_config
from bharsdk.values.checks import check_fields
from bharsdk.values.declared import Cli, Help, Range, check_ranges

__all__ = ["FeatureConfig", "Modality", "ModelInput"]


class Modality(enum.Enum):
    """What a coordinate channel holds."""

    JOINT = "joint"
    BONE = "bone"
    JOINT_MOTION = "joint-motion"
    BONE_MOTION = "bone-motion"


class ModelInput(enum.Enum):
    """The tensors that a model may read; the values name the inputs of its graph."""

    BODY = "body"
    HANDS = "hands"


@dataclass(frozen=True)
class FeatureConfig:
    """Say how a window of landmarks becomes the input of a model.

    fps: rate that the model sees, frames a second. frames: T, length of the window. max_gap_s: a
    hand that is lost for no longer is interpolated; else it is missing. modalities: coordinate
    channels, three each, in order. presence: append a channel that says what was seen.

    Raises InputError on a value out of range.
    """

    fps: Annotated[float, Range(1, 240, "frames a second"), Help("rate that the model sees")] = 18.0
    frames: Annotated[int, Range(2, 4096, "frames"), Help("length of the window")] = 24
    max_gap_s: Annotated[
        float, Range(0, 10, "seconds"), Help("a hand lost for no longer is interpolated")
    ] = 0.25
    modalities: Annotated[
        tuple[Modality, ...], Help("coordinate channels, fused early"), Cli(metavar="NAME[,NAME]")
    ] = (Modality.JOINT, Modality.BONE)
    presence: Annotated[bool, Help("append a channel that says which joints were seen")] = True

    def __post_init__(self) -> None:
        check_fields(self, "features")
        check_ranges(self, "features")
        if not self.modalities:
            raise InputError("features: got no modality, expected at least one")

    def __repr__(self) -> str:
        return brief_config(self)

    @property
    def channels(self) -> int:
        """C, channels of the model input."""
        return 3 * len(self.modalities) + int(self.presence)

    @property
    def window_ms(self) -> float:
        """Milliseconds from the first to the last frame of a window."""
        return (self.frames - 1) * 1000.0 / self.fps
