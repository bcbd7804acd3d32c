from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.errors import InputError
from bharsdk.landmarks.action import find_action, frames_between, parse_range, part_of
from bharsdk.landmarks.activity import activity_of
from bharsdk.landmarks.landmarks import LandmarkSequence

WINDOW_MS = FeatureConfig().window_ms
FPS = 15.0
WordClips = dict[str, npt.NDArray[np.float16]]


def _resting(seconds: float, fps: float = 30.0, seed: int = 0) -> LandmarkSequence:
    """Somebody who sits still, both hands in view, trembling as landmarks do."""
    random = np.random.default_rng(seed)
    frames = round(seconds * fps)
    body = np.full((frames, 33, 4), 0.5, np.float32)
    body[:, 11, 0], body[:, 12, 0] = 0.6, 0.4
    body[:, 11:13, 1] = 0.4
    body[:, 15, :2], body[:, 16, :2] = (0.6, 0.8), (0.4, 0.8)
    body[..., 3] = 1.0
    shape = random.uniform(-0.04, 0.04, (21, 3)).astype(np.float32)
    shape[0] = 0.0
    hands = np.empty((frames, 2, 21, 3), np.float32)
    hands[:, 0] = shape + np.array([0.6, 0.8, 0.0], np.float32)
    hands[:, 1] = shape + np.array([0.4, 0.8, 0.0], np.float32)
    hands += random.normal(0, 0.0005, hands.shape).astype(np.float32)
    return LandmarkSequence(np.arange(frames) * (1000.0 / fps), body, hands, 1.0)


def _moved(
    clip: LandmarkSequence, way: npt.NDArray[np.float64], at_s: list[float]
) -> LandmarkSequence:
    """``clip`` with its right hand where ``way`` [n, 2] says at times ``at_s``, elsewhere rest."""
    seconds = clip.timestamps_ms / 1000
    hands, body = clip.hands.copy(), clip.body.copy()
    for axis in range(2):
        offset = np.interp(seconds, np.asarray(at_s), way[:, axis]).astype(np.float32)
        hands[:, 1, :, axis] += offset[:, None]
        body[:, 16, axis] += offset
    return clip.replaced(hands=hands, body=body)


def raised(clip: LandmarkSequence, start_s: float, hold_s: float) -> LandmarkSequence:
    """``clip`` with the right hand raised in 0.4 s, held, and lowered again."""
    times = [start_s, start_s + 0.4, start_s + 0.4 + hold_s, start_s + 0.8 + hold_s]
    way = np.array([[0.0, 0.0], [0.0, -0.4], [0.0, -0.4], [0.0, 0.0]])
    return _moved(clip, way, times)


def _strung(word_clips: WordClips, label: str, before: int, after: int) -> LandmarkSequence:
    """A real sign between idle frames of the same signer."""
    idle = np.concatenate(list(word_clips["-"]))
    parts = [idle[:before], word_clips[label][1], idle[before : before + after]]
    return LandmarkSequence.from_flat(np.concatenate(parts), fps=FPS)


def _share(clip: LandmarkSequence, start_ms: float, end_ms: float) -> float:
    """Of the sign from start to end, in the window that evaluation looks at."""
    middle_ms = find_action(clip, WINDOW_MS).middle_ms
    first, last = middle_ms - WINDOW_MS / 2, middle_ms + WINDOW_MS / 2
    return max(0.0, min(end_ms, last) - max(start_ms, first)) / (end_ms - start_ms)


def test_a_clip_that_fits_into_a_window_is_all_action(word_clips: WordClips) -> None:
    """To the bit its middle, so that figures on short clips are what they were."""
    for clips in word_clips.values():
        clip = LandmarkSequence.from_flat(clips[0], fps=FPS)
        span = find_action(clip, WINDOW_MS)
        assert (span.start_ms, span.end_ms) == (clip.timestamps_ms[0], clip.timestamps_ms[-1])
        assert span.middle_ms == (clip.timestamps_ms[0] + clip.timestamps_ms[-1]) / 2


