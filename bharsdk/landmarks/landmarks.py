"""What a landmarker saw: a frame (:class:`Landmarks`) or a clip (:class:`LandmarkSequence`).

Coordinates are those of MediaPipe. x and y are fractions of image width and height. z has the unit
of x, and smaller is nearer; it is 0 for a landmarker without depth. What was not detected is NaN,
never zero: zeros look like a pose in the corner of the image. :mod:`bharsdk.landmarks.partial` says
what a partly detected body counts as. ``aspect`` (image width / height) travels along, because the
same gesture has another shape on another camera.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_COORDINATE, MAX_FPS, MAX_TIMESTAMP_MS
from bharsdk.landmarks.flat_layout import check_values
from bharsdk.landmarks.skeleton import (
    MEDIAPIPE_BODY25,
    MEDIAPIPE_HAND21,
    BodyJoint,
    HandJoint,
    joint_mapping,
    landmark_joints,
    skeleton_by_name,
)
from bharsdk.values.brief import brief
from bharsdk.values.checks import typed

__all__ = [
    "DEFAULT_ASPECT",
    "FLAT_SIZES",
    "LandmarkSequence",
    "Landmarks",
    "pose_mirror",
]

FloatArray = npt.NDArray[np.float32]

DEFAULT_ASPECT = 16 / 9
"""Assumed for recordings that do not say. For the public words recordings it was estimated: the
bones of a palm vary least in length, however the hand turns, at an aspect near 1.8."""

POSE_VALUES = BodyJoint.COUNT * 4
HAND_VALUES = HandJoint.COUNT * 3
"""Of one hand in a flat frame."""
FACE_POINTS = (468, 478)
"""Of the face mesh; the longer one has the irises too."""
FLAT_SIZES = {
    before + 2 * HAND_VALUES: before
    for before in (0, POSE_VALUES, *(POSE_VALUES + 3 * points for points in FACE_POINTS))
}
"""Values a frame of the public layouts (126: hands alone, 258: pose and hands, 1,662 or 1,692: with
the face mesh between them) -> how many of them come before the hands."""

ASPECTS = (0.1, 10.0)
"""Of images."""
BLOCK = 4096
"""Frames that are checked at a time: the checks of a long clip then need little memory."""
BODY_SHAPE = (BodyJoint.COUNT, 4)
HANDS_SHAPE = (2, HandJoint.COUNT, 3)
SKELETONS = (MEDIAPIPE_BODY25.name, MEDIAPIPE_HAND21.name)
"""Of body and hands, where landmarks name no others."""


def pose_mirror() -> tuple[int, ...]:
    """Return for each of the 33 pose landmarks the index of its counterpart on the other side."""
    upper = MEDIAPIPE_BODY25.mirror
    # Knees, ankles, heels and feet follow as left/right pairs.
    lower = tuple(i + 1 if i % 2 else i - 1 for i in range(len(upper), BodyJoint.COUNT))
    return upper + lower


@dataclass(frozen=True, eq=False)
class Landmarks:
    """One frame of one person. Arrays are copied.

    A landmarker without a body or without hands leaves them NaN: see :meth:`of_body` and
    :meth:`of_hands`.

    Attributes:
        timestamp_ms: capture time in milliseconds, 0 to 1e15.
        body: float32 [33, 4]: x, y, z, visibility.
        hands: float32 [2, 21, 3], the left hand first.
        aspect: image width / height.
        skeletons: names of the skeletons of body and hands (:mod:`bharsdk.landmarks.skeleton`).
            Another skeleton than MediaPipe's has its own number of joints in place of 33 and 21.

    NaN marks what was not detected: a body, a hand or a single joint.

    Raises:
        InputError: a wrong shape, an unknown skeleton, an infinity or a coordinate beyond 1e9, or a
            joint of which only some coordinates are NaN.
    """

    timestamp_ms: float
    body: FloatArray
    hands: FloatArray
    aspect: float = DEFAULT_ASPECT
    skeletons: tuple[str, str] = SKELETONS

    def __post_init__(self) -> None:
        body_shape, hands_shape = shapes_of(self.skeletons)
        object.__setattr__(self, "body", _checked("body", self.body, body_shape))
        object.__setattr__(self, "hands", _checked("hands", self.hands, hands_shape))
        check_time(self.timestamp_ms)
        check_aspect(self.aspect)
        _check_frames(self.body[None], self.hands[None])

    def __repr__(self) -> str:
        sides = zip(("left", "right"), self.hands, strict=True)
        hands = [side for side, hand in sides if not np.isnan(hand[:, 0]).all()]
        return brief(
            self,
            timestamp_ms=self.timestamp_ms,
            has_body=self.has_body,
            hands=hands,
            aspect=self.aspect,
        )

    @property
    def has_body(self) -> bool:
        """Return whether any joint of the body was detected."""
        return not bool(np.isnan(self.body[:, 0]).all())

    @property
    def is_seen(self) -> bool:
        """Return whether any joint of body or hands was detected."""
        return self.has_body or not bool(np.isnan(self.hands[..., 0]).all())

    @classmethod
    def empty(cls, timestamp_ms: float, aspect: float = DEFAULT_ASPECT) -> Landmarks:
        """Return a frame in which nobody was detected."""
        return cls(
            timestamp_ms,
            np.full(BODY_SHAPE, np.nan, np.float32),
            np.full(HANDS_SHAPE, np.nan, np.float32),
            aspect,
        )

    @classmethod
    def of_body(
        cls,
        timestamp_ms: float,
        body: FloatArray,
        skeleton: str = SKELETONS[0],
        aspect: float = DEFAULT_ASPECT,
    ) -> Landmarks:
        """Return a body without hands. body: float32 [V, 4] of ``skeleton``."""
        hands = np.full(HANDS_SHAPE, np.nan, np.float32)
        return cls(timestamp_ms, body, hands, aspect, (skeleton, SKELETONS[1]))

    @classmethod
    def of_hands(
        cls,
        timestamp_ms: float,
        hands: FloatArray,
        skeleton: str = SKELETONS[1],
        aspect: float = DEFAULT_ASPECT,
    ) -> Landmarks:
        """Return two hands without a body. hands: float32 [2, V, 3] of ``skeleton``."""
        body = np.full(BODY_SHAPE, np.nan, np.float32)
        return cls(timestamp_ms, body, hands, aspect, (SKELETONS[0], skeleton))

    def mapped(self, skeletons: tuple[str, str] = SKELETONS) -> Landmarks:
        """Return the same person with the joints of other ``skeletons``; NaN where they have more.

        Raises InputError where no mapping between the two is declared.
        """
        if self.skeletons == skeletons:
            return self
        body, hands = _mapped(self.body, self.hands, self.skeletons, skeletons)
        return Landmarks(self.timestamp_ms, body, hands, self.aspect, skeletons)


@dataclass(frozen=True, eq=False)
class LandmarkSequence:
    """T frames of one person, in time order. Arrays are copied.

    Attributes:
        body: float32 [T, 33, 4].
        hands: float32 [T, 2, 21, 3].
        timestamps_ms: float64 [T], strictly increasing, 0 to 1e15.
        aspect: image width / height.
        skeletons: as in :class:`Landmarks`.

    Raises:
        InputError: as :class:`Landmarks`; also on T = 0 and on timestamps that do not increase.
    """

    timestamps_ms: npt.NDArray[np.float64]
    body: FloatArray
    hands: FloatArray
    aspect: float = DEFAULT_ASPECT
    skeletons: tuple[str, str] = SKELETONS

    def __post_init__(self) -> None:
        body_shape, hands_shape = shapes_of(self.skeletons)
        times = _kept(_times(self.timestamps_ms), np.float64)
        frames = len(times)
        if times.ndim != 1 or frames == 0:
            raise InputError(f"landmarks: got {times.shape} timestamps, expected at least one")
        check_increasing(times)
        object.__setattr__(self, "timestamps_ms", times)
        object.__setattr__(self, "body", _checked("body", self.body, (frames, *body_shape)))
        object.__setattr__(self, "hands", _checked("hands", self.hands, (frames, *hands_shape)))
        check_aspect(self.aspect)
        _check_frames(self.body, self.hands)

    def __repr__(self) -> str:
        times = self.timestamps_ms
        return brief(
            self, frames=len(self), start_ms=times[0], end_ms=times[-1], aspect=self.aspect
        )

    def __len__(self) -> int:
        return len(self.timestamps_ms)

    @classmethod
    def from_frames(cls, frames: Iterable[Landmarks]) -> LandmarkSequence:
        """Stack single frames.

        Frames in which nobody was found take the skeletons of the others. Raises InputError when
        there are no frames, or their aspects or skeletons differ.
        """
        items = [
            typed(Landmarks, item, "landmarks: got the frame")
            for item in typed(Iterable, frames, "landmarks: got the frames")
        ]
        if not items:
            raise InputError("landmarks: got no frames, expected at least one")
        aspects = {item.aspect for item in items}
        if len(aspects) > 1:
            raise InputError(f"landmarks: got image aspects {sorted(aspects)}, expected one")
        skeletons = next((item.skeletons for item in items if item.is_seen), items[0].skeletons)
        items = [_on(item, skeletons) for item in items]
        return cls(
            np.array([item.timestamp_ms for item in items]),
            np.stack([item.body for item in items]),
            np.stack([item.hands for item in items]),
            items[0].aspect,
            skeletons,
        )

    @classmethod
    def from_flat(
        cls,
        values: npt.ArrayLike,
        *,
        fps: float,
        aspect: float = DEFAULT_ASPECT,
        where: str = "landmarks",
    ) -> LandmarkSequence:
        """Read a public flat layout: ``values`` [T, 126], [T, 258], [T, 1662] or [T, 1692].

        The order is: pose 33 x (x, y, z, visibility), in the two longest forms the face (468 or 478
        points), left hand, right hand, 21 x (x, y, z) each. All zeros mean "not detected". The
        shortest form has hands alone. Frames are stamped at ``fps``, which these files do not
        store.

        Raises InputError naming ``where`` on another number of values, on values that are not
        finite, and on another order or unit (:mod:`bharsdk.landmarks.flat_layout`).
        """
        array = _flat_values(values, fps, where)
        check_aspect(aspect)
        if array.shape[1] not in FLAT_SIZES:
            raise InputError(
                f"{where}: got {array.shape[1]} values a frame, expected 126 (hands), 258 (pose and"
                " hands), 1662 or 1692 (pose, face and hands) of MediaPipe Holistic"
            )
        start = FLAT_SIZES[array.shape[1]]
        body = np.zeros((len(array), *BODY_SHAPE), np.float32)
        if start:
            body[:] = array[:, :POSE_VALUES].reshape(body.shape)
        hands = array[:, start:].reshape(-1, *HANDS_SHAPE).copy()
        body[~body.any(axis=(1, 2))] = np.nan
        hands[~hands.any(axis=(2, 3))] = np.nan
        check_values(body, hands, aspect, where)
        return cls(np.arange(len(array)) * (1000.0 / fps), body, hands, aspect)

    def to_flat(self) -> FloatArray:
        """Return the 258-value layout, float32 [T, 258], zeros where nothing was detected.

        Raises InputError on another skeleton than MediaPipe's, and on a partly detected body or
        hand, for which the layout has no room.
        """
        parts_missing = any(
            (gone.any(axis=-1) != gone.all(axis=-1)).any()
            for gone in (np.isnan(self.body[..., 0]), np.isnan(self.hands[..., 0]))
        )
        if self.skeletons != SKELETONS or parts_missing:
            got = "a partly detected body or hand" if parts_missing else str(self.skeletons)
            raise InputError(
                f"landmarks: got {got} for the flat layout, expected all joints of MediaPipe: save"
                " a session"
            )
        parts = [self.body.reshape(len(self), -1), self.hands.reshape(len(self), -1)]
        flat: FloatArray = np.nan_to_num(np.concatenate(parts, axis=1), nan=0.0)
        return flat

    def frames(self) -> Iterator[Landmarks]:
        """Yield the single frames in order."""
        for time, body, hands in zip(self.timestamps_ms, self.body, self.hands, strict=True):
            yield Landmarks(float(time), body, hands, self.aspect, self.skeletons)

    def mirrored(self) -> LandmarkSequence:
        """Return the clip in a mirror: x flips, left and right joints and hands are swapped."""
        flip = np.array([-1, 1, 1], np.float32)
        shift = np.array([1, 0, 0], np.float32)
        name = self.skeletons[0]
        mirror = pose_mirror() if name == SKELETONS[0] else skeleton_by_name(name).mirror
        body = self.body[:, mirror, :].copy()
        body[..., :3] = body[..., :3] * flip + shift
        return self.replaced(body=body, hands=self.hands[:, ::-1] * flip + shift)

    def mapped(self, skeletons: tuple[str, str] = SKELETONS) -> LandmarkSequence:
        """Return the same clip with the joints of other ``skeletons``, as of a frame."""
        if self.skeletons == skeletons:
            return self
        body, hands = _mapped(self.body, self.hands, self.skeletons, skeletons)
        return LandmarkSequence(self.timestamps_ms, body, hands, self.aspect, skeletons)

    def replaced(self, **changes: Any) -> LandmarkSequence:
        """Return a copy with the named fields changed and checked."""
        fields = ("timestamps_ms", "body", "hands", "aspect", "skeletons")
        return LandmarkSequence(**{name: changes.get(name, getattr(self, name)) for name in fields})


def shapes_of(skeletons: tuple[str, str]) -> tuple[tuple[int, int], tuple[int, int, int]]:
    """Return the shapes of body and hands in a frame. Raises InputError on unknown skeletons."""
    names = skeletons if isinstance(skeletons, tuple | list) else ()
    if len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise InputError(f"landmarks: got skeletons {skeletons!r:.80}, expected two names")
    body, hand = (landmark_joints(name) for name in names)
    return (body, 4), (2, hand, 3)


def _mapped(
    body: FloatArray, hands: FloatArray, source: tuple[str, str], target: tuple[str, str]
) -> tuple[FloatArray, FloatArray]:
    """body [..., V, 4] and hands [..., 2, V, 3] with the joints of ``target``.

    What was not found at all needs no mapping.
    """
    result = []
    for points, one, other in zip((body, hands), source, target, strict=True):
        indices = joint_mapping(one, other)
        if indices is None and np.isnan(points[..., 0]).all():
            indices = (-1,) * landmark_joints(other)
        if indices is None:
            raise InputError(
                f"landmarks: got joints of {one}, expected {other}: use another landmarker or"
                " model, or declare the mapping in bharsdk/landmarks/skeleton.py"
            )
        at = np.array(indices)
        moved = points[..., np.maximum(at, 0), :].copy()
        moved[..., at < 0, :] = np.nan
        result.append(moved)
    return result[0], result[1]


def _on(item: Landmarks, skeletons: tuple[str, str]) -> Landmarks:
    if item.skeletons == skeletons or not item.is_seen:
        return item.mapped(skeletons)
    raise InputError(
        f"landmarks: got frames of skeletons {skeletons} and {item.skeletons}, expected one pair"
    )


def _flat_values(values: npt.ArrayLike, fps: float, where: str) -> FloatArray:
    """[T, values] as float32, finite. Raises InputError naming ``where``."""
    if not 0 < typed(float, fps, f"{where}: got fps") <= MAX_FPS:
        raise InputError(f"{where}: got {fps:g} frames a second, expected up to {MAX_FPS}")
    array = _array(values)
    if array.dtype.kind not in "fiu" or array.ndim != 2:
        raise InputError(
            f"{where}: got {array.dtype} {array.shape}, expected numbers [frames, values]"
        )
    if not len(array):
        raise InputError(f"{where}: got no frames, expected at least one")
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite: refused
        flat: FloatArray = array.astype(np.float32)
    if not np.isfinite(flat).all():
        raise InputError(f"{where}: got NaN or infinite values, expected 0 for 'not detected'")
    return flat


def check_time(timestamp_ms: float) -> None:
    """Raise InputError unless ``timestamp_ms`` can be a capture time, milliseconds."""
    if not _is_within(timestamp_ms, 0, MAX_TIMESTAMP_MS):
        raise InputError(
            f"landmarks: got timestamp {timestamp_ms!r:.40}, expected milliseconds, 0 to"
            f" {MAX_TIMESTAMP_MS:g}"
        )


def check_increasing(timestamps_ms: npt.NDArray[np.float64]) -> None:
    """Raise InputError unless timestamps [T] are times that strictly increase."""
    if not ((timestamps_ms >= 0) & (timestamps_ms <= MAX_TIMESTAMP_MS)).all():
        raise InputError(
            "landmarks: got a timestamp that is negative, not finite or too late, expected"
            f" milliseconds, 0 to {MAX_TIMESTAMP_MS:g}"
        )
    wrong = np.flatnonzero(np.diff(timestamps_ms) <= 0)
    if len(wrong):
        i = int(wrong[0])
        raise InputError(
            f"landmarks: got timestamp {timestamps_ms[i + 1]:g} ms after {timestamps_ms[i]:g} ms,"
            " expected strictly increasing capture times"
        )


def _checked(name: str, values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    array = _array(values)
    if array.shape != shape or array.dtype.kind != "f":
        raise InputError(
            f"landmarks: got {name} {array.dtype} {list(array.shape)}, expected float32"
            f" {list(shape)}"
        )
    return _kept(array, np.float32)


def _kept(values: npt.ArrayLike, dtype: type[Any]) -> npt.NDArray[Any]:
    """``values`` as nobody can change them: a copy, unless they are so already.

    Whoever gave them may use their memory for the next frame, while threads still read this one.
    """
    array = np.asarray(values)
    owner = array if array.base is None else array.base
    is_ours = isinstance(owner, np.ndarray) and owner.base is None and not owner.flags.writeable
    if not is_ours or array.dtype != dtype or not array.flags.c_contiguous:
        array = np.array(array, dtype, order="C")
        array.flags.writeable = False
    return array.view()


def _array(values: object) -> npt.NDArray[Any]:
    """``values`` as an array; one of objects where rows have several lengths."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError):
        return np.empty((), object)


