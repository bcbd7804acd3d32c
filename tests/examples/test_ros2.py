"""The ROS 2 node's logic, without ROS."""

from __future__ import annotations

import importlib
import json
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bharsdk import Recognizer
from bharsdk.errors import InputError, UsageError
from bharsdk.events import DropCause
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.pipeline.status import RunState

from .ros2_parts import EPOCH_NS, STEP_NS, ListenedTo, NumberedLandmarker, picture, stamp, wait_for


def test_results_carry_the_stamp_and_frame_of_their_picture_to_the_nanosecond(
    package: ModuleType, settings: Any, waving: LandmarkSequence
):
    node = ListenedTo(package, waving)
    node.recognition.configure(settings)
    node.recognition.activate()
    node.feed(range(90))
    node.recognition.deactivate()
    headers = [stamped.header for stamped in node.results if not stamped.result.is_final]
    assert [header.stamp_ns for header in headers] == [stamp(number) for number in range(90)]
    assert {header.frame_id for header in headers} == {"camera_optical"}


def test_events_are_those_of_the_recording_at_the_times_of_the_camera(
    package: ModuleType, settings: Any, waving: LandmarkSequence, presence_bundle: Path
):
    """Stamps of 1.7e18 ns change nothing but the clock that the events are told on."""
    messages = importlib.import_module("bharsdk_ros.messages")
    node = ListenedTo(package, waving)
    node.recognition.configure(settings)
    node.recognition.activate()
    node.feed(range(90))
    node.recognition.deactivate()
    told = [json.loads(text) for s in node.results for text in messages.event_messages(s)]
    same_clock = np.arange(90) * STEP_NS / 1e6
    part = LandmarkSequence(same_clock, waving.body[:90], waving.hands[:90], waving.aspect)
    expected = [e for r in Recognizer(presence_bundle).run(part) for e in r.events]
    assert [(e["label"], e["phase"]) for e in told] == [(e.label, e.phase.value) for e in expected]
    assert len(expected) >= 3
    for event, known in zip(told, expected, strict=True):
        start_ns = event["start"]["sec"] * 10**9 + event["start"]["nanosec"]
        assert start_ns - EPOCH_NS == pytest.approx(known.start_ms * 1e6, abs=1000)
        assert (event["end"] is None) == (known.end_ms is None)
        assert event["stamp"]["sec"] >= EPOCH_NS // 10**9


def test_only_the_newest_picture_waits(
    package: ModuleType, settings: Any, waving: LandmarkSequence
):
    """While the landmarker is busy with picture 0, nine come: it gets the last of them."""
    busy, released = threading.Event(), threading.Event()

    def before(number: int) -> None:
        if number == 0:
            busy.set()
            released.wait(20)

    node = ListenedTo(package, waving, before)
    node.recognition.configure(settings)
    node.recognition.activate()
    node.recognition.on_image(picture(0), stamp(0), "camera")
    assert busy.wait(20)
    for number in range(1, 10):
        node.recognition.on_image(picture(number), stamp(number), "camera")
    # Picture 9 may lie in the mailbox for a moment; what it replaces there is never numbered.
    wait_for(lambda: node.recognition.counts.captured + node.recognition.replaced == 10)
    released.set()
    # A consumer that was not there in time for the result of picture 0 gets that of 9 alone.
    wait_for(lambda: stamp(9) in [s.header.stamp_ns for s in node.results])
    node.recognition.shutdown()
    assert node.landmarkers[0].seen == [0, 9]
    assert {s.header.stamp_ns for s in node.results} <= {stamp(0), stamp(9)}
    assert node.errors == []


def test_transitions_out_of_order_are_refused_and_change_nothing(
    package: ModuleType, settings: Any, waving: LandmarkSequence
):
    node = ListenedTo(package, waving)
    it = node.recognition
    for refused in (it.activate, it.deactivate, it.cleanup, lambda: it.set_enabled(True)):
        with pytest.raises(UsageError, match="got state unconfigured, expected"):
            refused()
    it.configure(settings)
    for refused in (it.deactivate, lambda: it.configure(settings)):
        with pytest.raises(UsageError, match="got state inactive, expected"):
            refused()
    it.activate()
    for refused in (it.activate, it.cleanup, lambda: it.configure(settings)):
        with pytest.raises(UsageError, match="got state active, expected"):
            refused()
    it.deactivate()
    it.cleanup()
    assert it.state is package.State.UNCONFIGURED
    it.configure(settings)
    it.shutdown()
    it.shutdown()
    with pytest.raises(UsageError, match="got state finalized, expected unconfigured"):
        it.configure(settings)
    assert [landmarker.closed for landmarker in node.landmarkers] == [1]