@settings(deadline=None, max_examples=40)
@given(st.data(), st.integers(0, 40), st.integers(0, 40))
def test_a_sign_is_found_wherever_it_is_in_a_clip(
    word_clips: WordClips, data: st.DataObject, before: int, after: int
) -> None:
    """Real signs of one signer between idle frames of the same one."""
    label = data.draw(st.sampled_from(sorted(set(word_clips) - {"-"})))
    clip = _strung(word_clips, label, before, after)
    start_ms = before * 1000 / FPS
    assert _share(clip, start_ms, start_ms + 19 * 1000 / FPS) >= 0.8


@pytest.mark.parametrize("start_s", [0.3, 1.5, 3.2])
@pytest.mark.parametrize("fps", [12.0, 30.0, 60.0])
def test_movement_decides_where_idle_hands_are_always_seen(start_s: float, fps: float) -> None:
    clip = raised(_resting(5.0, fps), start_s, 0.2)
    assert _share(clip, start_s * 1000, start_s * 1000 + 1000) >= 0.8


def test_a_pose_that_is_held_is_seen_in_its_hold() -> None:
    """Hands that come into view, hold for 3 s and go; the window shows hands alone."""
    clip = raised(_resting(6.0), 1.0, 3.0)
    hands = clip.hands.copy()
    seconds = clip.timestamps_ms / 1000
    hands[(seconds < 1.0) | (seconds > 4.8)] = np.nan
    assert _share(clip.replaced(hands=hands), 1000, 4800) * 3800 >= 0.95 * WINDOW_MS


def test_where_nothing_tells_parts_apart_the_whole_clip_is_the_action() -> None:
    """Its middle is then looked at, as in a clip that is short."""
    for clip in (_resting(4.0), _without_anybody(_resting(4.0))):
        span = find_action(clip, WINDOW_MS)
        assert (span.start_ms, span.end_ms) == (clip.timestamps_ms[0], clip.timestamps_ms[-1])


def _without_anybody(clip: LandmarkSequence) -> LandmarkSequence:
    nobody = np.full_like(clip.body, np.nan)
    return clip.replaced(body=nobody, hands=np.full_like(clip.hands, np.nan))


def test_the_action_does_not_depend_on_the_camera() -> None:
    """Neither on the distance, nor on the aspect, nor on where time begins."""
    clip = raised(_resting(5.0), 2.8, 0.2)
    body, hands = clip.body.copy(), clip.hands.copy()
    body[..., 0], hands[..., 0] = body[..., 0] / 4, hands[..., 0] / 4
    body[..., 1], hands[..., 1] = body[..., 1] / 2, hands[..., 1] / 2
    far = clip.replaced(timestamps_ms=clip.timestamps_ms + 1e6, body=body, hands=hands, aspect=2.0)
    span, other = find_action(clip, WINDOW_MS), find_action(far, WINDOW_MS)
    assert other.start_ms - 1e6 == pytest.approx(span.start_ms, abs=1.0)
    assert other.end_ms - 1e6 == pytest.approx(span.end_ms, abs=1.0)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.integers(1, 30), st.floats(1, 20_000))
def test_any_clip_has_an_action_within_it(
    data: st.DataObject, frames: int, window_ms: float
) -> None:
    """Odd times, single frames, hands and people that come and go."""
    gaps = data.draw(st.lists(st.floats(0.1, 1e9), min_size=frames, max_size=frames))
    lost = data.draw(st.lists(st.booleans(), min_size=3 * frames, max_size=3 * frames))
    clip = _resting(frames / 30.0)
    body, hands = clip.body.copy(), clip.hands.copy()
    gone = np.array(lost).reshape(3, frames)
    body[gone[0]] = np.nan
    hands[gone[1], 0], hands[gone[2], 1] = np.nan, np.nan
    clip = clip.replaced(timestamps_ms=np.cumsum(gaps), body=body, hands=hands)
    span = find_action(clip, window_ms)
    assert clip.timestamps_ms[0] <= span.start_ms <= span.end_ms <= clip.timestamps_ms[-1]
    assert span == find_action(clip, window_ms)


