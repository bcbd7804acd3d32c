from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bhar_training.data.skeleton_datasets import read_skeletons
from bhar_training.data.skeletons import PROTOCOLS, SkeletonClips, split_by_protocol
from bharsdk.errors import InputError, UsageError
from bharsdk.landmarks.skeleton import KINECT20, NTU25

SHARED = Path(__file__).parents[4] / "shared" / "data"


def _clips(count: int = 40) -> SkeletonClips:
    points = [np.zeros((2, 25, 3, 1), np.float32) + i for i in range(count)]
    numbers = range(1, count + 1)
    return SkeletonClips.of(
        NTU25,
        points,
        [str(i % 5) for i in range(count)],
        subjects=list(numbers),
        views=[i % 3 + 1 for i in range(count)],
        setups=list(numbers),
    )


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_a_protocol_never_puts_a_clip_on_both_sides(name: str) -> None:
    """And every clip is on one."""
    clips = _clips()
    train, test = split_by_protocol(clips, name)
    key = PROTOCOLS[name].field
    assert len(train) + len(test) == len(clips)
    assert not set(getattr(train, key)) & set(getattr(test, key))


def test_protocols_are_those_of_the_papers() -> None:
    """Sizes of the sides, and a known member of each."""
    train, test = split_by_protocol(_clips(40), "ntu60-xsub")
    assert (len(train), len(test)) == (20, 20)
    assert 8 in train.subjects
    assert 40 in test.subjects
    train, _ = split_by_protocol(_clips(106), "ntu120-xsub")
    assert len(train) == 53
    _, test = split_by_protocol(_clips(), "ntu60-xview")
    assert set(test.views) == {1}
    _, test = split_by_protocol(_clips(), "nw-ucla-v3")
    assert set(test.views) == {3}
    train, _ = split_by_protocol(_clips(), "ntu120-xset")
    assert all(setup % 2 == 0 for setup in train.setups)


def test_a_data_set_that_comes_split_keeps_its_split() -> None:
    """Archives hold their own train and test part and no numbers to split by."""
    clips = _clips(4)
    parts = ("train", "test", "train", "test")
    known = replace(clips, parts=parts, subjects=(-1,) * 4)
    train, test = split_by_protocol(known, "ntu60-xsub")
    assert [clip[0, 0, 0, 0] for clip in train.clips] == [0, 2]
    assert [clip[0, 0, 0, 0] for clip in test.clips] == [1, 3]


def test_what_a_protocol_needs_must_be_known() -> None:
    """Another name, missing numbers, an empty side."""
    with pytest.raises(UsageError, match="'xsub', expected one of ntu60-xsub"):
        split_by_protocol(_clips(), "xsub")
    with pytest.raises(InputError, match="clips without views"):
        split_by_protocol(replace(_clips(4), views=(-1,) * 4), "nw-ucla-v3")
    with pytest.raises(InputError, match="and 0 to test on"):
        split_by_protocol(_clips(2), "nw-ucla-v3")


def test_clips_of_another_skeleton_are_refused() -> None:
    """Joint counts differ; sets of two skeletons cannot be joined."""
    with pytest.raises(InputError, match="20 joints"):
        replace(_clips(2), skeleton=KINECT20)
    other = SkeletonClips.of(KINECT20, [np.zeros((1, 20, 3, 1), np.float32)], ["a"])
    with pytest.raises(InputError, match=r"kinect20.*ntu25"):
        SkeletonClips.joined([_clips(2), other])


def test_classes_that_are_numbers_are_sorted_by_value() -> None:
    """2 before 12; names after numbers."""
    points = [np.zeros((1, 25, 3, 1), np.float32)] * 3
    assert SkeletonClips.of(NTU25, points, ["12", "wave", "2"]).classes == ("2", "12", "wave")


@pytest.mark.skipif(not SHARED.exists(), reason="the benchmark recordings are not here")
@pytest.mark.parametrize(
    ("file", "protocol", "classes", "train", "test"),
    [
        ("nw_ucla/nw_ucla.npz", "nw-ucla-v3", 10, 1020, 464),
        ("utd_mhad/utd_mhad.npz", "utd-mhad-subjects", 27, 431, 430),
    ],
)
def test_the_real_data_sets_split_as_published(
    file: str, protocol: str, classes: int, train: int, test: int
) -> None:
    """Clips and classes, and finite coordinates."""
    clips = read_skeletons(SHARED / file)
    sides = split_by_protocol(clips, protocol)
    assert len(clips.classes) == classes
    assert tuple(map(len, sides)) == (train, test)
    assert all(np.isfinite(clip).all() for clip in clips.clips)
