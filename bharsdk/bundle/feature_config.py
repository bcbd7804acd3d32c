"""What a model reads: its inputs, and how a window of landmarks becomes them."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bharsdk.errors import InputError
from bharsdk.values.brief import brief_config
from bharsdk.values.checks import check_fields

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
    """How a window of landmarks becomes model input.

    fps: rate the model sees, frames a second. frames: T, window length. max_gap_s: a hand lost for
    no longer than this is interpolated, else it is missing. modalities: coordinate channels, three
    each, in order. presence: append the presence channel.
    """

    fps: float = 18.0
    frames: int = 24
    max_gap_s: float = 0.25
    modalities: tuple[Modality, ...] = (Modality.JOINT, Modality.BONE)
    presence: bool = True

    def __post_init__(self) -> None:
        check_fields(self, "features")
        if not 1 <= self.fps <= 240 or not 2 <= self.frames <= 4096:
            raise InputError(
                f"features: got {self.fps} fps and {self.frames} frames, expected 1 to 240 fps and"
                " 2 to 4096 frames"
            )
        if not 0 <= self.max_gap_s <= 10 or not self.modalities:
            raise InputError("features: expected 0 <= max_gap_s <= 10 and at least one modality")

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
