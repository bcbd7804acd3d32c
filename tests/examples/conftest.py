"""Fixtures of the ROS 2 example: its package on the path, and a recording with events."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bharsdk.landmarks.landmarks import LandmarkSequence

from .ros2_parts import ROS2


@pytest.fixture
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As ``colcon build`` leaves it."""
    monkeypatch.syspath_prepend(str(ROS2))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "bharsdk_ros"]:
        del sys.modules[name]


@pytest.fixture
def package(on_the_path: None) -> ModuleType:
    return importlib.import_module("bharsdk_ros.recognition")


@pytest.fixture
def waving(recording: LandmarkSequence) -> LandmarkSequence:
    """The right hand is there for two seconds of every four."""
    hands = np.full_like(recording.hands, np.nan)
    seconds = (recording.timestamps_ms - recording.timestamps_ms[0]) / 1000
    hands[seconds % 4.0 < 2.0, 1] = 0.5 + 0.01 * np.arange(63, dtype=np.float32).reshape(21, 3)
    return recording.replaced(hands=hands)


@pytest.fixture
def settings(package: ModuleType, presence_bundle: Path) -> Any:
    return package.Settings(model=str(presence_bundle))
