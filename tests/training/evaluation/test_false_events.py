from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bhar_training.cli import main
from bhar_training.evaluation.false_events import count_false_events, endless
from bharsdk import Recognizer
from bharsdk.landmarks.landmarks import LandmarkSequence

WORDS = Path(__file__).parents[2] / "data" / "words.npz"


@pytest.fixture(scope="module")
def rests(word_clips: dict[str, npt.NDArray[np.float16]]) -> list[LandmarkSequence]:
    return [LandmarkSequence.from_flat(clip, fps=15.0) for clip in word_clips["-"]]


def test_frames_go_on_in_time_without_a_leap_between_two_clips(rests: list[LandmarkSequence]):
    shown, frames = zip(*itertools.islice(endless(rests, seed=1), 400), strict=True)
    assert list(shown) == sorted(shown)
    assert shown[0] == 1 < shown[-1] <= 400 / 10
    times = [frame.timestamp_ms for frame in frames]
    steps = np.diff(times)
    assert (steps > 0).all()
    assert steps.max() < 100, "no pause that would start the window anew"
    shoulders = np.stack([frame.body[11:13, :2] for frame in frames])
    within = max(np.nanmax(np.abs(np.diff(clip.body[:, 11:13, :2], axis=0))) for clip in rests)
    assert np.nanmax(np.abs(np.diff(shoulders, axis=0))) < 5 * within + 0.1


def test_the_same_seed_gives_the_same_hours(rests: list[LandmarkSequence]):
    a, b = (
        [frame.timestamp_ms for _, frame in itertools.islice(endless(rests, seed), 100)]
        for seed in (3, 3)
    )
    assert a == b


def test_every_event_of_no_sign_is_counted(presence_bundle: Path, recording: LandmarkSequence):
    """A model that takes any right hand for a sign, on clips that all show one."""
    hands = np.full_like(recording.hands, np.nan)
    hands[40:80, 1] = 0.5 + 0.01 * np.arange(63, dtype=np.float32).reshape(21, 3)
    shown = recording.replaced(hands=hands)
    found = count_false_events(
        Recognizer(presence_bundle), [shown], hours=60 / 3600, progress=False
    )
    assert found.by_label.keys() == {"right"}
    assert 3 <= found.events <= 8
    assert 3 <= found.shown <= 8
    assert found.per_hour == pytest.approx(60 * found.events)


def test_the_command_prints_the_rate_and_holds_it_to_a_bound(
    capsys: pytest.CaptureFixture[str],
):
    data = ["--data", str(WORDS), "--signers", "s2", "--hours", "0.01"]
    assert main(["false-events", "asl-coffee-prgcn", *data, "--at-most", "100"]) == 0
    assert "an hour" in capsys.readouterr().out
    assert main(["false-events", "asl-coffee-prgcn", *data, "--labels", "no"]) == 2
    assert "'no', a sign that the model is to recognize" in capsys.readouterr().err
    assert main(["false-events", "asl-coffee-prgcn", *data, "--unknown"]) == 3
