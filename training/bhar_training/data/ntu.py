"""Read ``.skeleton`` files of NTU RGB+D (Shahroudy et al. 2016), and find the people in them.

A file lists the bodies that the sensor saw in each frame, each under a track id. The authors of the
data set describe three faults of it:

- some files show nobody (302 of NTU 60, 535 of NTU 120): they are left out;
- the sensor loses a person and finds the person again under another id: tracks that do not overlap
  in time are one person;
- the sensor takes furniture for bodies: a track of 11 frames or less, or one that is mostly wider
  than tall, is nobody where better tracks exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_CLIP_FRAMES
from bharsdk.landmarks.skeleton import NTU25

__all__ = ["Track", "people_of", "read_ntu"]

FloatArray = npt.NDArray[np.float32]

MAX_BODIES = 64
"""In one frame. The sensor follows six."""
BODY_VALUES, JOINT_VALUES = 10, 12
MAX_LINE = 1000
SHORT_TRACK = 11
"""Frames. Chairs and reflections come and go; people stay."""
WIDE, MOSTLY_WIDE = 0.8, 0.69754
"""A body is wide when its width is more than 0.8 of its height; a track, when this part of its
frames is. (What CTR-GCN's preparation of the data uses)"""
SHARED_FRAMES = 1
"""Frames in which two tracks of one person may both be there, while its id changes."""
FAR_M = 1000.0
"""The sensor sees some meters far: what is farther than this is damage."""
NEAR_M = 0.5
"""How far a person is from where its track ended, when a doubtful track goes on with it."""


@dataclass(frozen=True, eq=False)
class Track:
    """One body while its id lasts: frames [N], increasing, and joints [N, 25, 3] in meters."""

    frames: npt.NDArray[np.int64]
    joints: FloatArray

    @property
    def is_wide(self) -> bool:
        """Return whether it is mostly wider than tall, as no standing person is."""
        extent = np.ptp(self.joints, axis=1)
        return float(np.mean(extent[:, 0] > WIDE * extent[:, 1])) >= MOSTLY_WIDE

    @property
    def motion(self) -> float:
        """Return the variance of its joints over time, summed."""
        return float(self.joints.var(axis=0).sum())

    def follows(self, other: Track) -> bool:
        """Return whether it begins after ``other`` has ended."""
        return bool(self.frames[0] > other.frames[-1] - SHARED_FRAMES)

    def distance(self, other: Track) -> float:
        """Return the meters from where ``other`` was last to where this one was first."""
        return float(np.linalg.norm(self.joints[0].mean(axis=0) - other.joints[-1].mean(axis=0)))

    def joined(self, other: Track) -> Track:
        """Return both as one track. In a frame that both have, this one counts."""
        new = other.frames > self.frames[-1]
        return Track(
            np.concatenate([self.frames, other.frames[new]]),
            np.concatenate([self.joints, other.joints[new]]),
        )


def read_ntu(path: Path) -> FloatArray:
    """Return the two people who move most: float32 [T, 25, 3, 2] in meters, NaN where not seen.

    Raises InputError naming the file and the line that is wrong.
    """
    frames, tracks = _tracks(path)
    points = np.full((max(1, frames), NTU25.joint_count, 3, 2), np.nan, np.float32)
    for number, person in enumerate(people_of(tracks)[:2]):
        points[person.frames, :, :, number] = person.joints
    return points


def people_of(tracks: Sequence[Track]) -> list[Track]:
    """Return people from tracks, those who move most first.

    When several people have left, the nearest of them goes on. A short or wide track belongs to a
    person only where it is near one.
    """
    long = [track for track in tracks if len(track.frames) > SHORT_TRACK] or list(tracks)
    sure = [track for track in long if not track.is_wide] or long
    people: list[tuple[Track, bool]] = []  # and whether one of its tracks is sure
    for track in sorted(tracks, key=lambda track: (track.frames[0], -len(track.frames))):
        is_sure = any(track is one for one in sure)
        before = [
            (track.distance(person), number)
            for number, (person, known) in enumerate(people)
            if track.follows(person) and ((is_sure and known) or track.distance(person) <= NEAR_M)
        ]
        if before:
            _, number = min(before)
            person, known = people[number]
            people[number] = person.joined(track), known or is_sure
        else:
            people.append((track, is_sure))
    return sorted((person for person, known in people if known), key=lambda one: -one.motion)


def _tracks(path: Path) -> tuple[int, list[Track]]:
    """(frames, tracks in order of appearance) of a file; costs no more than the file is long."""
    lines = _Lines(path)
    found: dict[str, tuple[list[int], list[FloatArray]]] = {}
    frames = lines.count("frame count", MAX_CLIP_FRAMES)
    for frame in range(frames):
        for _ in range(lines.count("body count", MAX_BODIES)):
            name = lines.words("a body", BODY_VALUES)[0]
            joints = lines.count("joint count", 10 * NTU25.joint_count)
            if joints != NTU25.joint_count:
                raise lines.wrong(f"got {joints} joints in frame {frame}, expected 25")
            rows = [lines.numbers("a joint", JOINT_VALUES)[:3] for _ in range(joints)]
            times, bodies = found.setdefault(name, ([], []))
            if not times or times[-1] < frame:
                times.append(frame)
                bodies.append(np.array(rows, np.float32))
    return frames, [Track(np.array(times), np.stack(bodies)) for times, bodies in found.values()]


class _Lines:
    """The lines of a text file one after another; errors name the file and the line."""

    def __init__(self, path: Path) -> None:
        self._path, self._number = path, 0
        self._lines = self._read()

    def _read(self) -> Iterator[str]:
        with self._path.open(encoding="ascii", errors="replace") as file:
            while line := file.readline(MAX_LINE):
                self._number += 1
                if line.strip():
                    yield line

    def wrong(self, what: str) -> InputError:
        """The error of the line that was read last."""
        return InputError(f"{self._path}: line {self._number}: {what}")

    def words(self, what: str, count: int) -> list[str]:
        """The ``count`` words of the next line."""
        line = next(self._lines, "")
        words = line.split()
        if len(words) < count and not line.endswith("\n"):
            raise self.wrong(f"ends early, expected {what}: copy the file again")
        if len(words) != count:
            raise self.wrong(f"got {len(words)} values, expected {count} of {what}")
        return words

    def count(self, what: str, limit: int) -> int:
        """The number on the next line, which has nothing else."""
        (word,) = self.words(what, 1)
        if not (word.isascii() and word.isdecimal() and len(word) < 10) or int(word) > limit:
            raise self.wrong(f"got {what} {word[:20]!r}, expected a number up to {limit}")
        return int(word)

    def numbers(self, what: str, count: int) -> list[float]:
        """The numbers of the next line, the first three of them finite.

        Where a joint is in the sensor's pictures may be infinite: it is outside them.
        """
        words = self.words(what, count)
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = [np.inf]
        if not all(abs(value) < FAR_M for value in values[:3]):
            raise self.wrong(f"holds no numbers of {what}, got {' '.join(words[:3])[:60]!r}")
        return values
