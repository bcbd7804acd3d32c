from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bharsdk.landmarkers.person_slots import Detected, Slots
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.landmarks.skeleton import BodyJoint

FRAME_MS = 40.0
DELAY = 2


@pytest.fixture(scope="module")
def person(recording: LandmarkSequence) -> Landmarks:
    return next(recording.frames())


def moved(person: Landmarks, dx: float) -> Landmarks:
    """dx: image heights."""
    shift = np.array([dx / person.aspect, 0, 0, 0], np.float32)
    return replace(person, body=person.body + shift)


def detection_of(person: Landmarks) -> Detected:
    shoulders = person.body[[BodyJoint.LEFT_SHOULDER, BodyJoint.RIGHT_SHOULDER], :2].mean(axis=0)
    hips = person.body[[BodyJoint.LEFT_HIP, BodyJoint.RIGHT_HIP], :2].mean(axis=0)
    x, y = hips.tolist()
    return Detected((x, y), (x, y - 1.0), tuple(shoulders.tolist()), person.aspect)


def test_a_detected_person_starts_in_a_free_slot_once(person: Landmarks):
    """Detections of pictures that were under way show the same person again."""
    slots = Slots(2, DELAY, interval_ms=0.0)
    detected = [detection_of(person)]
    assert slots.first().is_detecting
    _, orders = slots.after(0, 0.0, [None, None], detected)
    assert orders.seeds == {0: detected[0].region()}
    for number, found in ((1, None), (2, person), (3, person)):
        people, orders = slots.after(number, number * FRAME_MS, [found, None], detected)
        assert orders.seeds == {}
        assert list(people) == ([] if found is None else [found])


def test_who_stands_beside_a_followed_person_is_somebody_else(person: Landmarks):
    slots = Slots(3, DELAY, interval_ms=0.0)
    beside = detection_of(moved(person, 0.7))
    detected = [detection_of(person), beside]
    _, orders = slots.after(0, 0.0, [None, person, None], detected)
    assert orders.seeds == {0: beside.region()}
    assert orders.is_detecting


def test_followed_people_are_hidden_from_the_detector_whole(person: Landmarks):
    slots = Slots(3, DELAY, interval_ms=0.0)
    both = [person, moved(person, 0.7)]
    _, orders = slots.after(0, 0.0, [*both, None], [])
    for one, box in zip(both, orders.hidden, strict=True):
        assert all(box.holds(tuple(joint[:2])) for joint in one.body)
        nose = one.body[BodyJoint.NOSE]
        assert box.holds((nose[0], nose[1] - 0.1))  # the top of the head


def test_without_room_nobody_is_looked_for_nor_added(person: Landmarks):
    slots = Slots(2, DELAY, interval_ms=0.0)
    both = [person, moved(person, -0.8)]
    _, orders = slots.after(0, 0.0, both, [detection_of(moved(person, 0.8))])
    assert not orders.is_detecting
    assert orders.seeds == {}


def test_with_room_another_is_looked_for_at_the_interval(person: Landmarks):
    slots = Slots(2, DELAY, interval_ms=100.0)
    detecting = [
        slots.after(number, number * FRAME_MS, [person, None], [])[1].is_detecting
        for number in range(8)
    ]
    assert detecting == [True, False, False, True, False, False, True, False]


def test_with_nobody_every_picture_is_looked_at():
    slots = Slots(2, DELAY, interval_ms=1e6)
    for number in range(5):
        assert slots.after(number, number * FRAME_MS, [None, None], [])[1].is_detecting


def test_of_two_slots_with_one_person_the_younger_lets_go(person: Landmarks):
    slots = Slots(2, DELAY, interval_ms=0.0)
    slots.after(0, 0.0, [None, person], [])
    people, orders = slots.after(1, FRAME_MS, [moved(person, 0.01), person], [])
    assert list(people) == [person]
    assert orders.dropped == {0}


def test_two_people_close_together_are_both_followed(person: Landmarks):
    slots = Slots(2, DELAY, interval_ms=0.0)
    both = [person, moved(person, 0.3)]
    people, orders = slots.after(0, 0.0, both, [])
    assert list(people) == both
    assert not orders.dropped


@pytest.mark.parametrize("lean", [0.0, 0.3, -0.6])
def test_a_region_is_a_square_in_pixels_turned_with_the_person(lean: float):
    """lean: to the right, radians. The rim is half as far away as the person's circle is wide."""
    aspect, radius = 2.0, 0.2
    rim = (0.5 + radius * math.sin(lean) / aspect, 0.6 - radius * math.cos(lean))
    region = Detected((0.5, 0.6), rim, (0.5, 0.4), aspect).region()
    assert (region.x, region.y) == (0.5, 0.6)
    assert region.height == pytest.approx(2 * radius * 1.25)
    assert region.width * aspect == pytest.approx(region.height)
    assert region.rotation == pytest.approx(lean)
