"""What a model input is: its name, joints, persons, channels and frames, in one place.

The manifest, training and export ask this module for shapes and skeletons. A new input is a value
of :class:`~bharsdk.bundle.feature_config.ModelInput` and a row of ``LANDMARK_INPUTS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bharsdk.bundle.feature_config import FeatureConfig, ModelInput
from bharsdk.landmarks.skeleton import (
    MEDIAPIPE_BODY25,
    MEDIAPIPE_HAND21,
    Skeleton,
    skeleton_by_name,
)

__all__ = ["LANDMARK_INPUTS", "InputSpec", "landmark_inputs"]

LANDMARK_INPUTS: Mapping[ModelInput, tuple[Skeleton, int]] = {
    ModelInput.BODY: (MEDIAPIPE_BODY25, 1),
    ModelInput.HANDS: (MEDIAPIPE_HAND21, 2),
}
"""Skeleton and number of persons of each input that is made of landmarks; two hands count as two
persons."""


@dataclass(frozen=True)
class InputSpec:
    """One tensor that a model reads: float32 [N, channels, frames, joints, persons].

    name: of the tensor in batches and in the graph. persons: instances of the skeleton, such as
    left and right hand. coordinates: how many leading channels are coordinates; presence follows.
    """

    name: str
    skeleton: Skeleton
    persons: int
    channels: int
    coordinates: int
    frames: int

    @property
    def joints(self) -> int:
        """V, joints of one person."""
        return self.skeleton.joint_count

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """[C, T, V, M], without the batch."""
        return self.channels, self.frames, self.joints, self.persons


def landmark_inputs(features: FeatureConfig, skeletons: Sequence[str] = ()) -> dict[str, InputSpec]:
    """Return the spec of each input of windows of ``features``, by name, in the order of the graph.

    skeletons: names that replace those of ``LANDMARK_INPUTS``, in its order. Raises InputError on
    an unknown name.
    """
    found = {}
    for i, (name, (skeleton, persons)) in enumerate(LANDMARK_INPUTS.items()):
        if i < len(skeletons):
            skeleton = skeleton_by_name(skeletons[i])
        coordinates = 3 * len(features.modalities)
        found[name.value] = InputSpec(
            name.value, skeleton, persons, features.channels, coordinates, features.frames
        )
    return found
