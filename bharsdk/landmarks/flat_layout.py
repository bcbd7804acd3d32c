"""Check that values read as MediaPipe's have its order and units.

Flat layouts are recognized by the number of values a frame. Other orders have the same number:
hands before the pose, the face elsewhere, the right hand first. So have pixels, and -1 for "not
detected". The values themselves tell, over some frames.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError
from bharsdk.landmarks.skeleton import BodyJoint, HandJoint

__all__ = [
    "ENOUGH_FRAMES",
    "check_values",
    "visibility_finding",
    "wrist_distances",
    "wrist_finding",
]

FloatArray = npt.NDArray[np.float32]

ORDER = "pose, face if there is one, left hand, right hand"
ENOUGH_FRAMES = 10
"""Fewer say nothing: one frame can be odd."""
OFTEN = 0.2
"""Part of the frames. In MediaPipe's own order none is so; in others at least half of them are."""
VISIBILITY = (-0.01, 1.01)
"""MediaPipe's lie within 0 and 1; the rest is rounding."""
IN_PICTURE, MOSTLY_INSIDE = (-0.5, 1.5), 0.8
"""Where points are whose landmarker has seen them, and what part of them."""
FAR_OUTSIDE = 10.0
"""Pictures. People who are partly out of it are guessed up to two away; pixels are hundreds."""
APART, FAR = 0.5, 0.75
"""Shoulder widths: wrists that can be told apart; a hand that is not at its wrist. Of all
recordings looked at, the median distance was 0.08 at most."""
AT_FACE = 0.5
"""Shoulder widths from the nose: there, and not at its wrist, a hand is a piece of the face."""
SWAPPED, OFTEN_SWAPPED = 0.9, 0.2
"""Part of the hands nearer to the other side's wrist; in good recordings it is 0.01."""
LEAST_HANDS = 50


def check_values(body: FloatArray, hands: FloatArray, aspect: float, where: str) -> None:
    """Raise InputError, naming ``where``, unless the values can be MediaPipe's.

    body: [T, 33, 4]. hands: [T, 2, 21, 3], NaN where not detected. It looks for a value that stands
    for "not detected" in place of 0, for pixels, for a visibility out of range, and for hands at
    the other wrist or at the face.
    """
    for name, points in (("body", body[:, None, :, :3]), ("hand", hands)):
        real = _checked_constants(name, points, where)
        seen = points[real][..., :2]
        is_far = bool(seen.size) and max(seen.max(), -seen.min()) > FAR_OUTSIDE  # fast, and rare
        if is_far and (typical := float(np.median(np.abs(seen)))) > FAR_OUTSIDE:
            raise InputError(
                f"{where}: got {name} coordinates of typically {typical:.0f}, expected fractions of"
                " the picture: divide pixels, x by its width and y by its height, z by its width"
            )
    findings = [visibility_finding(body)]
    if 2 * len(hands) >= LEAST_HANDS:
        findings.append(wrist_finding(wrist_distances(body, hands, aspect)))
    for finding in findings:
        if finding is not None and finding[1]:
            raise InputError(f"{where}: {finding[0]}")


def _checked_constants(name: str, points: FloatArray, where: str) -> npt.NDArray[np.bool_]:
    """Which bodies or hands [T, instances] of points [T, instances, joints, 3] have a shape.

    One that is a single value is not detected. Raises InputError when a value stands for that.
    """
    constant, first = _is_constant(points), points[..., 0, 0]
    values, counts = np.unique(first[constant], return_counts=True)
    stands = (values < 0) | (counts >= ENOUGH_FRAMES)
    if stands.any():
        raise InputError(
            f"{where}: got a {name} whose values are all {values[stands][0]:g}, in"
            f" {counts[stands][0]} frames, expected 0 for 'not detected': replace them"
        )
    real: npt.NDArray[np.bool_] = np.isfinite(first) & ~constant
    return real


def _is_constant(points: FloatArray) -> npt.NDArray[np.bool_]:
    """points [T, instances, joints, 3] -> which bodies or hands are one value, [T, instances]."""
    constant: npt.NDArray[np.bool_] = (points == points[..., :1, :1]).all(axis=(2, 3))
    return constant


def visibility_finding(body: FloatArray) -> tuple[str, bool] | None:
    """Return what is wrong with the visibilities of body [T, 33, 4], and whether it is certain.

    None if nothing is. It is certain where x and y lie in the picture all the same.
    """
    seen = body[np.isfinite(body[:, 0, 0]) & ~_is_constant(body[:, None, :, :3])[:, 0]]
    visibility = seen[..., 3]
    wrong = ((visibility < VISIBILITY[0]) | (visibility > VISIBILITY[1])).any(axis=1)
    if wrong.sum() < max(ENOUGH_FRAMES, OFTEN * len(wrong)):
        return None
    points = seen[wrong, : BodyJoint.RIGHT_HIP + 1, :2]  # legs are often below the picture
    inside = float(np.mean((points > IN_PICTURE[0]) & (points < IN_PICTURE[1])))
    return (
        f"got a visibility of {visibility.min():.2f} to {visibility.max():.2f} in {wrong.sum()} of"
        f" {len(wrong)} frames, expected 0 to 1: the order must be {ORDER}",
        inside >= MOSTLY_INSIDE,
    )


def wrist_distances(body: FloatArray, hands: FloatArray, aspect: float) -> npt.NDArray[np.float64]:
    """Return the distance of each hand to its own wrist, the other wrist and the nose: [K, 3].

    The unit is the width of the shoulders. Only frames count in which the wrists are apart.
    """
    scale = np.array([aspect, 1.0])
    shoulders = body[:, [BodyJoint.LEFT_SHOULDER, BodyJoint.RIGHT_SHOULDER], :2] * scale
    wrists = body[:, [BodyJoint.LEFT_WRIST, BodyJoint.RIGHT_WRIST], :2] * scale
    ends = hands[:, :, HandJoint.WRIST, :2] * scale
    width = np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1)
    apart = np.linalg.norm(wrists[:, 0] - wrists[:, 1], axis=1) > APART * width
    own = np.linalg.norm(ends - wrists, axis=2)
    other = np.linalg.norm(ends - wrists[:, ::-1], axis=2)
    face = np.linalg.norm(ends - body[:, None, BodyJoint.NOSE, :2] * scale, axis=2)
    usable = np.isfinite(own) & (apart & (width > 0))[:, None]  # a comparison with NaN is false
    each = np.stack([own, other, face], axis=2) / np.where(width > 0, width, 1.0)[:, None, None]
    found: npt.NDArray[np.float64] = each[usable]
    return found


def wrist_finding(distances: npt.NDArray[np.float64]) -> tuple[str, bool] | None:
    """Return what is wrong with the distances [K, 3], and whether it is certain; else None."""
    if len(distances) < LEAST_HANDS:
        return None
    swapped = float(np.mean(distances[:, 0] > distances[:, 1]))
    far = float(np.median(distances[:, 0]))
    if swapped >= SWAPPED:
        return (
            f"in {100 * swapped:.0f} % of the frames a hand is nearer to the other side's wrist:"
            " left and right hand are swapped, expected the left hand first",
            True,
        )
    if far > FAR:
        return (
            f"hands are typically {far:.1f} shoulder widths away from their wrists: the order must"
            f" be {ORDER}",
            float(np.median(distances[:, 2])) < AT_FACE,
        )
    if swapped > OFTEN_SWAPPED:
        return (
            f"in {100 * swapped:.0f} % of the frames a hand is nearer to the other side's wrist:"
            " in some recordings left and right hand may be swapped",
            False,
        )
    return None
