"""What a clip must be that a gesture is enrolled from: one gesture, made once, seen.

A clip is a path, a path and the part of it that counts (``wave.mp4@1.5-3.0``, seconds from its
first frame), or landmarks in memory. A session that says of one sign when it was made, and of no
other, counts from there to there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bharsdk.bundle.manifest import Manifest
from bharsdk.errors import InputError
from bharsdk.gestures.augment import check_seen
from bharsdk.landmarkers.registry import LandmarkerLike
from bharsdk.landmarks.action import find_action, frames_between, parse_range, part_of
from bharsdk.landmarks.activity import activity_of
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.landmarks.motion import movement
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import SUFFIX, load_session
from bharsdk.sources.opening import open_source
from bharsdk.values.checks import typed
from bharsdk.values.redaction import address_name

__all__ = ["MAX_CLIP_S", "MIN_CLIPS", "Clip", "check_gesture", "read_clips"]

MIN_CLIPS = 3
"""Fewer do not tell what of a gesture is the gesture. More than five gain little."""
MAX_CLIP_S = 10.0
"""Seconds. A gesture takes one or two; who records it also starts and stops the recording."""
IN_MEMORY = re.compile(r"clip \d+")
"""What messages call a clip that is no file."""
WANTED = f"{MIN_CLIPS} to 5, of one gesture each"

Clip = str | Path | LandmarkSequence | Session
"""The path of a video or recorded session, a part of one (``wave.mp4@1.5-3.0``), or landmarks: one
gesture, made once."""


@dataclass(frozen=True)
class _Named:
    """A clip and what messages call it. part: seconds from the first frame; None: all of it."""

    name: str
    clip: Path | str | LandmarkSequence | Session
    part: tuple[float, float] | None = None


def read_clips(
    clips: Sequence[Clip], landmarker: LandmarkerLike | None = None
) -> list[tuple[str, LandmarkSequence]]:
    """(its name in messages, its landmarks) of every clip.

    Raises InputError on fewer than :data:`MIN_CLIPS`, on one that was given twice and on one longer
    than :data:`MAX_CLIP_S`, and what opening each of them raises.
    """
    if not isinstance(clips, str | Path):
        clips = typed(tuple[Any, ...], clips, "enroll: got the clips")
    if isinstance(clips, str | Path) or len(clips) < MIN_CLIPS:
        got = 1 if isinstance(clips, str | Path) else len(clips)
        raise InputError(f"enroll: got {got} clips, expected a list of {WANTED}")
    named = [_named(number, clip) for number, clip in enumerate(clips, 1)]
    for i, one in enumerate(named):
        for other in named[:i]:
            if _same_file(one, other):
                raise _twice(one.name, other.name)
    read: list[tuple[str, LandmarkSequence]] = []
    for one in named:
        sequence = _read(one, landmarker)
        for name, before in read:
            if _same_landmarks(sequence, before):
                raise _twice(one.name, name)
        read.append((one.name, sequence))
    return read


def check_gesture(clip: LandmarkSequence, manifest: Manifest, name: str) -> None:
    """Raise InputError, naming the clip, unless something happens in it, and once.

    A pose that is held is a gesture, unless the model's decoder asks for movement.
    """
    check_seen(clip, manifest.subject, name)
    seen = activity_of(clip)
    if seen.is_empty:
        raise InputError(
            f"{name}: got a clip in which no hand is seen and no wrist moves, expected one gesture;"
            " record it again with the hands in view"
        )
    bursts = seen.bursts()
    if len(bursts) > 1:
        # In the time of the file, of which this may be a part.
        given = parse_range(name)
        zero_ms = float(clip.timestamps_ms[0]) - (0.0 if given is None else 1000 * given[1][0])
        times = [((b.start_ms - zero_ms) / 1000, (b.end_ms - zero_ms) / 1000) for b in bursts]
        told = ", ".join(f"{start:.1f}-{end:.1f}" for start, end in times)
        raise InputError(
            f"{name}: got {len(bursts)} movements with rests between them (at {told} s), expected"
            f" one gesture, made once; {_advice(name, *times[0])}"
        )
    least, window_ms = manifest.decoder.min_movement, manifest.features.window_ms
    middle_ms = find_action(clip, window_ms).middle_ms
    shown = frames_between(clip, middle_ms - window_ms / 2, middle_ms + window_ms / 2)
    if movement(shown, float(shown.timestamps_ms[0])) < least:
        raise InputError(
            f"{name}: got a clip in which nothing moves, expected a movement: this model starts no"
            " event without one"
        )


def _named(number: int, clip: Clip) -> _Named:
    if isinstance(clip, str | Path):
        part = None if Path(clip).exists() else parse_range(str(clip))
        name = address_name(str(clip))
        return _Named(name, clip) if part is None else _Named(name, *part)
    if isinstance(clip, LandmarkSequence | Session):
        return _Named(f"clip {number}", clip)
    raise InputError(
        f"enroll: got {type(clip).__name__} as clip {number}, expected a path, landmarks or a"
        " session"
    )


def _read(one: _Named, landmarker: LandmarkerLike | None) -> LandmarkSequence:
    clip, part = one.clip, one.part
    if isinstance(clip, str | Path) and str(clip).endswith(SUFFIX):
        clip = load_session(clip)
    if isinstance(clip, str | Path):
        sequence = _watched(one, clip, landmarker)
    elif isinstance(clip, Session):
        sequence = clip.sequence
        if part is None and len(clip.truth) == 1:
            first_ms, (event,) = float(sequence.timestamps_ms[0]), clip.truth
            start_s = max(0.0, (event.start_ms - first_ms) / 1000)
            part = start_s, (event.end_ms - first_ms) / 1000
    else:
        sequence = clip
    sequence = sequence.mapped()
    if part is not None:
        sequence = part_of(sequence, *part, where=one.name)
    if sequence.timestamps_ms[-1] - sequence.timestamps_ms[0] > 1000 * MAX_CLIP_S:
        raise _too_long(one.name)
    return sequence


def _watched(one: _Named, path: str | Path, landmarker: LandmarkerLike | None) -> LandmarkSequence:
    """The landmarks of a video, as far as they are wanted: a long one is not watched to its end."""
    found: list[Landmarks] = []
    until_ms = 1000 * (MAX_CLIP_S if one.part is None else one.part[1])
    with open_source(path, landmarker) as frames:
        for frame in frames:
            if found and frame.timestamp_ms - found[0].timestamp_ms > until_ms:
                if one.part is None:
                    raise _too_long(one.name)
                break
            found.append(frame.landmarks)
    return LandmarkSequence.from_frames(found)


def _too_long(name: str) -> InputError:
    return InputError(
        f"{name}: got more than {MAX_CLIP_S:g} s, expected one gesture, made once;"
        f" {_advice(name, 1.5, 3.0)}"
    )


def _advice(name: str, start_s: float, end_s: float) -> str:
    if IN_MEMORY.fullmatch(name):
        return "cut it"
    given = parse_range(name)
    file = Path(name if given is None else given[0]).name
    return f"cut it, or name a part: {file}@{start_s:.1f}-{end_s:.1f}"


def _same_file(one: _Named, other: _Named) -> bool:
    """Whether both are of one file, by whatever name, and their parts overlap."""
    if one.clip is other.clip and not isinstance(one.clip, str | Path):
        return True
    if not (isinstance(one.clip, str | Path) and isinstance(other.clip, str | Path)):
        return False
    try:
        same = Path(one.clip).samefile(other.clip)
    except OSError:  # opening it says what is wrong with it
        same = str(one.clip) == str(other.clip)
    parts = one.part, other.part
    if not same or parts[0] is None or parts[1] is None:
        return same
    return parts[0][0] < parts[1][1] and parts[1][0] < parts[0][1]


def _same_landmarks(one: LandmarkSequence, other: LandmarkSequence) -> bool:
    """Whether every value is the same: no two recordings are."""
    return np.array_equal(one.body, other.body, equal_nan=True) and np.array_equal(
        one.hands, other.hands, equal_nan=True
    )


def _twice(name: str, other: str) -> InputError:
    same = "the same clip twice" if name == other else f"the same clip as {other}"
    return InputError(f"enroll: {name} is {same}, expected different recordings: {WANTED}")
