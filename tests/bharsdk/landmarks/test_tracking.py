from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk.errors import InputError, UsageError
from bharsdk.landmarks.landmarks import Landmarks
from bharsdk.landmarks.skeleton import BodyJoint
from bharsdk.landmarks.tracking import (
    PeopleConfig,
    PeopleTracker,
    _cheapest_columns,
    own_hands,
    place_of,
)
from bharsdk.recordings.session_file import load_session

SESSIONS = Path(__file__).parents[3] / "examples" / "data" / "sessions"
FRAME_MS = 1000.0 / 15.0

CLIP = 20
"""Frames of the clips that the sessions are strung together of; between two the person jumps."""


def _recorded(name: str) -> list[Landmarks]:
    """A clip of a real session forth and back, again and again: nobody jumps."""
    clip = list(load_session(SESSIONS / f"s2-{name}.bhar-session").sequence.frames())[
        CLIP : 2 * CLIP
    ]
    return list(itertools.islice(itertools.cycle([*clip, *clip[-2:0:-1]]), 150))


RECORDED = {name: _recorded(name) for name in ("a", "b")}
ANYBODY = RECORDED["a"][0]


def at(landmarks: Landmarks, dx: float, dy: float = 0.0, scale: float = 1.0) -> Landmarks:
    """The person moved by image heights, and larger or smaller about the middle of the picture."""
    center = np.array([0.5, 0.5, 0.0], np.float32)
    shift = np.array([dx / landmarks.aspect, dy, 0.0], np.float32) + center
    body = landmarks.body.copy()
    body[:, :3] = (body[:, :3] - center) * scale + shift
    return replace(landmarks, body=body, hands=(landmarks.hands - center) * scale + shift)


def ids(tracker: PeopleTracker, frames: Sequence[Sequence[Landmarks]]) -> list[list[int | None]]:
    """For every frame, the id of each of its people, in the order given."""
    found = []
    for number, people in enumerate(frames):
        seen = tracker.update(people, number * FRAME_MS)
        found.append(
            [next((i for i, one in seen.items() if one is person), None) for person in people]
        )
    return found


def crossing(hidden: bool, count: int = 60, scale: float = 0.9) -> list[list[Landmarks]]:
    """Two people change sides in ``count`` frames.

    hidden: the second cannot be seen while behind the first. scale: of the second.
    """
    ways = np.linspace(-0.8, 0.8, count)
    frames = []
    for way, a, b in zip(ways, RECORDED["a"], RECORDED["b"], strict=False):
        people = [at(a, way), at(b, -way, scale=scale)]
        frames.append(people[:1] if hidden and abs(way) < 0.16 else people)
    return frames


def test_two_people_side_by_side_keep_their_ids_through_a_recording():
    frames = [
        [at(a, -0.4), at(b, 0.4, scale=0.9)]
        for a, b in zip(RECORDED["a"], RECORDED["b"], strict=True)
    ]
    assert ids(PeopleTracker(2), frames) == [[1, 2]] * len(frames)


@pytest.mark.parametrize("scale", [1.0, 0.7])
@pytest.mark.parametrize("count", [15, 30, 45, 60])
def test_two_people_who_cross_keep_their_ids(count: int, scale: float):
    frames = crossing(False, count, scale)
    assert ids(PeopleTracker(2), frames) == [[1, 2]] * len(frames)


@pytest.mark.parametrize("scale", [1.0, 0.7])
@pytest.mark.parametrize("count", [20, 45, 60])
def test_two_people_keep_their_ids_when_one_is_hidden_as_they_cross(count: int, scale: float):
    frames = crossing(True, count, scale)
    assert sum(len(people) == 1 for people in frames) >= count // 6
    assert ids(PeopleTracker(2), frames) == [[1, 2][: len(people)] for people in frames]


def test_who_is_missed_for_a_moment_keeps_the_id_and_who_stays_away_does_not():
    config = PeopleConfig(max_lost_s=1.0)
    moment, long = 14, 16  # frames, at 15 a second
    for missed, expected in ((moment, 1), (long, 2)):
        frames = [[ANYBODY], *[[]] * (missed - 1), [ANYBODY]]
        assert ids(PeopleTracker(2, config), frames)[-1] == [expected]


