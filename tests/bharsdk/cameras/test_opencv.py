"""Promises of OpenCV and MediaPipe on demand."""

from __future__ import annotations

import importlib

import pytest

from bharsdk.cameras import opencv
from bharsdk.errors import BackendMissingError


@pytest.mark.parametrize("name", ["cv2", "mediapipe"])
def test_a_python_that_mediapipe_does_not_have_is_told_so(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the extra ``camera`` is empty: to install it again would help nobody."""

    def missing(module: str) -> None:
        raise ModuleNotFoundError(module, name=module)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(BackendMissingError, match=r"pip install 'bharsdk\[camera\]'"):
        opencv.import_camera_module(name)
    monkeypatch.setattr(opencv, "NEWEST", (3, 9))
    with pytest.raises(BackendMissingError, match=r"no release for Python 3\.\d+, expected"):
        opencv.import_camera_module(name)
