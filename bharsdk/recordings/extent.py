"""Measure how large a recording is: one measure for writers and readers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_EVENTS, MAX_HEADER_BYTES, MAX_PEOPLE, MAX_PERSON_FRAMES
from bharsdk.landmarks.landmarks import SKELETONS, shapes_of

__all__ = ["Extent", "RecordingFullError", "frames_worth", "person_values"]


class RecordingFullError(InputError):
    """The recording has no room for more; what it holds is whole."""


@dataclass(frozen=True)
class Extent:
    """What the reader of a recording holds at once.

    people: the largest number in one frame; a recording keeps a place for each in every frame.
    text_bytes: JSON of events, options, truth and note.
    """

    frames: int = 0
    people: int = 0
    events: int = 0
    text_bytes: int = 0

    def check(self) -> None:
        """Raise RecordingFullError where a recording cannot be larger."""
        for what, count, limit in (
            ("people in a frame", self.people, MAX_PEOPLE),
            ("frames times people", self.frames * max(1, self.people), MAX_PERSON_FRAMES),
            ("events", self.events, MAX_EVENTS),
            ("bytes of JSON", self.text_bytes, MAX_HEADER_BYTES),
        ):
            if count > limit:
                raise RecordingFullError(
                    f"a recording of {count} {what}, expected at most {limit}: record in parts"
                )


def person_values(skeletons: tuple[str, str]) -> int:
    """Return how many numbers one person takes in a frame: 258 for MediaPipe's skeletons."""
    return sum(math.prod(shape) for shape in shapes_of(skeletons))


def frames_worth(skeletons: tuple[str, str]) -> int:
    """Return for how many of MediaPipe's frames a frame of ``skeletons`` counts, at least 1."""
    return math.ceil(person_values(skeletons) / person_values(SKELETONS))