def test_who_enters_as_another_leaves_is_somebody_new():
    leaving = [[at(ANYBODY, x)] for x in np.linspace(0.0, 0.8, 15)]
    entering = [[at(ANYBODY, x)] for x in np.linspace(-0.8, 0.0, 15)]
    found = ids(PeopleTracker(1), leaving + entering)
    assert found == [[1]] * 15 + [[2]] * 15


def test_ids_in_use_are_those_seen_and_those_that_may_come_back():
    tracker = PeopleTracker(2, PeopleConfig(max_lost_s=1.0))
    tracker.update([at(ANYBODY, -0.5), at(ANYBODY, 0.5)], 0.0)
    tracker.update([at(ANYBODY, -0.5)], 900.0)
    assert tracker.track_ids == {1, 2}
    tracker.update([at(ANYBODY, -0.5)], 1100.0)
    assert tracker.track_ids == {1}


def test_a_larger_newcomer_does_not_take_the_place_of_who_is_followed():
    small, large = at(ANYBODY, -0.6, scale=0.6), at(ANYBODY, 0.5)
    assert ids(PeopleTracker(1), [[small], [large, small]]) == [[1], [None, 1]]


def test_the_largest_newcomers_get_the_ids():
    people = [at(ANYBODY, x, scale=s) for x, s in ((-0.6, 0.5), (0.0, 0.9), (0.6, 0.7))]
    assert ids(PeopleTracker(2), [people]) == [[None, 1, 2]]


def test_distances_are_true_to_the_aspect():
    """The same scene, filmed into a picture twice as wide, has the same ids and places."""
    wide = []
    for people in crossing(hidden=True):
        wide.append(
            [
                replace(
                    one,
                    body=one.body * np.array([0.5, 1, 1, 1], np.float32),
                    hands=one.hands * np.array([0.5, 1, 1], np.float32),
                    aspect=2 * one.aspect,
                )
                for one in people
            ]
        )
    assert ids(PeopleTracker(2), wide) == ids(PeopleTracker(2), crossing(hidden=True))
    one, same = place_of(wide[0][0]), place_of(crossing(hidden=True)[0][0])
    assert one is not None and same is not None
    assert (one.x, one.y, one.size) == pytest.approx((same.x, same.y, same.size), abs=1e-5)


def test_who_shows_hands_alone_is_followed_by_them():
    with_hands = next(f for f in RECORDED["a"] if not np.isnan(f.hands).all())
    handed = replace(with_hands, body=np.full_like(with_hands.body, np.nan))
    nobody = Landmarks.empty(0.0)
    assert ids(PeopleTracker(2), [[handed], [nobody, handed]]) == [[1], [None, 1]]


@settings(max_examples=40, deadline=None)
@given(orders=st.lists(st.permutations([0, 1, 2]), min_size=5, max_size=30))
def test_the_order_in_which_people_are_given_changes_nothing(orders: list[list[int]]):
    a, b = RECORDED["a"], RECORDED["b"]
    frames = [
        [at(a[i], -0.8 + 0.05 * i), at(b[i], 0.8 - 0.05 * i), at(b[-1 - i], 0.0, scale=0.5)]
        for i in range(len(orders))
    ]
    shuffled = [[people[i] for i in order] for people, order in zip(frames, orders, strict=True)]
    plain = ids(PeopleTracker(3), frames)
    mixed = ids(PeopleTracker(3), shuffled)
    assert mixed == [[row[i] for i in order] for row, order in zip(plain, orders, strict=True)]


