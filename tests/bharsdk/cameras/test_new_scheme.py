"""What a further source address costs: one file and one row."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bharsdk import SourceConfig, open_source
from bharsdk.cameras import address
from bharsdk.cameras.address import CameraAddress, parse_address
from bharsdk.errors import UsageError
from bharsdk.landmarks.landmarks import Landmarks

SCREEN = """
import time
import numpy as np
from bharsdk.cameras.pictures import CapturedImage
from bharsdk.errors import UsageError

def target_of(rest):
    if not rest.isdecimal():
        raise UsageError(f"source: got screen://{rest}, expected screen://0")
    return int(rest)

class Screen:
    is_live, fps, frame_count = True, None, None
    def __init__(self, address, origin_s):
        self.name, self._origin_s = address.name, origin_s
    def __iter__(self):
        while True:
            now_ms = 1000 * (time.monotonic() - self._origin_s)
            yield CapturedImage(np.zeros((36, 64, 3), np.uint8), now_ms)
            time.sleep(0.005)
    def interrupt(self): ...
    def close(self): ...

open_one = Screen
"""


class Nobody:
    """Finds nobody."""

    def detect(self, image: object, timestamp_ms: float) -> tuple[Landmarks, ...]:
        return ()

    def close(self) -> None: ...


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file, and its row."""
    (tmp_path / "screen_source.py").write_text(SCREEN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(address.SCHEME_MODULES, "screen", "screen_source")
    yield
    sys.modules.pop("screen_source", None)


@pytest.mark.usefixtures("screen")
@pytest.mark.parametrize("wait_s", [0.0, 5.0])
def test_a_new_scheme_is_one_file_and_one_row(wait_s: float):
    config = SourceConfig(max_frames=3, wait_for_source_s=wait_s)
    with open_source("screen://0", Nobody(), config) as source:
        times = [frame.timestamp_ms for frame in source]
    assert len(times) >= 1
    assert times == sorted(times)


@pytest.mark.usefixtures("screen")
def test_a_new_scheme_has_its_own_errors_and_is_named_among_the_others():
    with pytest.raises(UsageError, match=r"expected screen://0"):
        parse_address("screen://left")
    with pytest.raises(UsageError, match=r"file://, screen://"):
        parse_address("gopher://left")


@pytest.mark.usefixtures("screen")
def test_messages_of_a_new_scheme_show_no_password(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        sys.modules.get("screen_source") or __import__("screen_source"), "target_of", str
    )
    found = parse_address("screen://me:secret@host/a")
    assert isinstance(found, CameraAddress)
    assert "secret" not in found.name + repr(found)
