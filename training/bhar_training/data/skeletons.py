"""Labeled skeleton clips of public data sets, and the protocols of the papers by name."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError, UsageError
from bharsdk.landmarks.skeleton import Skeleton

__all__ = ["PROTOCOLS", "SkeletonClips", "split_by_protocol"]

FloatArray = npt.NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class SkeletonClips:
    """N clips of one skeleton.

    Attributes:
        clips: float32 [T, V, D, M] each. D is 3: meters, or x, y and confidence. NaN where a person
            is not in a frame.
        labels: names.
        subjects, views, setups: numbers of the data set, -1 where it does not say.
        parts: "train" or "test" where the data set is split already, else "".
    """

    skeleton: Skeleton
    clips: tuple[FloatArray, ...]
    labels: tuple[str, ...]
    subjects: tuple[int, ...]
    views: tuple[int, ...]
    setups: tuple[int, ...]
    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        for i, clip in enumerate(self.clips):
            if clip.ndim != 4 or clip.shape[1] != self.skeleton.joint_count or not len(clip):
                raise InputError(
                    f"clip {i}: got shape {list(clip.shape)}, expected [frames,"
                    f" {self.skeleton.joint_count} joints, coordinates, persons]"
                )

    @classmethod
    def of(
        cls,
        skeleton: Skeleton,
        clips: Sequence[FloatArray],
        labels: Sequence[str],
        *,
        subjects: Sequence[int] | None = None,
        views: Sequence[int] | None = None,
        setups: Sequence[int] | None = None,
        parts: Sequence[str] | None = None,
    ) -> SkeletonClips:
        """Make clips; -1 and "" stand for what is not given."""
        unknown = (-1,) * len(labels)
        return cls(
            skeleton,
            tuple(clips),
            tuple(labels),
            unknown if subjects is None else tuple(subjects),
            unknown if views is None else tuple(views),
            unknown if setups is None else tuple(setups),
            ("",) * len(labels) if parts is None else tuple(parts),
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the labels that occur, sorted, numbers by value."""
        found = set(self.labels)
        return tuple(sorted(found, key=lambda x: (not x.isdecimal(), x.zfill(9), x)))

    @property
    def people(self) -> tuple[str, ...]:
        """Return the known subjects, sorted."""
        return tuple(str(subject) for subject in sorted(set(self.subjects)) if subject >= 0)

    def take(self, indices: Sequence[int]) -> SkeletonClips:
        """Return the clips at ``indices``, in that order."""
        return SkeletonClips(
            self.skeleton,
            tuple(self.clips[i] for i in indices),
            tuple(self.labels[i] for i in indices),
            tuple(self.subjects[i] for i in indices),
            tuple(self.views[i] for i in indices),
            tuple(self.setups[i] for i in indices),
            tuple(self.parts[i] for i in indices),
        )

    def where(self, keep: Callable[[int], bool]) -> SkeletonClips:
        """Return the clips whose index ``keep`` accepts."""
        return self.take([i for i in range(len(self)) if keep(i)])

    @staticmethod
    def joined(sets: Sequence[SkeletonClips]) -> SkeletonClips:
        """Return all clips of several sets. Raises InputError when their skeletons differ."""
        names = {part.skeleton.name for part in sets}
        if len(names) != 1:
            raise InputError(f"clips: got skeletons {sorted(names)}, expected one")
        return SkeletonClips(
            sets[0].skeleton,
            _chained(part.clips for part in sets),
            _chained(part.labels for part in sets),
            _chained(part.subjects for part in sets),
            _chained(part.views for part in sets),
            _chained(part.setups for part in sets),
            _chained(part.parts for part in sets),
        )


def _chained(parts: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(itertools.chain.from_iterable(parts))


# fmt: off
NTU60_TRAIN_SUBJECTS = frozenset((
    1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38,
))
NTU120_TRAIN_SUBJECTS = NTU60_TRAIN_SUBJECTS | frozenset((
    45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86,
    89, 91, 92, 93, 94, 95, 97, 98, 100, 103,
))
# fmt: on


@dataclass(frozen=True)
class Protocol:
    """Who trains and who tests.

    ``field`` names what splits the clips, ``trains`` the training side.
    """

    field: str
    trains: Callable[[int], bool]
    source: str


PROTOCOLS: dict[str, Protocol] = {
    "ntu60-xsub": Protocol(
        "subjects", lambda s: s in NTU60_TRAIN_SUBJECTS, "Shahroudy et al. 2016: 20 of 40 subjects"
    ),
    "ntu60-xview": Protocol(
        "views", lambda v: v in (2, 3), "Shahroudy et al. 2016: cameras 2 and 3, test on 1"
    ),
    "ntu120-xsub": Protocol(
        "subjects", lambda s: s in NTU120_TRAIN_SUBJECTS, "Liu et al. 2019: 53 of 106 subjects"
    ),
    "ntu120-xset": Protocol(
        "setups", lambda s: s % 2 == 0, "Liu et al. 2019: even setups, test on odd ones"
    ),
    "nw-ucla-v3": Protocol(
        "views", lambda v: v in (1, 2), "Wang et al. 2014: views 1 and 2, test on 3"
    ),
    "utd-mhad-subjects": Protocol(
        "subjects", lambda s: s % 2 == 1, "Chen et al. 2015: odd subjects, test on even ones"
    ),
}
"""The papers' protocols by name."""


def split_by_protocol(clips: SkeletonClips, name: str) -> tuple[SkeletonClips, SkeletonClips]:
    """Return (train, test) as the papers split. A data set that is split already keeps its split.

    Raises:
        UsageError: the name is unknown.
        InputError: the clips do not say what the protocol goes by, or a side stays empty.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"protocol: got {name!r}, expected one of {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    if all(clips.parts):
        train = clips.where(lambda i: clips.parts[i] == "train")
        test = clips.where(lambda i: clips.parts[i] != "train")
    else:
        numbers = getattr(clips, protocol.field)
        if min(numbers, default=-1) < 0:
            raise InputError(f"{name}: got clips without {protocol.field}, which it splits by")
        train = clips.where(lambda i: protocol.trains(numbers[i]))
        test = clips.where(lambda i: not protocol.trains(numbers[i]))
    if not len(train) or not len(test):
        raise InputError(
            f"{name}: got {len(train)} clips to train on and {len(test)} to test on, expected some"
            " of both"
        )
    return train, test
