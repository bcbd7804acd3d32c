"""Measure how much of each clip shows hands and movement, and find empty clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bharsdk.landmarks.activity import activity_of
from bharsdk.landmarks.landmarks import LandmarkSequence

__all__ = ["Look", "table"]

WORST = 3
"""Clips of a label that are named."""
POOR = 0.25
"""A clip that shows hands in less than this part of it may be named."""


@dataclass(frozen=True)
class Look:
    """A look at one clip. hands, moving: parts of the clip, 0 to 1. is_empty: neither is there."""

    label: str
    video: Path
    seconds: float
    hands: float
    moving: float
    is_empty: bool

    @classmethod
    def at(cls, sequence: LandmarkSequence, label: str, video: Path) -> Look:
        """Look at ``sequence``, which was extracted from ``video``."""
        seen, times = activity_of(sequence), sequence.timestamps_ms
        seconds = float(times[-1] - times[0]) / 1000
        return cls(label, video, seconds, seen.hands_share, seen.moving_share, seen.is_empty)

    @property
    def warning(self) -> str:
        """Return one line about a clip in which nothing happens."""
        return (
            f"{self.video}: got a clip in which no hand is seen and no wrist moves, expected"
            f" {self.label!r}: look at it, and record it again or remove it"
        )


def table(looks: Sequence[Look]) -> str:
    """Return one line for each label, with the clip that shows hands least."""
    width = max(5, *(len(look.label) for look in looks))
    lines = [f"{'label':<{width}}  clips  seconds  hands  movement"]
    for label in sorted({look.label for look in looks}):
        mine = [look for look in looks if look.label == label]
        mean = [
            sum(values) / len(mine)
            for values in zip(*((x.seconds, x.hands, x.moving) for x in mine), strict=True)
        ]
        lines.append(
            f"{label:<{width}}  {len(mine):>5}  {mean[0]:>7.1f}  {mean[1]:>5.0%}  {mean[2]:>8.0%}"
        )
        poor = sorted((x for x in mine if x.hands < POOR), key=lambda x: (x.hands, x.moving))
        for look in poor[:WORST]:
            lines.append(f"  {look.video.name}: hands {look.hands:.0%}, movement {look.moving:.0%}")
        if len(poor) > WORST:
            lines.append(f"  and {len(poor) - WORST} more with hands in less than {POOR:.0%}")
    return "\n".join(lines)
