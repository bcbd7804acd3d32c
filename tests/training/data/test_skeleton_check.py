from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bhar_training.data.skeleton_check import check_skeletons
from bhar_training.data.skeleton_datasets import read_skeletons
from bhar_training.data.skeletons import SkeletonClips
from bharsdk.errors import InputError
from bharsdk.landmarks.skeleton import KINECT20, OPENPOSE18

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data"
RNG = np.random.default_rng(1)
SHUFFLED = np.random.default_rng(0).permutation(20)


def _person() -> Any:
    """Someone who stands, meters, y up: [20, 3] in the order of Kinect's joints."""
    half = {
        "shoulder": (0.2, 0.45),
        "elbow": (0.25, 0.2),
        "wrist": (0.28, 0),
        "hand": (0.28, -0.07),
    }
    half |= {"hip": (0.1, -0.05), "knee": (0.1, -0.45), "ankle": (0.1, -0.85), "foot": (0.12, -0.9)}
    middle = {"hip_center": 0.0, "spine": 0.1, "shoulder_center": 0.5, "head": 0.7}
    points = []
    for name in KINECT20.joints:
        if name in middle:
            points.append((0.0, middle[name], 2.5))
        else:
            side, part = name.split("_")
            x, y = half[part]
            points.append((-x if side == "left" else x, y, 2.5))
    return np.array(points, np.float32)


def _clips(change: Any = None) -> SkeletonClips:
    clips = []
    for _ in range(4):
        points = _person() + RNG.normal(0, 0.01, (6, 20, 3)).astype(np.float32)
        clips.append((points if change is None else change(points))[..., None].astype(np.float32))
    return SkeletonClips.of(KINECT20, clips, ["1", "2", "1", "2"])


def test_people_who_stand_raise_no_doubt() -> None:
    """Meters, y up, Kinect's order."""
    assert check_skeletons(_clips()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda points: points * 1000, "tall: expected meters"),
        (lambda points: points * [1, -1, 1], "heads are mostly not above the hips"),
        (lambda points: points[..., [0, 2, 1]], "heads are mostly not above the hips"),
        (lambda points: points[:, SHUFFLED], "the joints are in another order"),
        (lambda points: np.repeat(points[:1], 6, axis=0), "show the same in every frame"),
    ],
)
def test_another_unit_axis_or_order_is_a_doubt(change: Any, message: str) -> None:
    """It trains, and knows nothing of people as a camera sees them."""
    found = check_skeletons(_clips(change))
    assert any(message in text for text in found), found


def test_coordinates_in_pixels_are_a_doubt_of_pictures() -> None:
    """Kinetics-skeleton has fractions of the picture, and confidences."""
    points = RNG.random((12, 18, 3, 1)).astype(np.float32)
    points[:, OPENPOSE18.joints.index("nose"), 1] = 0.0
    pixels = points * np.array([340, 256, 1], np.float32)[:, None]
    percent = points * np.array([1, 1, 100], np.float32)[:, None]
    for changed, message in ((pixels, "fractions of the picture"), (percent, "expected 0 to 1")):
        found = check_skeletons(SkeletonClips.of(OPENPOSE18, [changed], ["1"]))
        assert any(message in text for text in found), found


def test_infinite_coordinates_are_refused(tmp_path: Path) -> None:
    """And numbers that become so."""
    for value in (np.inf, np.nan, 1e300):
        data = np.zeros((3, 20, 3))
        data[1, 2, 0] = value
        np.savez(tmp_path / "x.npz", data=data, length=[3], label=[1])
        with pytest.raises(InputError, match=r"x\.npz: clip 0: .*NaN or infinite"):
            read_skeletons(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a01_s01_e01_v01.json", '{"skeletons": ' + "[" * 5000 + "]" * 5000 + "}"),
        ("a01_s01_e01_v01.json", json.dumps({"skeletons": [[[10**400] * 3] * 20]})),
        ("a01_s01_e01_v01.json", json.dumps({"skeletons": [[[float("nan")] * 3] * 20]})),
        ("a01_s01_e01_v01.json", json.dumps({"skeletons": [[["x"] * 3] * 20]})),
        ("a.json", json.dumps({"data": [], "label": 3})),
        ("a.json", json.dumps({"data": "x", "label": "a"})),
        ("a.json", json.dumps({"data": [{"skeleton": 4}], "label": "a"})),
        ("a.json", json.dumps({"data": [], "label": "a,b"})),
        ("a.json", json.dumps({"data": [], "label": "a"})),
    ],
)
def test_hostile_json_is_one_line(tmp_path: Path, name: str, text: str) -> None:
    """Deep, endless, of other types."""
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=name) as error:
        read_skeletons(tmp_path / name)
    assert "\n" not in str(error.value)


def test_clips_of_kinetics_without_anyone_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenPose found nobody in them."""
    caplog.set_level("INFO")
    person = {"pose": [0.5] * 36, "score": [0.5] * 18}
    for name, people in (("a", [person]), ("b", [])):
        clip = {"data": [{"frame_index": 1, "skeleton": people}], "label": "juggling balls"}
        (tmp_path / f"{name}.json").write_text(json.dumps(clip))
    assert len(read_skeletons(tmp_path)) == 1
    assert "1 file without a body left out, b.json the first" in caplog.text


def test_a_mat_that_grows_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """64 KB hold 64 MB of zeros."""
    io = pytest.importorskip("scipy.io", reason="needs the extra 'train'")
    path = tmp_path / "a1_s1_t1_skeleton.mat"
    io.savemat(path, {"d_skel": np.zeros((20, 3, 70_000 * 2))}, do_compression=True)
    assert path.stat().st_size < 1 << 18
    with pytest.raises(InputError, match=r"grows beyond|expected \[20, 3, frames\]"):
        read_skeletons(path)
    io.savemat(path, {"d_skel": np.array([[{}]], object)})
    with pytest.raises(InputError, match=r"skeleton\.mat: got d_skel cell"):
        read_skeletons(path)


def test_utd_mhads_joints_are_put_into_kinects_order(tmp_path: Path) -> None:
    """It has the same joints, but the first four from the head down."""
    kinect = _person() + RNG.normal(0, 0.01, (6, 20, 3)).astype(np.float32)
    utd = kinect[:, [3, 2, 1, 0, *range(4, 20)]]
    for data in (kinect, utd):
        np.savez(tmp_path / "x.npz", data=data, length=[6], label=[1])
        np.testing.assert_array_equal(read_skeletons(tmp_path / "x.npz").clips[0][..., 0], kinect)
    io = pytest.importorskip("scipy.io", reason="needs the extra 'train'")
    io.savemat(tmp_path / "a1_s1_t1_skeleton.mat", {"d_skel": utd.transpose(1, 2, 0)})
    clip = read_skeletons(tmp_path / "a1_s1_t1_skeleton.mat").clips[0]
    np.testing.assert_array_equal(clip[..., 0], kinect)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the full public data is not here")
@pytest.mark.parametrize("path", ["nw_ucla/nw_ucla.npz", "utd_mhad/utd_mhad.npz"])
def test_good_skeletons_raise_no_doubt(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """Both public sets that are here."""
    read_skeletons(SHARED / path)
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == []
