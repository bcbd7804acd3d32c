"""Make clips worse as cameras do, to test what a model withstands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bhar_training.data.clip_set import ClipSet
from bharsdk.errors import UsageError
from bharsdk.landmarks.landmarks import LandmarkSequence

__all__ = ["drop_hands", "lose_hand"]

SIDES = ("left", "right")


def drop_hands(clips: ClipSet, part: float, seed: int = 0) -> ClipSet:
    """Return ``clip`` with each hand missing in ``part`` of the frames, at random.

    Raises UsageError unless 0 <= part <= 1.
    """
    if not 0 <= part <= 1:
        raise UsageError(f"--drop-hands: got {part:g}, expected a part from 0 to 1")
    random = np.random.default_rng(seed)

    def drop(clip: LandmarkSequence) -> LandmarkSequence:
        hands = clip.hands.copy()
        hands[random.random(hands.shape[:2]) < part] = np.nan
        return clip.replaced(hands=hands)

    return replace(clips, sequences=tuple(drop(clip) for clip in clips.sequences))


def lose_hand(clips: ClipSet, side: str) -> ClipSet:
    """Return ``clip`` without its ``left`` or ``right`` hand. Raises UsageError on another side."""
    if side not in SIDES:
        raise UsageError(f"--lose-hand: got {side!r}, expected left or right")

    def lose(clip: LandmarkSequence) -> LandmarkSequence:
        hands = clip.hands.copy()
        hands[:, SIDES.index(side)] = np.nan
        return clip.replaced(hands=hands)

    return replace(clips, sequences=tuple(lose(clip) for clip in clips.sequences))
