"""Find where in a clip the action is: one rule for everything that looks at part of a clip.

Training, validation, evaluation, calibration, export and enrollment ask :func:`find_action`. A clip
that fits into a window is all action. In a longer clip, the action is where the hands are and where
they move. A time range from the user goes first (:func:`part_of`, :func:`parse_range`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from bharsdk.errors import InputError
from bharsdk.landmarks.activity import activity_of
from bharsdk.landmarks.landmarks import LandmarkSequence

__all__ = ["ActionSpan", "find_action", "fits", "frames_between", "parse_range", "part_of"]

HANDS, MOVING, PERSON = 1.0, 0.5, 0.1
"""What a moment counts that shows a hand, in which a hand or wrist moves fast, and that shows
anybody. Signs that are held count by their hands; where hands are always seen, movement decides."""
LEAST = 0.85
"""A window that holds this part of the best window's sum shows the action, too."""
OFF_CENTER = 0.2
"""A window at the end of a clip counts less by this part: people start early and stop late."""
MIN_FRAMES = 2
"""Of a part that is cut out."""
ROUNDING_MS = 0.5
RANGE = re.compile(r"(?P<clip>.+)@(?P<start>\d+(?:\.\d+)?)-(?P<end>\d+(?:\.\d+)?)", re.DOTALL)


@dataclass(frozen=True)
class ActionSpan:
    """Where the action of a clip begins and ends, in milliseconds of its own times.

    Every window within it shows most of the action. Everything but training looks at the window in
    its middle.
    """

    start_ms: float
    end_ms: float

    @property
    def duration_ms(self) -> float:
        """Return its length in milliseconds."""
        return self.end_ms - self.start_ms

    @property
    def middle_ms(self) -> float:
        """Return its middle."""
        return (self.start_ms + self.end_ms) / 2


def fits(sequence: LandmarkSequence, window_ms: float) -> bool:
    """Return whether all of ``sequence`` lies within one window."""
    times = sequence.timestamps_ms
    return bool(times[-1] - times[0] <= window_ms * (1 + 1e-9))


def find_action(sequence: LandmarkSequence, window_ms: float) -> ActionSpan:
    """Return where the action of ``sequence`` is, for windows of ``window_ms``.

    It is the whole clip if that fits into a window. Otherwise the best window has the most hands
    and movement, and lies nearest to the middle of the clip among equals. The span is that window
    and its neighbors, as far as they show nearly as much. Where no part differs from another, it is
    the whole clip. The same clip always gives the same span.
    """
    times = sequence.timestamps_ms
    whole = ActionSpan(float(times[0]), float(times[-1]))
    if fits(sequence, window_ms):
        return whole
    seen = activity_of(sequence)
    counts = HANDS * seen.hands + MOVING * seen.moving + PERSON * seen.person
    step_ms = float(seen.times_ms[1] - seen.times_ms[0]) if len(counts) > 1 else window_ms
    looks = min(len(counts), round(window_ms / step_ms) + 1)
    total = np.concatenate([[0.0], np.cumsum(counts)])
    sums = total[looks:] - total[:-looks]
    off_center = np.abs(np.linspace(-1.0, 1.0, len(sums))) if len(sums) > 1 else np.zeros(1)
    best = int(np.argmax(sums * (1.0 - OFF_CENTER * off_center)))
    poor = np.flatnonzero(sums < LEAST * sums[best])
    first = int(poor[poor < best].max(initial=-1)) + 1
    last = int(poor[poor > best].min(initial=len(sums))) - 1
    if first == 0 and last == len(sums) - 1:
        return whole
    return ActionSpan(float(seen.times_ms[first]), float(seen.times_ms[last + looks - 1]))


def parse_range(text: str) -> tuple[str, tuple[float, float]] | None:
    """Split ``CLIP@1.5-3.0`` into ("CLIP", (1.5, 3.0)), seconds from the first frame; else None.

    Raises InputError where the range ends before it starts.
    """
    match = RANGE.fullmatch(text)
    if match is None:
        return None
    start_s, end_s = float(match["start"]), float(match["end"])
    check_range(start_s, end_s, text)
    return match["clip"], (start_s, end_s)


def check_range(start_s: float, end_s: float, where: str) -> None:
    """Raise InputError, naming ``where``, unless 0 <= start < end, in seconds."""
    if not 0 <= start_s < end_s < math.inf:
        raise InputError(
            f"{where}: got {start_s:g} to {end_s:g} s, expected seconds from the clip's first"
            " frame, 0 <= start < end"
        )


def part_of(
    sequence: LandmarkSequence, start_s: float, end_s: float, where: str = "clip"
) -> LandmarkSequence:
    """Return the frames from ``start_s`` to ``end_s``, seconds from the first frame; times stay.

    Raises InputError, naming ``where``, on a wrong range and where it holds fewer than two frames.
    """
    check_range(start_s, end_s, where)
    first_ms = float(sequence.timestamps_ms[0])
    part = frames_between(sequence, first_ms + 1000.0 * start_s, first_ms + 1000.0 * end_s)
    if len(part) < MIN_FRAMES:
        length_s = (float(sequence.timestamps_ms[-1]) - first_ms) / 1000.0
        raise InputError(
            f"{where}: got {start_s:g} to {end_s:g} s of a clip of {length_s:.2f} s, which holds"
            f" fewer than {MIN_FRAMES} frames, expected a part of the clip"
        )
    return part


def frames_between(sequence: LandmarkSequence, start_ms: float, end_ms: float) -> LandmarkSequence:
    """Return the frames between two times, both included; the nearest frame if there is none."""
    times = sequence.timestamps_ms
    # A frame at 19/15 s belongs to a range that was written with a few digits.
    rows = np.flatnonzero((times >= start_ms - ROUNDING_MS) & (times <= end_ms + ROUNDING_MS))
    if not len(rows):
        rows = np.array([np.argmin(np.abs(times - (start_ms + end_ms) / 2))])
    kept = slice(int(rows[0]), int(rows[-1]) + 1)
    return sequence.replaced(
        timestamps_ms=times[kept], body=sequence.body[kept], hands=sequence.hands[kept]
    )
