"""The ROS 2 node's logic, without ROS; and the node itself on a stand-in for rclpy."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bharsdk import Recognizer
from bharsdk.errors import InputError, UsageError
from bharsdk.landmarks import Landmarks, LandmarkSequence
from bharsdk.sources import DropCause, SourceConfig
from bharsdk.sources.frame import Image
from bharsdk.status import RunState, Status

from .rclpy_stand_in import install

ROS2 = Path(__file__).parents[2] / "examples" / "ros2"
EPOCH_NS = 1_753_000_000_123_456_789
"""A camera's clock is that of the world, whose nanoseconds no float holds."""
STEP_NS = 66_666_667
PATIENT = SourceConfig(max_age_s=60.0)


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As ``colcon build`` leaves it."""
    monkeypatch.syspath_prepend(str(ROS2))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "bharsdk_ros"]:
        del sys.modules[name]


@pytest.fixture
def package(on_the_path: None) -> ModuleType:
    return importlib.import_module("bharsdk_ros.recognition")


class NumberedLandmarker:
    """Gives the recorded frame whose number is in the picture. before: called with it first."""

    def __init__(
        self, recording: LandmarkSequence, before: Callable[[int], None] = lambda number: None
    ) -> None:
        self._frames, self._before = list(recording.frames()), before
        self.seen: list[int] = []
        self.closed = 0

    def detect(self, image: Image, timestamp_ms: float) -> tuple[Landmarks, ...]:
        number = int(image[0, 0, 0])
        self.seen.append(number)
        self._before(number)
        known = self._frames[number]
        return (dataclasses.replace(known, timestamp_ms=timestamp_ms),)

    def close(self) -> None:
        self.closed += 1


def _picture(number: int) -> Image:
    return np.full((9, 16, 3), number, np.uint8)


def _stamp(number: int) -> int:
    return EPOCH_NS + number * STEP_NS


@pytest.fixture
def waving(recording: LandmarkSequence) -> LandmarkSequence:
    """The right hand is there for two seconds of every four."""
    hands = np.full_like(recording.hands, np.nan)
    seconds = (recording.timestamps_ms - recording.timestamps_ms[0]) / 1000
    hands[seconds % 4.0 < 2.0, 1] = 0.5 + 0.01 * np.arange(63, dtype=np.float32).reshape(21, 3)
    return recording.replaced(hands=hands)


class Node:
    """A recognition with what it has told so far."""

    def __init__(
        self,
        package: ModuleType,
        recording: LandmarkSequence,
        before: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.landmarkers: list[NumberedLandmarker] = []
        self.results: list[Any] = []
        self.errors: list[Exception] = []
        self.said: list[Status] = []

        def make() -> NumberedLandmarker:
            self.landmarkers.append(NumberedLandmarker(recording, before))
            return self.landmarkers[-1]

        self.recognition = package.Recognition(
            self.results.append,
            self.errors.append,
            self.said.append,
            make_landmarker=make,
            config=PATIENT,
        )

    def feed(self, numbers: range) -> None:
        """Hand over pictures as fast as each becomes a result."""
        for number in numbers:
            before = len(self.results)
            assert self.recognition.on_image(_picture(number), _stamp(number), "camera_optical")
            _wait_for(lambda before=before: len(self.results) > before)

    @property
    def events(self) -> list[Any]:
        return [event for stamped in self.results for event in stamped.result.events]


def _wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    until_s = time.monotonic() + seconds
    while not condition() and time.monotonic() < until_s:
        time.sleep(0.001)
    assert condition()


@pytest.fixture
def settings(package: ModuleType, presence_bundle: Path) -> Any:
    return package.Settings(model=str(presence_bundle))


def test_results_carry_the_stamp_and_frame_of_their_picture_to_the_nanosecond(
    package: ModuleType, settings: Any, waving: LandmarkSequence
):
    node = Node(package, waving)
    node.recognition.configure(settings)
    node.recognition.activate()
    node.feed(range(90))
    node.recognition.deactivate()
    headers = [stamped.header for stamped in node.results if not stamped.result.is_final]
    assert [header.stamp_ns for header in headers] == [_stamp(number) for number in range(90)]
    assert {header.frame_id for header in headers} == {"camera_optical"}


def test_events_are_those_of_the_recording_at_the_times_of_the_camera(
    package: ModuleType, settings: Any, waving: LandmarkSequence, presence_bundle: Path
):
    """Stamps of 1.7e18 ns change nothing but the clock that the events are told on."""
    messages = importlib.import_module("bharsdk_ros.messages")
    node = Node(package, waving)
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

    node = Node(package, waving, before)
    node.recognition.configure(settings)
    node.recognition.activate()
    node.recognition.on_image(_picture(0), _stamp(0), "camera")
    assert busy.wait(20)
    for number in range(1, 10):
        node.recognition.on_image(_picture(number), _stamp(number), "camera")
    # Picture 9 may lie in the mailbox for a moment; what it replaces there is never numbered.
    mailbox = node.recognition._current.mailbox
    _wait_for(lambda: node.recognition.counts.captured + mailbox.replaced == 10)
    released.set()
    _wait_for(lambda: len(node.results) == 2)
    node.recognition.shutdown()
    assert node.landmarkers[0].seen == [0, 9]
    assert [s.header.stamp_ns for s in node.results[:2]] == [_stamp(0), _stamp(9)]
    assert node.errors == []


def test_transitions_out_of_order_are_refused_and_change_nothing(
    package: ModuleType, settings: Any, waving: LandmarkSequence
):
    node = Node(package, waving)
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
    node = Node(package, waving)
    it = node.recognition
    wanted = [it.on_image(_picture(0), _stamp(0), "")]
    it.configure(settings)
    wanted.append(it.on_image(_picture(0), _stamp(0), ""))
    it.set_enabled(False)
    it.activate()
    wanted.append(it.on_image(_picture(0), _stamp(0), ""))
    assert wanted == [False] * 3
    assert node.landmarkers == []
    it.set_enabled(True)
    node.feed(range(1))
    it.deactivate()
    assert not it.on_image(_picture(1), _stamp(1), "")
    it.cleanup()
    assert it.enabled


def test_disabling_ends_what_had_begun_and_enabling_starts_with_nothing(
    package: ModuleType, settings: Any, waving: LandmarkSequence
):
    """The hand is up when it is switched off: START has its END, and the window is empty after."""
    node = Node(package, waving)
    it = node.recognition
    it.configure(settings)
    it.activate()
    node.feed(range(25))
    assert [event.phase.value for event in node.events] == ["start"]
    it.set_enabled(False)
    assert [event.phase.value for event in node.events] == ["start", "end"]
    last = node.results[-1]
    assert last.result.is_final
    assert last.header.stamp_ns == _stamp(24)
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

    node = Node(package, waving, before)
    it = node.recognition
    it.configure(settings)
    it.activate()
    node.feed(range(3))
    it.on_image(_picture(3), _stamp(3), "camera")
    _wait_for(lambda: it.counts.dropped.get(DropCause.FAILED) == 1)
    node.feed(range(4, 8))
    assert any("graph broke" in status.message for status in node.said)
    it.deactivate()
    stamps = [s.header.stamp_ns for s in node.results if not s.result.is_final]
    assert stamps == [_stamp(number) for number in (0, 1, 2, 4, 5, 6, 7)]
    assert node.errors == []


def test_a_landmarker_that_keeps_failing_is_told_and_enabling_starts_anew(
    package: ModuleType, settings: Any, waving: LandmarkSequence
):
    broken = True

    def before(number: int) -> None:
        if broken:
            raise RuntimeError("graph broke")

    node = Node(package, waving, before)
    it = node.recognition
    it.configure(settings)
    it.activate()
    number = 0
    while not node.errors and number < 1000:
        it.on_image(_picture(0), _stamp(number), "camera")
        number += 1
        time.sleep(0.002)
    assert "10 pictures in a row" in str(node.errors[0])
    _wait_for(lambda: not it.is_running)
    assert it.state is package.State.ACTIVE
    assert not it.on_image(_picture(0), _stamp(number), "camera")
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
    it.on_image(_picture(0), _stamp(0), "camera")
    _wait_for(lambda: not it.is_running)
    assert [str(error) for error in errors] == ["the context is gone"]
    it.deactivate()


# ---- pictures and messages --------------------------------------------------------------------


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "order"),
    [
        ("bgr8", [0, 1, 2]),
        ("rgb8", [2, 1, 0]),
        ("bgra8", [0, 1, 2, 3]),
        ("rgba8", [2, 1, 0, 3]),
        ("mono8", [0]),
    ],
)
def test_pictures_of_every_encoding_arrive_as_bgr_whatever_pads_their_rows(
    encoding: str, order: list[int], padding: int
):
    images = importlib.import_module("bharsdk_ros.images")
    bgra = np.random.default_rng(0).integers(0, 256, (4, 6, 4), np.uint8)
    rows = bgra[:, :, order].reshape(4, -1)
    padded = np.concatenate([rows, np.full((4, padding), 99, np.uint8)], axis=1)
    expected = np.repeat(bgra[:, :, :1], 3, axis=2) if encoding == "mono8" else bgra[:, :, :3]
    data = bytearray(padded.tobytes())
    whole, unpadded_end = (
        images.to_bgr(sent, height=4, width=6, encoding=encoding, step=padded.shape[1])
        for sent in (data, data[: len(data) - padding])  # some drivers leave the last padding away
    )
    data[:] = bytes(len(data))  # ROS may use its memory again
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(unpadded_end, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoding": "yuv422"}, "got encoding 'yuv422', expected one of bgr8, rgb8"),
        ({"step": 17}, "rows of 17 bytes, expected at least one pixel and 18"),
        ({"height": 5}, "got 72 bytes, expected 5 rows of 18"),
        ({"width": 0}, "0 x 4 pixels"),
    ],
)
def test_a_picture_that_cannot_be_is_refused(changes: dict[str, Any], message: str):
    images = importlib.import_module("bharsdk_ros.images")
    asked = {"height": 4, "width": 6, "encoding": "bgr8", "step": 18, **changes}
    with pytest.raises(InputError, match=message):
        images.to_bgr(bytes(72), **asked)


def test_landmarks_are_json_with_null_for_what_was_not_found(
    package: ModuleType, settings: Any, waving: LandmarkSequence
):
    messages = importlib.import_module("bharsdk_ros.messages")
    node = Node(package, waving)
    node.recognition.configure(settings)
    node.recognition.activate()
    node.feed(range(1))
    node.recognition.shutdown()
    told = json.loads(messages.landmarks_message(node.results[0]))
    stamp = {"sec": EPOCH_NS // 10**9, "nanosec": EPOCH_NS % 10**9}
    assert (told["stamp"], told["frame_id"]) == (stamp, "camera_optical")
    assert told["aspect"] == pytest.approx(waving.aspect)
    (person,) = told["people"]
    np.testing.assert_allclose(person["body"], waving.body[0], atol=1e-5)
    np.testing.assert_allclose(person["right_hand"], waving.hands[0, 1], atol=1e-5)
    assert person["left_hand"] is None
    assert (person["label"], person["score"]) == (None, 0.0)


# ---- the node itself --------------------------------------------------------------------------


def test_without_ros_the_node_says_in_a_line_what_is_missing():
    """Exit code 8, no traceback, run as a script from anywhere."""
    if importlib.util.find_spec("rclpy") is not None:
        pytest.skip("rclpy is installed: nothing is missing")
    result = subprocess.run(
        [sys.executable, "-P", str(ROS2 / "bharsdk_ros" / "node.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 8
    assert result.stderr.startswith("bharsdk_ros: error: rclpy is not installed: it comes with ROS")
    assert len(result.stderr.splitlines()) == 1


@pytest.fixture
def node(
    on_the_path: None,
    monkeypatch: pytest.MonkeyPatch,
    presence_bundle: Path,
    waving: LandmarkSequence,
) -> Iterator[Any]:
    """The node on the stand-in, with the known landmarker in place of MediaPipe."""
    install(monkeypatch, {"model": str(presence_bundle), "image_topic": "/camera/image_raw"})
    package = importlib.import_module("bharsdk_ros.node")
    made = package.BharNode()
    made._recognition._make_landmarker = lambda: NumberedLandmarker(waving)
    yield made
    made.destroy_node()


def _image(number: int) -> SimpleNamespace:
    sec, nanosec = divmod(_stamp(number), 10**9)
    header = SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id="camera")
    return SimpleNamespace(
        header=header, height=9, width=16, encoding="mono8", step=20, data=bytes([number]) * 180
    )


def _ask(node: Any, data: bool) -> SimpleNamespace:
    (service,) = node.services
    assert service.name == "~/enable"
    response = SimpleNamespace(success=None, message="")
    returned: SimpleNamespace = service.callback(SimpleNamespace(data=data), response)
    return returned


def test_the_node_publishes_what_it_recognises_between_activate_and_deactivate(node: Any):
    assert node.on_configure(None).name == "SUCCESS"
    assert node.subscriptions == []
    assert node.on_activate(None).name == "SUCCESS"
    (images,) = node.subscriptions
    assert (images.topic, images.qos.depth) == ("/camera/image_raw", 1)
    events, landmarks = node.publishers
    for number in range(25):
        images.callback(_image(number))
        _wait_for(lambda number=number: len(landmarks.sent) > number)
    assert node.on_deactivate(None).name == "SUCCESS"
    assert node.subscriptions == []
    told = [json.loads(text) for text in events.sent]
    assert [(e["label"], e["phase"]) for e in told] == [("right", "start"), ("right", "end")]
    stamps = [json.loads(text)["stamp"] for text in landmarks.sent]
    assert [s["sec"] * 10**9 + s["nanosec"] for s in stamps] == [_stamp(n) for n in range(25)]
    assert node.on_cleanup(None).name == "SUCCESS"
    assert node.publishers == node.services == []
    assert [line for line in node.logger.lines if line[0] == "error"] == []


def test_the_service_answers_what_became_of_it(node: Any):
    node.on_configure(None)
    answer = _ask(node, False)
    assert (answer.success, answer.message) == (True, "inactive, does not recognise")
    node.on_activate(None)
    answer = _ask(node, True)
    assert (answer.success, answer.message) == (True, "active, recognises")
    answer = _ask(node, False)
    assert (answer.success, answer.message) == (True, "active, does not recognise")


def test_a_model_that_is_not_there_fails_the_transition_with_a_line_in_the_log(node: Any):
    node.parameters["model"] = "nonsense"
    assert node.on_configure(None).name == "FAILURE"
    ((level, line),) = node.logger.lines
    assert level == "error"
    assert "no shipped model of this name" in line
    assert node.publishers == node.services == []


def test_a_picture_that_cannot_be_used_is_a_line_in_the_log(node: Any):
    node.on_configure(None)
    node.on_activate(None)
    picture = _image(0)
    picture.encoding = "bayer_rggb8"
    node.subscriptions[0].callback(picture)
    assert any("got encoding 'bayer_rggb8'" in line for _, line in node.logger.lines)
    assert node._recognition.is_running
