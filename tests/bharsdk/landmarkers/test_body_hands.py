from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bharsdk.cameras.pictures import CapturedImage
from bharsdk.cameras.video import Video
from bharsdk.errors import InputError, SourceError, UsageError
from bharsdk.landmarkers.body_hands import BodyHandsConfig, BodyHandsLandmarker
from bharsdk.landmarkers.landmarker import PipelinedLandmarker
from bharsdk.landmarkers.mediapipe import HolisticLandmarker
from bharsdk.landmarkers.mediapipe_graph import MediaPipeGraph, framework
from bharsdk.landmarkers.person_slots import Orders
from bharsdk.landmarks.landmarks import Landmarks
from bharsdk.landmarks.skeleton import BodyJoint
from bharsdk.landmarks.tracking import place_of
from bharsdk.sources.opening import open_source
from bharsdk.values.image import Image

cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
VIDEOS = Path(__file__).parents[3] / "examples" / "data" / "videos"
GRAY = np.full((120, 160, 3), 128, np.uint8)


@cache
def pictures(name: str, count: int) -> tuple[CapturedImage, ...]:
    """The first ``count`` pictures of a video of the examples."""
    with Video(VIDEOS / name) as video:
        return tuple(itertools.islice(video, count))


def signing() -> tuple[CapturedImage, ...]:
    """A person whose hands come and go; in the middle, some pictures of nobody."""
    shown = list(pictures("yo_001.mp4", 24))
    for i in range(10, 14):
        shown[i] = CapturedImage(np.full_like(shown[i].image, 128), shown[i].timestamp_ms, 0.0)
    return tuple(shown)


def in_turn(landmarker: BodyHandsLandmarker, shown: Sequence[CapturedImage]) -> list:
    return [landmarker.detect(picture.image, picture.timestamp_ms) for picture in shown]


def pipelined(landmarker: BodyHandsLandmarker, shown: Sequence[CapturedImage]) -> list:
    """As many under way as there may be."""
    found = []
    for number, picture in enumerate(shown):
        if number >= landmarker.depth:
            found.append(landmarker.receive())
        landmarker.send(picture.image, picture.timestamp_ms)
    return found + [landmarker.receive() for _ in range(len(shown) - len(found))]


def bits(found: Sequence[Sequence[Landmarks]]) -> list[list[tuple[float, float, bytes, bytes]]]:
    return [
        [(p.timestamp_ms, p.aspect, p.body.tobytes(), p.hands.tobytes()) for p in people]
        for people in found
    ]


def side_by_side(count: int) -> list[CapturedImage]:
    """Two real people in one picture: the middles of two videos, left and right."""
    videos = pictures("yo_001.mp4", count), pictures("ambulancia_001_270p.mp4", count)
    return [
        CapturedImage(
            np.hstack([cv2.resize(one.image, (960, 540))[:, 240:720] for one in both]),
            both[0].timestamp_ms,
            0.0,
        )
        for both in zip(*videos, strict=True)
    ]


def test_landmarks_are_holistic_s_to_the_bit_also_when_the_person_was_lost():
    shown = signing()
    with HolisticLandmarker() as holistic:
        expected = [holistic.detect(picture.image, picture.timestamp_ms) for picture in shown]
    assert () in expected
    assert any(not np.isnan(one.hands).all() for people in expected for one in people)
    with BodyHandsLandmarker() as ours:
        assert bits(in_turn(ours, shown)) == bits(expected)
    with BodyHandsLandmarker(BodyHandsConfig(depth=4)) as ours:
        assert bits(pipelined(ours, shown)) == bits(expected)


def test_a_source_sends_ahead_and_gets_every_frame_in_order():
    shown = signing()
    given = [(picture.image, picture.timestamp_ms) for picture in shown]
    with BodyHandsLandmarker() as landmarker:
        assert isinstance(landmarker, PipelinedLandmarker)
        with open_source(iter(given), landmarker) as source:
            found = [frame.people for frame in source]
    with BodyHandsLandmarker() as alone:
        assert bits(found) == bits(in_turn(alone, shown))


def test_confidences_are_those_of_holistic():
    shown = pictures("yo_001.mp4", 3)
    with BodyHandsLandmarker(BodyHandsConfig(min_tracking_confidence=1.0)) as landmarker:
        assert in_turn(landmarker, shown) == [(), (), ()]
    with BodyHandsLandmarker(BodyHandsConfig(min_detection_confidence=1.0)) as landmarker:
        assert in_turn(landmarker, shown) == [(), (), ()]


