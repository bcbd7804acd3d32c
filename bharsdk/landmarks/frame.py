"""What every source yields: one frame with its landmarks, and its picture where there is one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_PEOPLE
from bharsdk.landmarks.landmarks import DEFAULT_ASPECT, Landmarks, check_aspect, check_time
from bharsdk.values.brief import brief
from bharsdk.values.image import Image

__all__ = [
    "Frame",
]


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a source.

    timestamp_ms: capture time, milliseconds, 0 to 1e15. people: everyone who was found, at most 64.
    People without a body and a hand are left out. aspect: width / height of the picture that the
    landmarks are fractions of; the people's own aspect where there are people. number: how many
    frames the source gave before this one, dropped frames included. capture_ms, landmarks_ms: how
    long reading and the landmarker took, milliseconds.

    Raises InputError on more than 64 people, and on people of another time, of different aspects or
    of different skeletons. A frame that passes can be recorded.
    """

    timestamp_ms: float
    people: tuple[Landmarks, ...]
    aspect: float = DEFAULT_ASPECT
    image: Image | None = None
    number: int = 0
    capture_ms: float = 0.0
    landmarks_ms: float = 0.0

    def __repr__(self) -> str:
        return brief(
            self,
            number=self.number,
            timestamp_ms=self.timestamp_ms,
            people=len(self.people),
            image=self.image,
        )

    def __post_init__(self) -> None:
        if len(self.people) > MAX_PEOPLE:
            raise InputError(
                f"frame: got {len(self.people)} people, expected at most {MAX_PEOPLE}: let the"
                " landmarker keep the largest"
            )
        check_time(self.timestamp_ms)
        people = tuple(one for one in self.people if one.is_seen)
        object.__setattr__(self, "people", people)
        for one in people:
            if one.timestamp_ms != self.timestamp_ms:
                raise InputError(
                    f"frame: got somebody at {one.timestamp_ms} ms in the frame of"
                    f" {self.timestamp_ms} ms, expected landmarks stamped as their picture"
                )
            if one.skeletons != people[0].skeletons:
                raise InputError(
                    f"frame: got people of skeletons {people[0].skeletons} and {one.skeletons},"
                    " expected one pair for all of a frame"
                )
            if one.aspect != people[0].aspect:
                raise InputError(
                    f"frame: got people of image aspects {people[0].aspect} and {one.aspect},"
                    " expected one for all of a frame"
                )
        if people:
            object.__setattr__(self, "aspect", people[0].aspect)
        check_aspect(self.aspect)

    @classmethod
    def of(cls, landmarks: Landmarks, number: int = 0) -> Frame:
        """Return a frame without a picture."""
        return cls(landmarks.timestamp_ms, (landmarks,), landmarks.aspect, number=number)

    def at(self, timestamp_ms: float, number: int) -> Frame:
        """Return the same frame with another time and number."""
        if timestamp_ms == self.timestamp_ms:
            return self if number == self.number else replace(self, number=number)
        people = tuple(replace(one, timestamp_ms=timestamp_ms) for one in self.people)
        return replace(self, timestamp_ms=timestamp_ms, people=people, number=number)

    @property
    def landmarks(self) -> Landmarks:
        """Return the landmarks of the first person; all NaN where nobody was found."""
        return self.people[0] if self.people else Landmarks.empty(self.timestamp_ms, self.aspect)
