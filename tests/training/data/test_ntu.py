from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bhar_training.data.ntu import Track, people_of, read_ntu
from bhar_training.data.skeleton_datasets import read_skeletons
from bharsdk.errors import InputError

ROOT = Path(__file__).parents[3]
CASES = ROOT.parent / "shared" / "cases" / "ntu_rgbd"
RNG = np.random.default_rng(3)
STANDING = np.stack(
    [RNG.uniform(-0.3, 0.3, 25), np.linspace(-0.9, 0.8, 25), RNG.uniform(2.9, 3.1, 25)], axis=1
)
LYING = STANDING[:, [1, 0, 2]]
NAME = "S001C001P001R001A001.skeleton"


def _track(first: int, last: int, x: float = 0.0, shape: np.ndarray = STANDING) -> Track:
    """A body at ``x`` that moves a little, in the frames ``first`` to ``last``."""
    frames = np.arange(first, last + 1)
    joints = shape + np.array([x, 0, 0]) + RNG.normal(0, 0.01, (len(frames), 25, 3))
    return Track(frames, joints.astype(np.float32))


def _text(tracks: Sequence[Track], frames: int) -> str:
    """A ``.skeleton`` file of these tracks."""
    lines = [str(frames)]
    for frame in range(frames):
        here = [(i, t) for i, t in enumerate(tracks) if frame in t.frames]
        lines.append(str(len(here)))
        for number, track in here:
            lines += [f"{number + 101} 0 1 1 1 1 0 0.02 -0.13 2", "25"]
            joints = track.joints[list(track.frames).index(frame)]
            lines += [" ".join(map(str, [*xyz, 9, 9, -np.inf, 5, 0, 0, 0, 1, 2])) for xyz in joints]
    return "\n".join(lines) + "\n"


def _seen(path: Path) -> list[int]:
    """In how many frames each of the two people is seen."""
    return [int(n) for n in np.isfinite(read_ntu(path)[:, 0, 0]).sum(axis=0)]


def test_a_person_whose_track_id_changes_is_one(tmp_path: Path) -> None:
    """Tracks that do not overlap in time are one person."""
    (tmp_path / NAME).write_text(_text([_track(0, 19), _track(20, 39)], 40))
    assert _seen(tmp_path / NAME) == [40, 0]


def test_the_second_person_may_change_its_id_too(tmp_path: Path) -> None:
    """Two people, three tracks."""
    tracks = [_track(0, 39), _track(0, 19, 1.0), _track(20, 39, 1.0)]
    (tmp_path / NAME).write_text(_text(tracks, 40))
    assert _seen(tmp_path / NAME) == [40, 40]


def test_people_who_both_change_their_ids_stay_who_they_are() -> None:
    """Of two who have left, the nearer one goes on."""
    tracks = [_track(0, 19), _track(0, 19, 1.0), _track(20, 39, 1.05), _track(20, 39, 0.05)]
    people = people_of(tracks)
    assert [len(person.frames) for person in people] == [40, 40]
    for person in people:
        middle = person.joints[..., 0].mean(axis=1)
        assert np.ptp(middle) < 0.2


def test_what_is_wider_than_tall_beside_a_person_is_nobody(tmp_path: Path) -> None:
    """A chair that the sensor took for a body, though it moves more than the person."""
    chair = _track(0, 29, 1.0, LYING)
    chair.joints[::2] += 0.5
    person = _track(0, 39)
    (tmp_path / NAME).write_text(_text([chair, person], 40))
    points = read_ntu(tmp_path / NAME)
    np.testing.assert_allclose(points[..., 0], person.joints, rtol=1e-5)
    assert np.isnan(points[..., 1]).all()


def test_a_person_who_lies_alone_is_one() -> None:
    """Wide, and nobody else is there."""
    (person,) = people_of([_track(0, 39, 0.0, LYING)])
    assert len(person.frames) == 40
    falls = people_of([_track(0, 19), _track(20, 39, 0.1, LYING)])
    assert [len(person.frames) for person in falls] == [40]