def test_two_people_are_both_followed_each_with_their_own_hands():
    count, depth = 24, 2
    shown = side_by_side(count)
    with BodyHandsLandmarker(BodyHandsConfig(max_persons=2, depth=depth)) as landmarker:
        found = pipelined(landmarker, shown)
    assert [len(people) for people in found] == [0] * depth + [2] * (count - depth)
    for people in found[depth:]:
        places = [place_of(person) for person in people]
        xs = sorted(place.x for place in places if place is not None)
        # Each in the middle of a half, in image heights.
        assert xs == pytest.approx([4 / 9, 12 / 9], abs=0.2)
    hands = [(person, hand) for people in found for person in people for hand in person.hands]
    shown_hands = [(p, hand) for p, hand in hands if not np.isnan(hand).any()]
    assert len(shown_hands) >= count
    for person, hand in shown_hands:
        assert (hand[0, 0] < 0.5) == (person.body[BodyJoint.NOSE, 0] < 0.5)


def test_with_two_people_sending_ahead_changes_nothing():
    shown = side_by_side(12)
    config = BodyHandsConfig(max_persons=2, depth=3, detection_interval_ms=0.0)
    with BodyHandsLandmarker(config) as one, BodyHandsLandmarker(config) as other:
        assert bits(in_turn(one, shown)) == bits(pipelined(other, shown))


def test_room_for_two_finds_one_person_once():
    shown = pictures("yo_001.mp4", 16)
    config = BodyHandsConfig(max_persons=2, depth=1, detection_interval_ms=0.0)
    with BodyHandsLandmarker(config) as landmarker:
        assert [len(people) for people in in_turn(landmarker, shown)] == [0] + [1] * 15


def half_hidden(picture: CapturedImage, hide_right: bool) -> CapturedImage:
    image = picture.image.copy()
    middle = image.shape[1] // 2
    image[:, slice(middle, None) if hide_right else slice(None, middle)] = 128
    return CapturedImage(image, picture.timestamp_ms, 0.0)


def on_the_right(people: Sequence[Landmarks]) -> list[bool]:
    return [bool(person.body[BodyJoint.NOSE, 0] > 0.5) for person in people]


def test_who_comes_later_is_found_too_and_who_left_is_gone():
    shown = side_by_side(20)
    shown[:6] = [half_hidden(picture, hide_right=True) for picture in shown[:6]]
    shown[12:] = [half_hidden(picture, hide_right=False) for picture in shown[12:]]
    config = BodyHandsConfig(max_persons=2, depth=1, detection_interval_ms=0.0)
    with BodyHandsLandmarker(config) as landmarker:
        found = in_turn(landmarker, shown)
    sides = [sorted(on_the_right(people)) for people in found]
    assert (sides[5], sides[11], sides[19]) == ([False], [False, True], [True])


def test_a_person_followed_twice_is_reported_once_and_leaves_room_for_another():
    shown = side_by_side(16)
    shown[:6] = [half_hidden(picture, hide_right=True) for picture in shown[:6]]
    config = BodyHandsConfig(max_persons=2, depth=1, detection_interval_ms=0.0)
    with BodyHandsLandmarker(config) as landmarker:
        assert in_turn(landmarker, shown[:1]) == [()]
        region = landmarker._orders[1].seeds[0]
        landmarker._orders[1] = Orders(is_detecting=False, seeds={0: region, 1: region})
        found = in_turn(landmarker, shown[1:])
    assert [len(people) for people in found[:5]] == [1] * 5
    assert sorted(on_the_right(found[-1])) == [False, True]


def test_nobody_is_an_empty_result_in_any_small_picture():
    with BodyHandsLandmarker() as landmarker:
        for shape in ((1, 1, 3), (2, 300, 3), GRAY.shape):
            assert landmarker.detect(np.full(shape, 128, np.uint8), 0.0) == ()


def test_a_picture_may_be_changed_once_it_was_sent():
    shown = pictures("yo_001.mp4", 2)
    with BodyHandsLandmarker() as one, BodyHandsLandmarker() as other:
        for picture in shown:
            scratch = picture.image.copy()
            one.send(scratch, picture.timestamp_ms)
            scratch[:] = 0
        changed = [one.receive() for _ in shown]
        assert bits(changed) == bits(in_turn(other, shown))


def test_other_kinds_of_array_are_refused_and_take_no_place():
    with BodyHandsLandmarker(BodyHandsConfig(depth=1)) as landmarker:
        wrong: list[Image] = [GRAY[..., 0], GRAY.astype(np.float32), GRAY[..., :2], GRAY[:0]]
        for image in wrong:
            with pytest.raises(InputError, match=r"expected uint8 \[height, width, 3\]"):
                landmarker.send(image, 0.0)
        assert landmarker.detect(GRAY, 0.0) == ()


