"""Place the windows of training around the action, where evaluation looks too.

Both ask :func:`bharsdk.landmarks.action.find_action`. Evaluation takes the window in the middle of
the action. Training moves it, but keeps the action in sight.
"""

from __future__ import annotations

import numpy as np

from bharsdk.landmarks.action import ActionSpan, find_action, fits, frames_between
from bharsdk.landmarks.landmarks import LandmarkSequence

__all__ = ["shown_part", "window_end"]


def window_end(
    clip: LandmarkSequence,
    changed: LandmarkSequence,
    end_ms: float,
    action: ActionSpan | None,
    crop: float,
    window_ms: float,
    random: np.random.Generator,
) -> float:
    """Return when the window of a training example ends, in milliseconds of ``changed``.

    Args:
        clip: what went into :func:`~bhar_training.data.augment.augment`.
        changed: what came out of it.
        end_ms: the end of the clip, a little moved; it came out of it too.
        window_ms: length of the window.
        random: draws the place.
        crop: see :class:`~bhar_training.data.augment.AugmentConfig`.
        action: where the action of a longer clip lies. A window that is longer than the action
            holds all of it, anywhere. A shorter one lies in its middle, and up to ``crop`` of the
            way to its ends. None: the window ends with the clip, or up to ``crop`` of the rest
            earlier.
    """
    if action is None:
        if crop:
            spare_ms = float(np.ptp(changed.timestamps_ms)) - window_ms
            end_ms -= random.uniform(0.0, crop) * max(spare_ms, 0.0)
        return end_ms
    slower = float(changed.timestamps_ms[-1] / clip.timestamps_ms[-1])
    spare_ms = action.duration_ms * slower - window_ms
    end_ms += action.end_ms * slower - float(changed.timestamps_ms[-1])
    if spare_ms <= 0:
        return end_ms - random.uniform(0.0, 1.0) * spare_ms
    return end_ms - ((1.0 - crop) / 2 + random.uniform(0.0, crop)) * spare_ms


def shown_part(clip: LandmarkSequence, crop: float, window_ms: float) -> LandmarkSequence:
    """Return the part of ``clip`` that training shows, at its own speed; negatives are made of it.

    So a sign that only begins, begins within it, and not in the idle seconds before.
    """
    if fits(clip, window_ms):
        return clip
    action = find_action(clip, window_ms)
    left_out_ms = max(action.duration_ms - window_ms, 0.0) * (1.0 - crop) / 2
    return frames_between(clip, action.start_ms + left_out_ms, action.end_ms - left_out_ms)