def test_a_model_that_is_not_there_leaves_it_unconfigured(package: ModuleType):
    recognition = package.Recognition(print, print)
    with pytest.raises(InputError, match="no shipped model of this name"):
        recognition.configure(package.Settings(model="nonsense"))
    assert recognition.state is package.State.UNCONFIGURED


def test_pictures_are_not_wanted_unless_active_and_enabled(
    package: ModuleType, settings: Any, waving: LandmarkSequence
):
    node = ListenedTo(package, waving)
    it = node.recognition
    wanted = [it.on_image(picture(0), stamp(0), "")]
    it.configure(settings)
    wanted.append(it.on_image(picture(0), stamp(0), ""))
    it.set_enabled(False)
    it.activate()
    wanted.append(it.on_image(picture(0), stamp(0), ""))
    assert wanted == [False] * 3
    assert node.landmarkers == []
    it.set_enabled(True)
    node.feed(range(1))
    it.deactivate()
    assert not it.on_image(picture(1), stamp(1), "")
    it.cleanup()
    assert it.enabled


def test_disabling_ends_what_had_begun_and_enabling_starts_with_nothing(
    package: ModuleType, settings: Any, waving: LandmarkSequence
):
    """The hand is up when it is switched off: START has its END, and the window is empty after."""
    node = ListenedTo(package, waving)
    it = node.recognition
    it.configure(settings)
    it.activate()
    node.feed(range(25))
    assert [event.phase.value for event in node.events] == ["start"]
    it.set_enabled(False)
    assert [event.phase.value for event in node.events] == ["start", "end"]
    last = node.results[-1]
    assert last.result.is_final
    assert last.header.stamp_ns == stamp(24)
    it.set_enabled(False)
    it.set_enabled(True)
    it.set_enabled(True)
    assert len(node.landmarkers) == 2
    node.feed(range(25, 30))
    assert node.said[-1].state is RunState.WARMING
    assert len(node.events) == 2
    it.shutdown()


def test_a_landmarker_that_fails_now_and_then_costs_its_pictures_only(
    package: ModuleType, settings: Any, waving: LandmarkSequence
):
    def before(number: int) -> None:
        if number == 3:
            raise RuntimeError("graph broke")

    node = ListenedTo(package, waving, before)
    it = node.recognition
    it.configure(settings)
    it.activate()
    node.feed(range(3))
    it.on_image(picture(3), stamp(3), "camera")
    wait_for(lambda: it.counts.dropped.get(DropCause.FAILED) == 1)
    node.feed(range(4, 8))
    assert any("graph broke" in status.message for status in node.said)
    it.deactivate()
    stamps = [s.header.stamp_ns for s in node.results if not s.result.is_final]
    assert stamps == [stamp(number) for number in (0, 1, 2, 4, 5, 6, 7)]
    assert node.errors == []


def test_a_landmarker_that_keeps_failing_is_told_and_enabling_starts_anew(
    package: ModuleType, settings: Any, waving: LandmarkSequence
):
    broken = True

    def before(number: int) -> None:
        if broken:
            raise RuntimeError("graph broke")

    node = ListenedTo(package, waving, before)
    it = node.recognition
    it.configure(settings)
    it.activate()
    number = 0
    while not node.errors and number < 1000:
        it.on_image(picture(0), stamp(number), "camera")
        number += 1
        time.sleep(0.002)
    assert "10 pictures in a row" in str(node.errors[0])
    wait_for(lambda: not it.is_running)
    assert it.state is package.State.ACTIVE
    assert not it.on_image(picture(0), stamp(number), "camera")
    broken = False
    it.set_enabled(True)
    node.feed(range(5))
    it.shutdown()
    assert len(node.errors) == 1
    assert [landmarker.closed for landmarker in node.landmarkers] == [1, 1]


def test_a_publisher_that_fails_is_told_and_ends_no_process(
    package: ModuleType, settings: Any, waving: LandmarkSequence
):
    errors: list[Exception] = []

    def publish(stamped: Any) -> None:
        raise RuntimeError("the context is gone")

    it = package.Recognition(
        publish, errors.append, make_landmarker=lambda: NumberedLandmarker(waving)
    )
    it.configure(settings)
    it.activate()
    it.on_image(picture(0), stamp(0), "camera")
    wait_for(lambda: not it.is_running)
    assert [str(error) for error in errors] == ["the context is gone"]
    it.deactivate()