def test_more_pictures_than_may_be_under_way_are_an_error_and_nothing_is_dropped():
    with BodyHandsLandmarker(BodyHandsConfig(depth=2)) as landmarker:
        landmarker.send(GRAY, 0.0)
        landmarker.send(GRAY, 1.0)
        with pytest.raises(UsageError, match="receive one first"):
            landmarker.send(GRAY, 2.0)
        with pytest.raises(UsageError, match="2 pictures under way"):
            landmarker.detect(GRAY, 2.0)
        assert [landmarker.receive(), landmarker.receive()] == [(), ()]
        with pytest.raises(UsageError, match="no picture under way"):
            landmarker.receive()


def test_one_thread_may_send_while_another_receives():
    shown = signing()
    room = threading.Semaphore(3)
    with BodyHandsLandmarker(BodyHandsConfig(depth=3)) as landmarker:
        sent: list[None] = []
        arrived = threading.Semaphore(0)

        def send() -> None:
            for picture in shown:
                room.acquire()
                landmarker.send(picture.image, picture.timestamp_ms)
                sent.append(None)
                arrived.release()

        sender = threading.Thread(target=send)
        sender.start()
        found = []
        for _ in shown:
            arrived.acquire()
            found.append(landmarker.receive())
            room.release()
        sender.join()
    times = [people[0].timestamp_ms for people in found if people]
    assert times == [p.timestamp_ms for p, people in zip(shown, found, strict=True) if people]
    assert len(times) == len(shown) - 4


def test_closing_with_pictures_under_way_wakes_who_waits_and_ends():
    landmarker = BodyHandsLandmarker(BodyHandsConfig(max_persons=2, depth=8))
    for picture in side_by_side(8):
        landmarker.send(picture.image, picture.timestamp_ms)
    raised: list[BaseException] = []

    def receive() -> None:
        try:
            while True:
                landmarker.receive()
        except UsageError as error:
            raised.append(error)

    waiting = threading.Thread(target=receive)
    waiting.start()
    closing = threading.Thread(target=landmarker.close)
    closing.start()
    closing.join(timeout=30)
    waiting.join(timeout=30)
    assert not closing.is_alive()
    assert not waiting.is_alive()
    assert len(raised) == 1
    landmarker.close()
    with pytest.raises(UsageError, match=r"after close\(\)"):
        landmarker.send(GRAY, 0.0)


def test_what_fails_inside_the_graph_is_raised_to_who_receives():
    landmarker = BodyHandsLandmarker()
    mediapipe = framework()
    landmarker.send(GRAY, 0.0)
    landmarker.receive()
    # One channel, which our own check would refuse: its models cannot take it.
    gray8 = mediapipe.image_frame.ImageFormat.GRAY8
    picture = mediapipe.packet_creator.create_image_frame(GRAY[..., 0], image_format=gray8)
    landmarker._graph.send({"image": picture})
    with pytest.raises(SourceError, match="MediaPipe's graph failed"):
        landmarker._graph.receive()
    with pytest.raises(SourceError, match="open the source anew"):
        landmarker.send(GRAY, 1.0)
    landmarker.close()


def test_a_graph_that_cannot_be_is_an_error_at_once():
    with pytest.raises(SourceError, match="NoSuchCalculator"):
        MediaPipeGraph('node { calculator: "NoSuchCalculator" }', outputs=["x"])


def test_a_program_that_ends_with_pictures_under_way_ends_quietly():
    """Nothing on stderr either, from the start on, with a person and hands in the pictures."""
    program = (
        "from bharsdk.landmarkers.body_hands import BodyHandsLandmarker\n"
        "from bharsdk.cameras.video import Video\n"
        "landmarker = BodyHandsLandmarker()\n"
        f"for number, picture in enumerate(Video({str(VIDEOS / 'yo_001.mp4')!r})):\n"
        "    if number >= landmarker.depth: people = landmarker.receive()\n"
        "    if number == 12: break\n"
        "    landmarker.send(picture.image, picture.timestamp_ms)\n"
        "print(len(people))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "1\n", "")


def test_impossible_settings_are_refused():
    for settings in ({"max_persons": 0}, {"max_persons": 9}, {"depth": 0}):
        with pytest.raises(UsageError, match="expected 1 to"):
            BodyHandsConfig(**settings)
    with pytest.raises(UsageError, match="min_detection_confidence"):
        BodyHandsConfig(min_detection_confidence=float("nan"))
