from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bharsdk import recognizer
from bharsdk.errors import InputError
from bharsdk.events import Event, EventPhase
from bharsdk.landmarks.landmarks import Landmarks
from bharsdk.recordings.session import TrueEvent
from bharsdk.recordings.session_file import load_session, save_session

ROOT = Path(__file__).parents[2]
DATA = ROOT / "examples" / "data"
WORDS = ROOT / "tests" / "data" / "words.npz"
SESSIONS = sorted((DATA / "sessions").glob("*.bhar-session"))


def _example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


demo, make_sessions = _example("demo"), _example("make_sessions")


@pytest.fixture
def shipped(presence_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of shipped models with one in it, under the name that the demo asks for."""
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(presence_bundle, folder / f"{demo.MODEL}.bhar")
    monkeypatch.setattr("bharsdk.bundle.shipped.SHIPPED", folder)


def _event(label: str, start_ms: float, end_ms: float) -> Event:
    return Event(label, EventPhase.END, start_ms, end_ms, 0.9)


TRUTH = (TrueEvent("tea", 1000.0, 2000.0), TrueEvent("no", 3000.0, 4000.0))


@pytest.mark.parametrize(
    ("events", "counts"),
    [
        ([], (0, 0, 2, 0)),
        ([_event("tea", 1100, 1900), _event("no", 3000, 3500)], (2, 0, 0, 0)),
        ([_event("no", 1100, 1900), _event("tea", 3000, 3500)], (0, 2, 0, 0)),
        ([_event("tea", 2300, 2700)], (0, 0, 2, 1)),
        ([_event("tea", 2100, 2390)], (1, 0, 1, 0)),
        ([_event("tea", 2100, 2410)], (0, 0, 2, 1)),
        ([_event("no", 1400, 1600), _event("tea", 1900, 2000)], (1, 0, 1, 1)),
        ([_event("tea", 1000, 1200), _event("tea", 1400, 1600)], (1, 0, 1, 1)),
    ],
    ids=["none", "all", "swapped", "between", "near", "too far", "label first", "twice"],
)
def test_an_event_is_right_when_label_and_middle_agree(
    events: list[Event], counts: tuple[int, int, int, int]
):
    """Counts: right, with another label, missed, false."""
    found = demo.compare(TRUTH, events)
    assert (found.right, found.mistaken, found.missed, found.false) == counts
    assert len(found.pairs) == sum(counts)


def test_sessions_are_made_of_the_clips_with_their_truth(tmp_path: Path):
    first, second = (
        make_sessions.make_sessions(
            WORDS, tmp_path / name, signer="s2", sessions=1, signs=3, seed=5
        )[0]
        for name in ("one", "two")
    )
    assert first.read_bytes() == second.read_bytes()
    session = load_session(first)
    with np.load(WORDS, allow_pickle=False) as data:
        mine = data["signer"] == "s2"
        labels, clips = data["label"][mine], data["landmarks"][mine].astype(np.float32)
    flat = session.sequence.to_flat().reshape(7, 20, 258)
    at = [int(np.flatnonzero((clips == clip).all(axis=(1, 2)))[0]) for clip in flat]
    assert len(set(at)) == 7
    assert [labels[i] for i in at[::2]] == ["-"] * 4
    assert [labels[i] for i in at[1::2]] == [event.label for event in session.truth]
    starts = session.sequence.timestamps_ms[20::40]
    np.testing.assert_allclose([event.start_ms for event in session.truth], starts)
    assert "jumps" in session.note
    assert "MIT" in session.license


def test_too_few_clips_for_a_session_is_bad_input(tmp_path: Path):
    with pytest.raises(InputError, match="too few clips"):
        make_sessions.make_sessions(WORDS, tmp_path, signer="s9", sessions=1, signs=4, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_bundled_sessions_are_small_and_hold_fifty_signs():
    assert sum(path.stat().st_size for path in SESSIONS) < 600_000
    sessions = [load_session(path) for path in SESSIONS]
    assert sum(len(session.truth) for session in sessions) == 50
    assert all("-" not in {event.label for event in s.truth} for s in sessions)


def test_the_demo_runs_both_parts(
    shipped: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
    data, out = tmp_path / "data", tmp_path / "out"
    (data / "videos").mkdir(parents=True)
    shutil.copy(DATA / "videos" / "yo_001.mp4", data / "videos")
    session = load_session(SESSIONS[0])
    truth = tuple(replace(true, label="right") for true in session.truth)
    (data / "sessions").mkdir()
    save_session(data / "sessions" / SESSIONS[0].name, replace(session, truth=truth))
    assert demo.main(["--data", str(data), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert re.search(r"landmarks +[\d.]+ ms  median  <- bottleneck", text)
    assert re.search(r"ours, capture excluded: [\d.]+ ms median", text)
    assert "Mexican Sign Language" in text
    assert re.search(r"\d+ of 25 signs right, \d+ with another label, \d+ missed; \d+ false", text)
    assert [path.name for path in out.iterdir()] == ["yo_001.annotated.mp4"]


def test_a_bundle_of_other_signs_is_not_scored_on_sessions(
    shipped: None, capsys: pytest.CaptureFixture[str]
):
    """Letters have no part in the words of a coffee order."""
    demo.show_sessions(SESSIONS[:1])
    assert "signs right" not in capsys.readouterr().out


def test_the_demo_without_its_data_says_so(
    shipped: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert demo.main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 3
    assert "expected the files of the project" in capsys.readouterr().err


def test_bundled_sessions_give_identical_events_live_and_replayed(shipped: None):
    model = recognizer.Recognizer(demo.MODEL)
    for path in SESSIONS:
        stream, live = model.stream(), []
        for frame in load_session(path).sequence.frames():
            live += stream.push(
                Landmarks(frame.timestamp_ms, frame.body.copy(), frame.hands.copy(), frame.aspect)
            )
        live += stream.flush()
        assert live == [event for result in model.run(path) for event in result.events]
        assert live


@pytest.mark.skipif(
    demo.MODEL not in recognizer.shipped_bundles(), reason="no trained model ships yet"
)
def test_the_example_of_the_readme_runs():
    result = subprocess.run(
        [sys.executable, "examples/quickstart.py"],
        cwd=ROOT,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("end") >= 20


def test_no_video_is_drawn_among_the_videos(shipped: None, capsys: pytest.CaptureFixture[str]):
    assert demo.main(["--out", str(DATA / "videos" / ".")]) == 2
    assert "which --data names too" in capsys.readouterr().err