def _times(values: object) -> npt.NDArray[np.float64]:
    """Timestamps as float64 [...]. Raises InputError on what is no array of numbers."""
    array = _array(values)
    if array.dtype.kind not in "fiu" or array.ndim != 1:
        raise InputError(
            f"landmarks: got timestamps {array.dtype} {list(array.shape)}, expected milliseconds,"
            " float64 [T]"
        )
    return np.ascontiguousarray(array, np.float64)


def _check_frames(body: FloatArray, hands: FloatArray) -> None:
    """body [T, 33, 4], hands [T, 2, 21, 3]: refuse what no detection gives."""
    for begin in range(0, len(body), BLOCK):
        part = slice(begin, begin + BLOCK)
        _check_whole("body", body[part, None, :, :3], begin)
        _check_visibility(body[part])
        _check_whole("hand", hands[part], begin)


def _check_whole(name: str, points: FloatArray, begin: int) -> None:
    """points [T, instances, joints, 3]: refuse infinities and joints that are only partly NaN."""
    missing = np.isnan(points)
    if not ((np.abs(points) <= MAX_COORDINATE) | missing).all():
        raise InputError(
            f"landmarks: got an infinite or huge {name} coordinate, expected fractions of the"
            " image, or NaN for 'not detected'"
        )
    partly = missing.any(axis=3) != missing.all(axis=3)
    if partly.any():
        frame = begin + int(np.flatnonzero(partly.any(axis=(1, 2)))[0])
        raise InputError(
            f"landmarks: got a joint of a {name} with some NaN coordinates in frame {frame},"
            " expected all finite, or all NaN for 'not detected'"
        )


def _check_visibility(body: FloatArray) -> None:
    """body [..., 33, 4]: refuse a visibility that is not finite beside a detected joint."""
    if not np.isfinite(body[..., 3][~np.isnan(body[..., 0])]).all():
        raise InputError(
            "landmarks: got a NaN or infinite visibility of a detected body, expected 0 to 1"
        )


def check_aspect(aspect: float) -> None:
    """Raise InputError unless ``aspect`` can be an image's width / height."""
    if not _is_within(aspect, *ASPECTS):
        raise InputError(f"landmarks: got image aspect {aspect!r:.40}, expected width / height")


def check_aspects(aspects: npt.NDArray[np.float64]) -> None:
    """Raise InputError unless all of ``aspects`` [T] can be an image's width / height."""
    wrong = np.flatnonzero(~((aspects >= ASPECTS[0]) & (aspects <= ASPECTS[1])))
    if len(wrong):
        check_aspect(float(aspects[wrong[0]]))


def _is_within(value: object, low: float, high: float) -> bool:
    """Whether ``value`` is a number from ``low`` to ``high``; NaN is not."""
    if not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(low <= value <= high)
