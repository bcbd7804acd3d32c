"""Vary a clip of a gesture: as it might look another time, in another place, by somebody else.

Three to five clips say little about how a gesture varies. So each clip also counts a little earlier
and later, slower and faster, from a turned camera, and by a person of other proportions. Landmarks
and time are changed before the features, as in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bharsdk.bundle.feature_config import FeatureConfig, ModelInput
from bharsdk.errors import InputError, assert_never
from bharsdk.landmarks.action import find_action
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.landmarks.partial import is_body, is_hand
from bharsdk.recognition.features import Features, extract

__all__ = ["VARIATIONS", "Variation", "features_of_variations"]

MIN_SEEN_FRAMES = 2
"""Of somebody, in a clip that is to show a gesture."""


@dataclass(frozen=True)
class Variation:
    """How a variation differs from the clip.

    Attributes:
        shift_ms: the window lies later by this many milliseconds.
        speed: of playback; 1 is unchanged.
        roll_rad, turn_rad: turns about the axis of the camera and the vertical axis.
        stretch: of width, height and depth.
    """

    shift_ms: float = 0.0
    speed: float = 1.0
    roll_rad: float = 0.0
    turn_rad: float = 0.0
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)


VARIATIONS = (
    Variation(),
    Variation(shift_ms=-100.0),
    Variation(shift_ms=100.0),
    Variation(speed=0.8),
    Variation(speed=1.25),
    Variation(roll_rad=0.15),
    Variation(roll_rad=-0.15),
    Variation(turn_rad=0.25),
    Variation(turn_rad=-0.25),
    Variation(stretch=(1.12, 0.95, 0.9)),
    Variation(stretch=(0.92, 1.08, 1.1)),
)
"""The clip as it is, and within what training varies clips by. No mirror image: with a gesture of
one hand it would enroll the other hand's too, which may mean something else."""


def features_of_variations(
    clip: LandmarkSequence,
    config: FeatureConfig,
    subject: ModelInput = ModelInput.BODY,
    where: str = "clip",
) -> list[Features]:
    """Return the features of one window for each of :data:`VARIATIONS`.

    The window lies around the middle of the gesture, which
    :func:`~bharsdk.landmarks.action.find_action` finds, as in training. subject: what must be seen
    for a person to be there. Raises InputError, naming ``where``, when nobody is seen.
    """
    check_seen(clip, subject, where)
    middle_ms = find_action(clip, config.window_ms).middle_ms
    return [_window(clip, config, middle_ms, variation) for variation in VARIATIONS]


def check_seen(clip: LandmarkSequence, subject: ModelInput, where: str) -> None:
    """Raise InputError, naming ``where``, unless ``clip`` shows the ``subject``."""
    hand = is_hand(clip.hands).any(axis=1)
    match subject:
        case ModelInput.BODY:
            somebody, what = is_body(clip.body), "person"
        case ModelInput.HANDS:
            somebody, what = hand, "hand"
        case _:
            assert_never(subject)
    if somebody.sum() < MIN_SEEN_FRAMES:
        raise InputError(
            f"{where}: got a {what} in {int(somebody.sum())} of {len(clip)} frames, expected a clip"
            " that shows the gesture; record it again with the whole gesture in view"
        )


def _window(
    clip: LandmarkSequence, config: FeatureConfig, middle_ms: float, variation: Variation
) -> Features:
    center = np.array([0.5, 0.5, 0.0], np.float32)
    transform = _transform(variation, clip.aspect)
    body = clip.body.copy()
    body[..., :3] = (body[..., :3] - center) @ transform + center
    hands = (clip.hands - center) @ transform + center
    varied = clip.replaced(
        timestamps_ms=clip.timestamps_ms / variation.speed, body=body, hands=hands
    )
    middle_ms = middle_ms / variation.speed + variation.shift_ms
    return extract(varied, config, middle_ms + config.window_ms / 2)


def _transform(variation: Variation, aspect: float) -> npt.NDArray[np.float32]:
    """A map of points of the image, [3, 3], applied as ``points @ map``."""
    roll, turn = variation.roll_rad, variation.turn_rad
    cos, sin = np.cos(roll), np.sin(roll)
    about_z = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    cos, sin = np.cos(turn), np.sin(turn)
    about_y = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
    turned = about_y @ about_z * np.array(variation.stretch)
    # Turned in image heights: x and z are in image widths.
    metric = np.array([aspect, 1.0, aspect])
    of_image: npt.NDArray[np.float32] = (turned * metric[:, None] / metric).astype(np.float32)
    return of_image