def test_a_range_is_read_from_the_name_of_a_clip() -> None:
    assert parse_range("a@b/wave.mp4@1.5-3.0") == ("a@b/wave.mp4", (1.5, 3.0))
    assert parse_range("wave.mp4@2-10") == ("wave.mp4", (2.0, 10.0))
    for plain in ("wave.mp4", "rtsp://user:word@host/1-2", "wave@home.mp4", "wave.mp4@-1-2"):
        assert parse_range(plain) is None
    with pytest.raises(InputError, match=r"wave.mp4@3-1: got 3 to 1 s, expected .* start < end"):
        parse_range("wave.mp4@3-1")


def test_a_part_of_a_clip_is_its_frames_from_then_to_then() -> None:
    """Seconds from the first frame; the last frame counts, also by a rounded time."""
    clip = _resting(2.0, fps=15.0)
    clip = clip.replaced(timestamps_ms=clip.timestamps_ms + 500.0)
    part = part_of(clip, 0.2, 1.2667)
    np.testing.assert_array_equal(part.timestamps_ms, clip.timestamps_ms[3:20])
    np.testing.assert_array_equal(part.hands, clip.hands[3:20])
    for start_s, end_s in ((5.5, 6.5), (0.21, 0.22)):
        with pytest.raises(InputError, match=rf"w: got {start_s} to {end_s} s of a clip of 1.93 s"):
            part_of(clip, start_s, end_s, "w")
    for start_s, end_s in ((1.0, 1.0), (-1.0, 1.0), (0.0, float("nan")), (0.0, float("inf"))):
        with pytest.raises(InputError, match=r"w: got .* 0 <= start < end"):
            part_of(clip, start_s, end_s, "w")
    assert len(frames_between(clip, 4000.0, 4001.0)) == 1


def test_shares_of_hands_and_movement_are_those_of_the_time() -> None:
    """However often the camera looks."""
    for fps in (15.0, 60.0):
        clip = raised(_resting(4.0, fps), 1.0, 0.2)
        hands = clip.hands.copy()
        hands[: len(hands) // 4] = np.nan
        seen = activity_of(clip.replaced(hands=hands))
        assert seen.hands_share == pytest.approx(0.75, abs=0.05)
        assert seen.moving_share == pytest.approx(0.25, abs=0.08)
        assert not seen.is_empty


def test_a_clip_in_which_nothing_happens_is_empty() -> None:
    """No hand, and wrists that rest; hands that are held are something."""
    still = _resting(3.0)
    assert not activity_of(still).is_empty
    unseen = still.replaced(hands=np.full_like(still.hands, np.nan))
    assert activity_of(unseen).is_empty
    assert activity_of(_without_anybody(still)).is_empty
    waving = raised(still, 0.5, 1.0)
    assert not activity_of(waving.replaced(hands=unseen.hands)).is_empty


def test_movements_with_rests_between_them_are_told_apart() -> None:
    """Hands in view or out of sight in the rests."""
    clip = _resting(8.0)
    for start_s in (1.0, 3.5, 6.0):
        clip = raised(clip, start_s, 0.3)
    away = clip.hands.copy()
    away[np.abs(clip.body[:, 16, 1] - 0.8) < 0.01] = np.nan
    for each in (clip, clip.replaced(hands=away)):
        bursts = activity_of(each).bursts()
        assert [round(b.start_ms / 500) for b in bursts] == [2, 7, 12]
        assert all(0.5 < (b.end_ms - b.start_ms) / 1000 < 1.6 for b in bursts)


def test_a_hold_and_the_strokes_of_a_wave_are_one_movement() -> None:
    """Rests within a gesture: a pose that is held for 3 s, and short stops."""
    held = raised(_resting(7.0), 1.0, 3.0)
    (burst,) = activity_of(held).bursts()
    assert burst.end_ms - burst.start_ms > 3500
    seconds = [1.0, 1.4, 1.8, 2.2, 2.6, 3.0, 3.4]
    way = np.array([[0, 0], [0, -0.4], [-0.2, -0.4], [0.2, -0.4], [-0.2, -0.4], [0, -0.4], [0, 0]])
    assert len(activity_of(_moved(_resting(5.0), way, seconds)).bursts()) == 1
    assert activity_of(_resting(3.0)).bursts() == []