@settings(max_examples=60, deadline=None)
@given(
    frames=st.lists(
        st.lists(st.tuples(st.integers(-3, 3), st.sampled_from([0.4, 0.9])), max_size=4),
        min_size=1,
        max_size=40,
    ),
    max_persons=st.integers(1, 3),
)
def test_ids_are_never_used_again(frames: list[list[tuple[int, float]]], max_persons: int):
    """Whoever comes and goes: an id not in use any more never returns, and newer ids are larger."""
    tracker = PeopleTracker(max_persons, PeopleConfig(max_lost_s=0.3))
    retired: set[int] = set()
    highest = -1
    for number, places in enumerate(frames):
        before = tracker.track_ids
        people = [at(ANYBODY, x / 3, scale=size) for x, size in places]
        seen = tracker.update(people, number * FRAME_MS)
        retired |= before - tracker.track_ids
        assert len(seen) == min(len(people), max_persons)
        assert set(seen) <= tracker.track_ids
        assert not retired & tracker.track_ids
        new = set(seen) - before
        assert all(number > highest for number in new)
        highest = max([highest, *new])
        assert len(tracker.track_ids) <= 2 * max_persons


@settings(max_examples=100, deadline=None)
@given(
    costs=st.integers(1, 4).flatmap(
        lambda n: st.lists(
            st.lists(st.floats(0, 2), min_size=n + 2, max_size=n + 2), min_size=n, max_size=n
        )
    )
)
def test_continuations_are_the_cheapest_in_all(costs: list[list[float]]):
    array = np.array(costs)
    rows = range(len(array))
    chosen = _cheapest_columns(array)
    assert len(set(chosen)) == len(chosen)
    cheapest = min(
        sum(array[i, j] for i, j in zip(rows, columns, strict=True))
        for columns in itertools.permutations(range(array.shape[1]), len(array))
    )
    assert sum(array[i, j] for i, j in zip(rows, chosen, strict=True)) == pytest.approx(cheapest)


def _with_right_hand_at_wrist_of(owner: Landmarks) -> Landmarks:
    """``owner`` with a right hand, whose wrist is where the pose has it, and no left one."""
    shown = next(f for f in RECORDED["a"] if not np.isnan(f.hands[1]).any())
    hands = np.full_like(owner.hands, np.nan)
    hands[1] = shown.hands[1] - shown.hands[1, 0] + owner.body[BodyJoint.RIGHT_WRIST, :3]
    return replace(owner, hands=hands)


def test_a_hand_belongs_to_the_person_with_the_nearer_wrist():
    owner = _with_right_hand_at_wrist_of(ANYBODY)
    for other_side in range(2):
        hands = np.full_like(owner.hands, np.nan)
        hands[other_side] = owner.hands[1] + np.float32(0.002)
        neighbor = replace(at(ANYBODY, 0.6), hands=hands)
        for people in ([owner, neighbor], [neighbor, owner]):
            kept = own_hands(people)
            mine, theirs = (kept[i] for i in ((0, 1) if people[0] is owner else (1, 0)))
            np.testing.assert_array_equal(mine.hands, owner.hands)
            assert np.isnan(theirs.hands).all()
            np.testing.assert_array_equal(theirs.body, neighbor.body)


def test_hands_apart_stay_with_their_people():
    people = [_with_right_hand_at_wrist_of(one) for one in (ANYBODY, at(ANYBODY, 0.3))]
    for before, after in zip(people, own_hands(people), strict=True):
        np.testing.assert_array_equal(before.hands, after.hands)


def test_one_person_s_own_hands_may_lie_together():
    one = _with_right_hand_at_wrist_of(ANYBODY)
    folded = replace(one, hands=np.stack([one.hands[1], one.hands[1]]))
    (kept,) = own_hands([folded])
    np.testing.assert_array_equal(kept.hands, folded.hands)


def test_time_must_go_on():
    tracker = PeopleTracker(1)
    tracker.update([], 100.0)
    for timestamp_ms in (100.0, 50.0, float("nan")):
        with pytest.raises(InputError, match="strictly increasing"):
            tracker.update([], timestamp_ms)


def test_impossible_settings_are_refused():
    for number in (0, 9):
        with pytest.raises(UsageError, match="expected 1 to 8"):
            PeopleTracker(number)
    with pytest.raises(UsageError, match="max_lost_s"):
        PeopleConfig(max_lost_s=0.0)
