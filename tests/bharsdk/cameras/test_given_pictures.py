"""Pictures that others make: gray, color, or with alpha, in memory that is used again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from bharsdk.cameras.given_pictures import taken_over
from bharsdk.cameras.pictures import CapturedImage
from bharsdk.cameras.source_config import Backpressure, SourceConfig
from bharsdk.errors import InputError
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.sources.opening import open_source

SHAPES = [(8, 12), (8, 12, 1), (8, 12, 3), (8, 12, 4)]
COUNT = 12


class Numbering:
    """A landmarker whose body stands where the picture's brightness says; its memory is one, too.

    late: it looks at pictures only when all were given, as a slow one does.
    """

    def __init__(self) -> None:
        self.body = np.zeros((33, 4), np.float32)
        self.hands = np.zeros((2, 21, 3), np.float32)

    def detect(self, image: np.ndarray, timestamp_ms: float) -> tuple[Landmarks, ...]:
        assert image.dtype == np.uint8
        assert image.shape == (8, 12, 3)
        self.body[:] = image.mean() / 255
        return (Landmarks(timestamp_ms, self.body, self.hands, 1.5),)

    def close(self) -> None: ...


def _reusing(shape: tuple[int, ...]) -> Iterator[tuple[np.ndarray, float]]:
    """COUNT pictures, each brighter than the last, all in one memory."""
    memory = np.zeros(shape, np.uint8)
    for number in range(COUNT):
        memory[:] = 20 * number
        yield memory, number * 40.0
    memory[:] = 255


class ReusingPictures:
    """The same from a class of the user's."""

    name, is_live, fps, frame_count = "mine", False, None, COUNT

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape

    def __iter__(self) -> Iterator[CapturedImage]:
        for image, time_ms in _reusing(self._shape):
            yield CapturedImage(image, time_ms)

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["iterator", "class"])
def test_pictures_may_share_one_memory(shape: tuple[int, ...], kind: str):
    """All frames are taken before the first is looked at: pictures and landmarks stay their own."""
    source = _reusing(shape) if kind == "iterator" else ReusingPictures(shape)
    config = SourceConfig(Backpressure.WAIT, slots=COUNT)
    with open_source(source, Numbering(), config) as frames:
        found = list(frames)
    expected = [20 * number for number in range(COUNT)]
    assert [int(frame.image[0, 0, 0]) for frame in found if frame.image is not None] == expected
    shown = [float(frame.landmarks.body[0, 0]) * 255 for frame in found]
    np.testing.assert_allclose(shown, expected, atol=0.1)


def test_landmarks_may_share_one_memory():
    """A sequence of Landmarks, too, keeps what it was given and not what its memory becomes."""
    body, hands = np.zeros((33, 4), np.float32), np.zeros((2, 21, 3), np.float32)
    frames = []
    for number in range(3):
        body[:], hands[:] = number, number
        frames.append(Landmarks(number * 40.0, body, hands))
    times, bodies = np.arange(3.0), np.zeros((3, 33, 4), np.float32)
    clip = LandmarkSequence(times, bodies, np.zeros((3, 2, 21, 3), np.float32))
    times += 100
    bodies += 7
    assert [(float(f.body[0, 0]), float(f.hands[0, 0, 0])) for f in frames] == [
        (number, number) for number in range(3)
    ]
    assert clip.timestamps_ms.tolist() == [0.0, 1.0, 2.0]
    assert not clip.body.any()
    with pytest.raises(ValueError, match="read-only"):
        frames[0].body[0] = 1


def test_landmarks_that_nobody_can_change_are_not_copied_again():
    clip = LandmarkSequence(
        np.arange(3.0), np.zeros((3, 33, 4), np.float32), np.zeros((3, 2, 21, 3), np.float32)
    )
    for frame in clip.frames():
        assert np.shares_memory(frame.body, clip.body)
    assert np.shares_memory(clip.replaced(aspect=1.0).hands, clip.hands)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_kind_of_picture_becomes_bgr(shape: tuple[int, ...]):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    taken = taken_over(image, "picture 0")
    assert taken.shape == (8, 12, 3)
    assert taken.flags.c_contiguous
    assert not np.shares_memory(taken, image)
    for channel in range(3):
        source = channel if image.ndim == 3 and shape[2] > 1 else ...
        expected = image[..., source] if image.ndim == 3 and shape[2] > 1 else image.reshape(8, 12)
        np.testing.assert_array_equal(taken[..., channel], expected)
    np.testing.assert_array_equal(taken_over(image[:, ::-1], "picture 0"), taken[:, ::-1])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 12, 2), np.uint8),
        np.zeros((8, 12, 5), np.uint8),
        np.zeros((8, 12, 3), np.float32),
        np.zeros((8, 12), np.uint16),
        np.zeros((0, 12, 3), np.uint8),
        np.zeros(12, np.uint8),
        np.zeros((1, 8, 12, 3), np.uint8),
        None,
        "picture",
        [[1, 2], [3]],
    ],
)
def test_another_array_is_named_with_what_was_expected(image: object):
    with pytest.raises(InputError, match=r"as picture 3, expected uint8 \[height, width, 3\]"):
        taken_over(image, "picture 3")


@pytest.mark.parametrize("time", ["soon", None, 10**400])
def test_a_time_that_is_none_is_named(time: object):
    pairs = [(np.zeros((8, 12, 3), np.uint8), time)]
    with (
        open_source(pairs, Numbering()) as frames,  # type: ignore[arg-type]
        pytest.raises(InputError, match="as the time of picture 0, expected milliseconds"),
    ):
        list(frames)
