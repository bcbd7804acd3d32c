"""Check that skeleton clips are what they were read as: joints in order, meters, y up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bhar_training.data.labels import label_doubts
from bhar_training.data.notes import doubt, note
from bhar_training.data.skeletons import SkeletonClips
from bharsdk.errors import InputError
from bharsdk.landmarks.skeleton import OPENPOSE18, Skeleton

__all__ = ["accept", "check_skeletons"]

FloatArray = npt.NDArray[np.float32]

LOOKED_AT = 2000
"""Clips, evenly spread over the set."""
ENOUGH_FRAMES = 10
LONG_BONE = 0.25
"""Of the extent of a body: a typical bone is 0.13 to 0.18 of it, and 0.4 when joints are mixed."""
HEAD_ABOVE_HIPS = 0.15
"""Of the height; 0.4 of a person who stands."""
TALL_M = (0.3, 4.0)
"""What a body measures from its lowest joint to its highest, in most frames of most clips."""
FAR_OUTSIDE = 10.0
"""Pictures; of joints in 2D, which are fractions of one."""
ODD_PART = 0.2


def accept(clips: SkeletonClips, path: Path, *, empty: Sequence[Path] = ()) -> SkeletonClips:
    """Return ``clips`` unchanged, after saying what was assumed and what looks odd.

    empty: files that were left out because nobody is in them. Raises InputError on coordinates that
    are infinite, or missing in a part of a body.
    """
    _check_finite(clips, path)
    name = path.resolve().name
    flat = clips.skeleton.name == OPENPOSE18.name
    units = "x, y and confidence, y down" if flat else "meters, y up"
    parts = [
        f"{name}: {len(clips):,} clips of {clips.skeleton.name}, {clips.skeleton.joint_count}"
        f" joints; {units} assumed"
    ]
    if empty:
        files = "file" if len(empty) == 1 else "files"
        parts.append(f"{len(empty):,} {files} without a body left out, {empty[0].name} the first")
    note("; ".join(parts))
    for text in (*label_doubts(clips.labels), *check_skeletons(clips)):
        doubt(f"{name}: {text}")
    return clips


def _check_finite(clips: SkeletonClips, path: Path) -> None:
    for i, clip in enumerate(clips.clips):
        missing = np.isnan(clip)
        whole = missing.all(axis=(1, 2)) | ~missing.any(axis=(1, 2))
        if not whole.all() or np.isinf(clip).any():
            raise InputError(
                f"{path}: clip {i}: got coordinates that are NaN or infinite, expected finite ones"
            )


def check_skeletons(clips: SkeletonClips) -> list[str]:
    """Return what is odd about ``clips``, a line for each finding."""
    step = -(-len(clips) // LOOKED_AT)
    bodies = _bodies(clips.clips[::step])
    if len(bodies) < ENOUGH_FRAMES:
        return []
    found = _of_picture(bodies) if clips.skeleton.name == OPENPOSE18.name else _of_space(bodies)
    found += _of_order(bodies, clips.skeleton)
    frozen = sum(
        len(clip) > 1 and np.array_equal(clip[1:], clip[:-1], equal_nan=True)
        for clip in clips.clips
    )
    if frozen > ODD_PART * len(clips):
        found.append(f"{frozen:,} of {len(clips):,} clips show the same in every frame")
    return found


def _bodies(clips: Iterable[FloatArray]) -> FloatArray:
    """The first person in the frames in which it is seen, [N, V, 3]."""
    bodies = [clip[np.isfinite(clip[:, 0, 0, 0]), :, :, 0] for clip in clips]
    return np.concatenate(bodies)


def _of_space(bodies: FloatArray) -> list[str]:
    height = float(np.median(np.ptp(bodies[..., 1], axis=1)))
    if TALL_M[0] <= height <= TALL_M[1]:
        return []
    return [
        f"bodies are typically {height:.4g} tall: expected meters (millimeters: divide by 1,000;"
        " pixels are no meters)"
    ]


def _of_picture(bodies: FloatArray) -> list[str]:
    found = []
    score = bodies[..., 2]
    if np.mean(((score < -0.01) | (score > 1.01)).any(axis=1)) > ODD_PART:
        found.append(
            f"confidences are {score.min():.2f} to {score.max():.2f}: expected 0 to 1 behind x, y"
        )
    typical = float(np.median(np.abs(bodies[..., :2])))
    if typical > FAR_OUTSIDE:
        found.append(f"coordinates are typically {typical:.0f}: expected fractions of the picture")
    return found


def _of_order(bodies: FloatArray, skeleton: Skeleton) -> list[str]:
    """Heads are above hips, and joined joints near each other."""
    flat = skeleton.name == OPENPOSE18.name
    names = skeleton.joints
    head = names.index("nose" if flat else "head")
    hips = [names.index("left_hip"), names.index("right_hip")]
    above = (bodies[:, head, 1] - bodies[:, hips, 1].mean(axis=1)) * (-1 if flat else 1)
    height = np.ptp(bodies[..., 1], axis=1)
    found = []
    if np.median(above) < HEAD_ABOVE_HIPS * np.median(height):
        found.append(
            f"heads are mostly not above the hips: expected y {'down' if flat else 'up'}, and the"
            f" joints in the order {', '.join(names[:4])} ..."
        )
    dimensions = 2 if flat else 3
    points = bodies[..., :dimensions]
    bones = np.linalg.norm(points - points[:, list(skeleton.parents)], axis=2)
    extent = np.linalg.norm(np.ptp(points, axis=1), axis=1)
    # Each bone by its median: joints that are not seen are elsewhere in some frames.
    typical = np.median(np.median(bones, axis=0)) / max(float(np.median(extent)), 1e-9)
    if typical > LONG_BONE:
        found.append(
            f"a typical bone is {100 * typical:.0f} % of a body: the joints are in another order"
            f" than {', '.join(names[:4])} ..."
        )
    return found