def test_a_short_track_is_nobody_unless_it_goes_on_with_a_person() -> None:
    """11 frames or less beside longer ones."""
    ghost = _track(10, 20, 2.0)
    assert [len(p.frames) for p in people_of([_track(0, 39), ghost])] == [40]
    assert [len(p.frames) for p in people_of([_track(0, 4), _track(5, 39)])] == [40]
    assert [len(p.frames) for p in people_of([_track(0, 34), _track(35, 39)])] == [40]
    assert [len(p.frames) for p in people_of([_track(0, 34), _track(35, 39, 2.0)])] == [35]
    assert [len(p.frames) for p in people_of([_track(0, 4)])] == [5]


def test_files_without_bodies_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As all papers do; alone, such a file is refused."""
    caplog.set_level("INFO")
    (tmp_path / NAME).write_text(_text([_track(0, 19)], 20))
    empty = tmp_path / "S001C002P006R001A008.skeleton"
    empty.write_text("3\n0\n0\n0\n")
    assert read_skeletons(tmp_path).labels == ("1",)
    assert "1 file without a body left out, S001C002P006R001A008.skeleton" in caplog.text
    with pytest.raises(InputError, match=r"A008\.skeleton: got no body in 3 frames"):
        read_skeletons(empty)


def test_every_damaged_file_of_a_folder_is_counted_in_one_message(tmp_path: Path) -> None:
    """With the first one's line; intact and empty files beside them do not hide it."""
    whole = _text([_track(0, 19)], 20)
    (tmp_path / NAME).write_text(whole)
    (tmp_path / NAME.replace("A001", "A002")).write_text(whole[:5000])
    (tmp_path / NAME.replace("A001", "A003")).write_text(whole.replace("\n25\n", "\n24\n", 1))
    (tmp_path / "clip.skeleton").write_text(whole)
    with pytest.raises(InputError, match=r"A002\.skeleton: line \d+: .*; and 2 more of 4 files"):
        read_skeletons(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\n25\n", "\n24\n", "line 4: got 24 joints in frame 0, expected 25"),
        ("\n25\n", "\nfew\n", "line 4: got joint count 'few'"),
        (" 0 0 0 1 2\n", " 0 0 0 1\n", "line 5: got 11 values, expected 12 of a joint"),
        (" 0 0 0 1 2\n", " 0 0 0 1 x\n", "line 5: holds no numbers"),
        ("1 1 1 0 0.02", "1 1 0 0.02", "line 3: got 9 values, expected 10 of a body"),
        ("2\n1\n", "2\n99\n", "line 2: got body count '99', expected a number up to 64"),
        ("2\n1\n", "2\n" + "9" * 5000 + "\n", "line 2: got body count '9+'"),
        ("2\n1\n", "9\n1\n", "line 57: ends early, expected body count"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    """Counts, numbers, the end."""
    text = _text([_track(0, 1)], 2)
    assert old in text
    (tmp_path / NAME).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as error:
        read_skeletons(tmp_path / NAME)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_coordinates_that_no_sensor_gives_are_refused(tmp_path: Path) -> None:
    """NaN, infinite, or a kilometer away."""
    for value in (np.nan, np.inf, 1e30):
        track = _track(0, 1)
        track.joints[1, 3, 2] = value
        (tmp_path / NAME).write_text(_text([track], 2))
        with pytest.raises(InputError, match="line 36: holds no numbers of a joint"):
            read_skeletons(tmp_path / NAME)


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases of the project are not here")
def test_the_cases_of_the_public_reports_read_as_they_should() -> None:
    """Nobody; one whose id changes; two, of whom one's changes; a chair beside a person."""
    assert _seen(CASES / "S010C003P025R001A010.skeleton") == [80, 0]
    assert _seen(CASES / "S010C003P025R001A050.skeleton") == [80, 80]
    assert _seen(CASES / "S010C003P025R001A027.skeleton") == [80, 0]
    clips = read_skeletons(CASES)
    assert clips.labels == ("10", "27", "50")
    extent = np.ptp(clips.clips[1][..., 0], axis=1)
    assert np.mean(extent[:, 0] > extent[:, 1]) < 0.5
