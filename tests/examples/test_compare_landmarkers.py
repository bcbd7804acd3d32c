from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
EXAMPLES = Path(__file__).parents[2] / "examples"
CLIP = EXAMPLES / "data" / "videos" / "yo_001.mp4"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "compare_landmarkers", EXAMPLES / "compare_landmarkers.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by its name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_it_times_every_way_and_says_how_far_landmarks_differ(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
):
    assert script.main([str(CLIP), "--frames", "5", "--rounds", "1"]) == 0
    printed = capsys.readouterr()
    for way in ("Holistic", "one by one", "pipelined"):
        assert f"  {way}" in printed.out
    assert "every value is the same" in printed.out
    assert "right hand found in 100 % of the frames by Holistic, 100 % by ours" in printed.out
    assert printed.err == ""


def test_a_missing_video_is_one_line(script: ModuleType, capsys: pytest.CaptureFixture[str]):
    assert script.main(["gone.mp4"]) == 3
    assert "gone.mp4: got no video that OpenCV can read" in capsys.readouterr().err
