"""The ROS 2 node's pictures and messages, and the node itself on a stand-in for rclpy."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bharsdk.errors import InputError
from bharsdk.landmarks.landmarks import LandmarkSequence

from .rclpy_stand_in import install
from .ros2_parts import EPOCH_NS, ROS2, ListenedTo, NumberedLandmarker, stamp, wait_for

pytestmark = pytest.mark.usefixtures("on_the_path")


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "order"),
    [
        ("bgr8", [0, 1, 2]),
        ("rgb8", [2, 1, 0]),
        ("bgra8", [0, 1, 2, 3]),
        ("rgba8", [2, 1, 0, 3]),
        ("mono8", [0]),
        ("8UC1", [0]),
        ("8UC3", [0, 1, 2]),
        ("8UC4", [0, 1, 2, 3]),
    ],
)
def test_pictures_of_every_encoding_arrive_as_bgr_whatever_pads_their_rows(
    encoding: str, order: list[int], padding: int
):
    images = importlib.import_module("bharsdk_ros.images")
    bgra = np.random.default_rng(0).integers(0, 256, (4, 6, 4), np.uint8)
    rows = bgra[:, :, order].reshape(4, -1)
    padded = np.concatenate([rows, np.full((4, padding), 99, np.uint8)], axis=1)
    expected = np.repeat(bgra[:, :, :1], 3, axis=2) if len(order) == 1 else bgra[:, :, :3]
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
    node = ListenedTo(package, waving)
    node.recognition.configure(settings)
    node.recognition.activate()
    node.feed(range(1))
    node.recognition.shutdown()
    told = json.loads(messages.landmarks_message(node.results[0]))
    known = {"sec": EPOCH_NS // 10**9, "nanosec": EPOCH_NS % 10**9}
    assert (told["stamp"], told["frame_id"]) == (known, "camera_optical")
    assert told["aspect"] == pytest.approx(waving.aspect)
    (person,) = told["people"]
    np.testing.assert_allclose(person["body"], waving.body[0], atol=1e-5)
    np.testing.assert_allclose(person["right_hand"], waving.hands[0, 1], atol=1e-5)
    assert person["left_hand"] is None
    assert (person["label"], person["score"]) == (None, 0.0)


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
    made = package.BharNode(make_landmarker=lambda: NumberedLandmarker(waving))
    yield made
    made.destroy_node()


def _image(number: int) -> SimpleNamespace:
    sec, nanosec = divmod(stamp(number), 10**9)
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


def test_the_node_publishes_what_it_recognizes_between_activate_and_deactivate(node: Any):
    assert node.on_configure(None).name == "SUCCESS"
    assert node.subscriptions == []
    assert node.on_activate(None).name == "SUCCESS"
    (images,) = node.subscriptions
    assert (images.topic, images.qos.depth) == ("/camera/image_raw", 1)
    events, landmarks = node.publishers
    for number in range(25):
        images.callback(_image(number))
        wait_for(lambda number=number: len(landmarks.sent) > number)
    assert node.on_deactivate(None).name == "SUCCESS"
    assert node.subscriptions == []
    told = [json.loads(text) for text in events.sent]
    assert [(e["label"], e["phase"]) for e in told] == [("right", "start"), ("right", "end")]
    stamps = [json.loads(text)["stamp"] for text in landmarks.sent]
    assert [s["sec"] * 10**9 + s["nanosec"] for s in stamps] == [stamp(n) for n in range(25)]
    assert node.on_cleanup(None).name == "SUCCESS"
    assert node.publishers == node.services == []
    assert [line for line in node.logger.lines if line[0] == "error"] == []


def test_the_service_answers_what_became_of_it(node: Any):
    node.on_configure(None)
    answer = _ask(node, False)
    assert (answer.success, answer.message) == (True, "inactive, does not recognize")
    node.on_activate(None)
    answer = _ask(node, True)
    assert (answer.success, answer.message) == (True, "active, recognizes")
    answer = _ask(node, False)
    assert (answer.success, answer.message) == (True, "active, does not recognize")


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
    assert _ask(node, True).message == "active, recognizes"
