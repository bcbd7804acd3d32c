"""Check that the clips of a data set are what they were read as: order, units, and people."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bhar_training.data.clip_set import ClipSet
from bhar_training.data.labels import label_doubts
from bhar_training.data.notes import doubt, note
from bharsdk.errors import InputError
from bharsdk.landmarks.flat_layout import (
    ENOUGH_FRAMES,
    ORDER,
    check_values,
    visibility_finding,
    wrist_distances,
    wrist_finding,
)
from bharsdk.landmarks.landmarks import FLAT_SIZES, LandmarkSequence
from bharsdk.landmarks.skeleton import BodyJoint, HandJoint

__all__ = ["accept", "check_clips"]

KINDS = dict(
    zip(sorted(FLAT_SIZES), ("hands", "pose, hands", *["pose, face, hands"] * 2), strict=True)
)
OF_TIME_AND_PICTURE = frozenset(
    {"fps", "frame_rate", "time", "times", "timestamps", "timestamps_ms", "frames", "length"}
    | {"lengths", "aspect", "width", "height"}
)
"""Arrays that a reader would expect to count, and that no convention defines."""
AT_ONCE = 5000
"""Frames that are looked at together."""
OUTSIDE = (-0.5, 1.5)
"""Where the middle of the shoulders is not, on the whole."""
MOSTLY = 0.5
DEPTH_OF_WRIST = 0.02
"""Of the size of a hand. MediaPipe measures depth from the wrist, whose own is 0."""
ODD_PART = 0.2
"""Of all clips: so many that nobody is in, or that stand still, are worth a word."""

Numbers = npt.NDArray[np.float64]


@dataclass
class _Seen:
    """What was measured, a value for each frame with a body or for each hand."""

    middles: list[Numbers] = field(default_factory=list)
    upright: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    facing: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    depths: list[Numbers] = field(default_factory=list)
    distances: list[Numbers] = field(default_factory=list)


def accept(
    clips: ClipSet,
    path: Path,
    sizes: Set[int],
    *,
    fps: float,
    aspect: float,
    sessions: int = 0,
    unread: Set[str] = frozenset(),
) -> ClipSet:
    """Return ``clips`` unchanged, after saying what was assumed and what looks odd.

    Args:
        clips: what was read.
        path: of the data set, for messages.
        sizes: values a frame of the clips that store neither time nor aspect.
        fps: frames a second that were assumed for these.
        aspect: width / height that was assumed for these.
        unread: arrays of the file that were not read.
        sessions: number of clips that store both.

    Raises what :func:`check_clips` raises.
    """
    name = path.resolve().name
    parts = [f"{name}: {len(clips):,} clips"]
    if sizes:
        kinds = " or ".join(f"{size:,} values a frame ({KINDS[size]})" for size in sorted(sizes))
        of = f"of {len(clips) - sessions:,} of them, " if sessions else ""
        parts[0] += f", {of}{kinds}"
        parts.append(f"no times stored: assumed {fps:g} frames a second")
        parts.append(f"aspect {_ratio(aspect)} assumed (--fps, --aspect)")
        parts.append("zeros are 'not detected'")
    if sessions:
        parts.append(f"{sessions:,} recorded sessions: times and aspect as stored")
    if unused := sorted(unread & OF_TIME_AND_PICTURE):
        parts.append(f"stored {', '.join(unused)} not used")
    note("; ".join(parts))
    has_pose = bool(sizes - {min(FLAT_SIZES)}) or bool(sessions)
    for text in [
        *label_doubts(clips.labels),
        *check_clips(clips, str(path), has_pose=has_pose),
    ]:
        doubt(f"{name}: {text}")
    return clips


def _ratio(aspect: float) -> str:
    """16 / 9 as "16:9"; what is no ratio of small numbers with its digits."""
    near = Fraction(aspect).limit_denominator(20)
    if abs(near - Fraction(aspect)) < 1e-9:
        return f"{near.numerator}:{near.denominator}"
    return f"{aspect:.3f}:1"


def check_clips(clips: ClipSet, where: str, *, has_pose: bool) -> list[str]:
    """Return what is odd about ``clips``, a line for each finding.

    has_pose: whether a body was stored. Raises InputError, naming ``where``, when the clips are
    certainly of another order or unit, or when two signers made the same clip.
    """
    found = _check_copies(clips, where)
    every = _Seen()
    for signer in sorted(set(clips.signers)):
        own = clips.where(lambda i, signer=signer: clips.signers[i] == signer)  # type: ignore[misc]
        name = f"{where}: signer {signer}" if signer else where
        distances, doubtful = list[Numbers](), None
        for part in _parts(own.sequences):
            check_values(part.body, part.hands, part.aspect, name)
            _measure(part, every)
            doubtful = doubtful or visibility_finding(part.body)
            distances.append(wrist_distances(part.body, part.hands, part.aspect))
        for finding in (doubtful, wrist_finding(np.concatenate(distances))):
            if finding is not None:
                text, sure = finding
                if sure:
                    raise InputError(f"{name}: {text}")
                found.append(f"signer {signer}: {text}" if signer else text)
    return found + _doubts(every, has_pose=has_pose) + _still(clips)


def _parts(sequences: tuple[LandmarkSequence, ...]) -> Iterator[LandmarkSequence]:
    """The frames of all, some thousand at once, those of one aspect together."""
    for aspect in sorted({sequence.aspect for sequence in sequences}):
        pending: list[LandmarkSequence] = []
        same = [sequence for sequence in sequences if sequence.aspect == aspect]
        for sequence in same:
            pending.append(sequence)
            if sum(map(len, pending)) >= AT_ONCE or sequence is same[-1]:
                body = np.concatenate([one.body for one in pending])
                hands = np.concatenate([one.hands for one in pending])
                yield LandmarkSequence(np.arange(len(body), dtype=float), body, hands, aspect)
                pending = []


def _measure(part: LandmarkSequence, every: _Seen) -> None:
    body = part.body[np.isfinite(part.body[:, 0, 0])]
    left, right = body[:, BodyJoint.LEFT_SHOULDER], body[:, BodyJoint.RIGHT_SHOULDER]
    every.middles.append((left[:, :2] + right[:, :2]) / 2)
    every.upright.append(body[:, BodyJoint.NOSE, 1] < every.middles[-1][:, 1])
    every.facing.append(left[:, 0] > right[:, 0])
    hands = part.hands[np.isfinite(part.hands[..., 0, 0])]
    size = np.ptp(hands[..., :2], axis=1).max(axis=1)
    every.depths.append(np.abs(hands[:, HandJoint.WRIST, 2]) / np.where(size > 0, size, 1.0))


def _doubts(every: _Seen, *, has_pose: bool) -> list[str]:
    found = []
    middles = np.concatenate(every.middles)
    if len(middles) >= ENOUGH_FRAMES:
        middle = np.median(middles, axis=0)
        if (middle < OUTSIDE[0]).any() or (middle > OUTSIDE[1]).any():
            found.append(
                f"the middle of the shoulders is typically at {middle[0]:.2f}, {middle[1]:.2f},"
                " outside the picture: expected fractions of its width and height, not centered"
                " ones and no meters"
            )
        if np.mean(np.concatenate(every.upright)) < MOSTLY:
            found.append("the nose is mostly below the shoulders: people lie, or y goes up")
        if np.mean(np.concatenate(every.facing)) < MOSTLY:
            found.append(
                "the left shoulder is mostly left of the right one: people are seen from behind, or"
                " the picture was mirrored after the landmarks were found"
            )
    elif has_pose and not len(middles):
        found.append(f"no frame shows a body: the order must be {ORDER}")
    depths = np.concatenate(every.depths)
    if len(depths) >= ENOUGH_FRAMES and np.median(depths) > DEPTH_OF_WRIST:
        found.append(
            "the first point of a hand is no wrist, from which MediaPipe measures depth:"
            f" expected the order {ORDER}, and of a hand 21 x (x, y, z) from the wrist on"
        )
    return found


def _still(clips: ClipSet) -> list[str]:
    nobody = sum(not _is_seen(clip) for clip in clips.sequences)
    frozen = sum(
        _is_seen(clip)
        and len(clip) > 1
        and all(np.array_equal(x[1:], x[:-1], equal_nan=True) for x in (clip.body, clip.hands))
        for clip in clips.sequences
    )
    found = []
    for count, what in ((nobody, "show nobody"), (frozen, "show the same in every frame")):
        if count > ODD_PART * len(clips):
            found.append(f"{count:,} of {len(clips):,} clips {what}")
    return found


def _is_seen(clip: LandmarkSequence) -> bool:
    return bool(np.isfinite(clip.body).any() or np.isfinite(clip.hands).any())


def _check_copies(clips: ClipSet, where: str) -> list[str]:
    """Raise InputError on a clip that two signers made; say how many are there twice."""
    first: dict[bytes, int] = {}
    copies: list[tuple[int, int]] = []
    for i, clip in enumerate(clips.sequences):
        if _is_seen(clip):
            content = hashlib.blake2b(clip.body.tobytes() + clip.hands.tobytes()).digest()
            if (other := first.setdefault(content, i)) != i:
                copies.append((other, i))
    for other, i in copies:
        if clips.signers[other] != clips.signers[i]:
            raise InputError(
                f"{where}: clips {other} and {i} are the same, by signers {clips.signers[other]!r}"
                f" and {clips.signers[i]!r}: what one signer teaches would be tested on the other:"
                " remove one of them"
            )
    if not copies:
        return []
    other, i = next((p for p in copies if clips.labels[p[0]] != clips.labels[p[1]]), copies[0])
    return [
        f"{len(copies):,} clips are copies of others, clip {i} ({clips.labels[i]!r}) of clip"
        f" {other} ({clips.labels[other]!r})"
    ]
