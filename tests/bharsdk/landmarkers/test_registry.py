"""Landmarkers by name: what can be opened, and what adding one costs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bharsdk import Recognizer, load_session, open_source
from bharsdk.errors import BackendMissingError, UsageError
from bharsdk.landmarkers import registry
from bharsdk.landmarkers.registry import (
    DEFAULT_LANDMARKER,
    LANDMARKERS,
    LandmarkerEntry,
    open_landmarker,
)
from bharsdk.landmarks import skeleton
from bharsdk.landmarks.skeleton import MEDIAPIPE_BODY25

TOY = """
import numpy as np
from bharsdk.landmarks.landmarks import BODY_SHAPE, HANDS_SHAPE, Landmarks

class Toy:
    is_closed = False
    def detect(self, image, timestamp_ms):
        body = np.full(BODY_SHAPE, 0.5, np.float32)
        return (Landmarks(timestamp_ms, body, np.full(HANDS_SHAPE, np.nan, np.float32)),)
    def close(self):
        Toy.is_closed = True

def open_one(max_persons):
    return Toy()
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A landmarker of one new file and one row."""
    (tmp_path / "toy_landmarker.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    row = LandmarkerEntry("toy", "half a picture to the right", "toy_landmarker")
    monkeypatch.setitem(LANDMARKERS, row.name, row)
    yield row.name
    sys.modules.pop("toy_landmarker", None)


def _pictures(count: int = 5) -> list[tuple[np.ndarray, float]]:
    return [(np.zeros((36, 64, 3), np.uint8), 40.0 * number) for number in range(count)]


def test_a_new_landmarker_is_one_file_and_one_row(toy: str):
    with open_source(_pictures(), toy) as source:
        people = [frame.landmarks for frame in source]
    assert [one.has_body for one in people] == [True] * 5
    assert sys.modules["toy_landmarker"].Toy.is_closed, "what is opened by name is closed"
    results = list(
        Recognizer("asl-coffee-prgcn", backend="native").run(_pictures(), landmarker=toy)
    )
    assert len(results) == 5


def test_every_name_has_a_description_and_a_module_that_is_not_imported_before_it_is_opened():
    assert next(iter(LANDMARKERS)) == DEFAULT_LANDMARKER
    assert set(LANDMARKERS) == {"body-hands", "holistic"}
    for entry in LANDMARKERS.values():
        assert 0 < len(entry.description) <= 60
        assert entry.description.isprintable()
        assert Path(registry.__file__).with_name(f"{entry.module.split('.')[-1]}.py").is_file()


@pytest.mark.parametrize(("name", "near"), [("holistc", "did you mean holistic?"), ("xyz", "")])
def test_an_unknown_name_is_refused_with_the_nearest_before_anything_is_opened(
    name: str, near: str
):
    recognizer = Recognizer("asl-coffee-prgcn", backend="native")
    for use in (
        lambda: open_landmarker(name),
        lambda: open_source("there-is-no-such.mp4", name),
        lambda: recognizer.run("there-is-no-such.mp4", landmarker=name),
    ):
        with pytest.raises(UsageError, match="expected one of body-hands, holistic") as caught:
            use()
        assert str(caught.value).endswith(near or "holistic")


def test_several_people_are_refused_for_one_person_with_what_to_use():
    with pytest.raises(UsageError, match=r"got max_persons 2 with holistic.*: use body-hands"):
        open_landmarker("holistic", 2)
    recognizer = Recognizer("asl-coffee-prgcn", backend="native", max_persons=2)
    with pytest.raises(UsageError, match="use body-hands"):
        recognizer.run(_pictures(), landmarker="holistic")
    with pytest.raises(UsageError, match="expected 1 to 8"):
        open_landmarker("body-hands", 9)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    row = LandmarkerEntry("absent", "needs what is not there", "nowhere", ("no_such_package",))
    monkeypatch.setitem(LANDMARKERS, row.name, row)
    with pytest.raises(BackendMissingError, match=r"no_such_package.*bharsdk\[camera\]"):
        open_landmarker("absent")


def test_the_names_open_what_they_say():
    pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    for name, kind in (("body-hands", "BodyHandsLandmarker"), ("holistic", "HolisticLandmarker")):
        opened = open_landmarker(name)
        assert type(opened).__name__ == kind
        opened.close()


STICK = """
from bharsdk.landmarks.skeleton import Skeleton

STICK3 = Skeleton(
    "stick3",
    ("nose", "left_shoulder", "right_shoulder"),
    parents=(0, 0, 0),
    mirror=(0, 2, 1),
)
"""
STICK_LANDMARKER = """
import numpy as np
from bharsdk.landmarks.landmarks import Landmarks

BODY = np.array([[0.5, 0.2, 0, 1], [0.6, 0.4, 0, 1], [0.4, 0.4, 0, 1]], np.float32)

class Sticks:
    def detect(self, image, timestamp_ms):
        return (Landmarks.of_body(timestamp_ms, BODY, "stick3"),)
    def close(self): ...

def open_one(max_persons):
    return Sticks()
"""


def test_a_landmarker_with_other_joints_is_two_files_and_three_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "stick_skeleton.py").write_text(STICK)
    (tmp_path / "stick_landmarker.py").write_text(STICK_LANDMARKER)
    monkeypatch.syspath_prepend(tmp_path)
    stick3 = importlib.import_module("stick_skeleton").STICK3
    row = LandmarkerEntry("sticks", "three joints", "stick_landmarker")
    mapping = (stick3.name, MEDIAPIPE_BODY25.name)
    monkeypatch.setitem(skeleton.SKELETONS, stick3.name, stick3)
    monkeypatch.setattr(skeleton, "SAME_JOINTS", {*skeleton.SAME_JOINTS, mapping})
    monkeypatch.setitem(LANDMARKERS, row.name, row)
    try:
        recognizer = Recognizer("asl-coffee-prgcn", backend="native")
        path = tmp_path / "sticks.bhar-session"
        run = recognizer.run(_pictures(), landmarker="sticks", record=path)
        found = [person.landmarks for result in run for person in result.people]
        assert {one.skeletons[0] for one in found} == {"stick3"}
        recorded = load_session(path).sequence
        assert recorded.body.shape == (5, 3, 4)
        again = list(recognizer.run(path))
        assert len(again) == 5
    finally:
        sys.modules.pop("stick_skeleton", None)
        sys.modules.pop("stick_landmarker", None)
