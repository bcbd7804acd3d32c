from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bhar_training.data.skeleton_datasets import read_skeletons
from bharsdk.errors import InputError

RNG = np.random.default_rng(4)


def _ntu_text(bodies: dict[str, np.ndarray], frames: int) -> str:
    """The text of a ``.skeleton`` file: bodies [T, 25, 3], NaN where not seen."""
    lines = [str(frames)]
    for t in range(frames):
        here = {name: body[t] for name, body in bodies.items() if np.isfinite(body[t]).all()}
        lines.append(str(len(here)))
        for name, joints in here.items():
            lines.append(f"{name} 0 1 1 1 1 0 0.02 -0.13 2")
            lines.append("25")
            lines += [
                " ".join(map(str, [*xyz, 255, 190, 1040, 500, 0, 0, 0, 1, 2])) for xyz in joints
            ]
    return "\n".join(lines) + "\n"


def test_ntu_keeps_the_two_bodies_that_move_most(tmp_path: Path) -> None:
    """Numbers come from the name; a body that leaves is NaN while it is away."""
    still, fast, slow = (
        RNG.normal(0, scale, (14, 25, 3)).astype(np.float32) for scale in (0.01, 1, 0.1)
    )
    fast[9:] = np.nan
    fast[:] = np.where(np.isnan(fast), np.nan, fast)
    slow[12:] = np.nan
    path = tmp_path / "S017C003P008R002A060.skeleton"
    bodies = {"720575": still, "720576": fast, "720577": slow}
    path.write_text(_ntu_text(bodies, 14))
    clips = read_skeletons(path)
    assert (clips.labels, clips.subjects, clips.views, clips.setups) == (("60",), (8,), (3,), (17,))
    (points,) = clips.clips
    assert points.shape == (14, 25, 3, 2)
    # ``fast`` was seen for nine frames only: beside longer tracks it is no person.
    np.testing.assert_allclose(points[..., 0], slow, rtol=1e-6)
    np.testing.assert_allclose(points[..., 1], still, rtol=1e-6)


def test_ntu_with_one_body_has_a_missing_second_one(tmp_path: Path) -> None:
    """So that every clip has two persons."""
    body = RNG.normal(0, 1, (3, 25, 3))
    (tmp_path / "S001C001P001R001A001.skeleton").write_text(_ntu_text({"7": body}, 3))
    (points,) = read_skeletons(tmp_path).clips
    np.testing.assert_allclose(points[..., 0], body, rtol=1e-6)
    assert np.isnan(points[..., 1]).all()


def _archive(**changes: Any) -> dict[str, np.ndarray]:
    x = RNG.normal(0, 1, (3, 6, 2, 25, 3)).astype(np.float32)
    x[0, 4:] = 0  # padding
    x[1, :, 1] = 0  # no second person
    arrays = {
        "x_train": x[:2].reshape(2, 6, 150),
        "y_train": np.eye(5)[[3, 1]],
        "x_test": x[2:].reshape(1, 6, 150),
        "y_test": np.eye(5)[[0]],
    }
    return {**arrays, **changes}


def test_archives_are_cut_of_their_padding_and_keep_their_split(tmp_path: Path) -> None:
    """x [N, T, 150]: person, joint, coordinate; labels are the data set's numbers, from 1."""
    arrays = _archive()
    np.savez(tmp_path / "NTU60_CS.npz", **arrays)
    clips = read_skeletons(tmp_path / "NTU60_CS.npz")
    assert clips.labels == ("4", "2", "1")
    assert clips.parts == ("train", "train", "test")
    assert [clip.shape for clip in clips.clips] == [(4, 25, 3, 2), (6, 25, 3, 2), (6, 25, 3, 2)]
    whole = arrays["x_train"][0].reshape(6, 2, 25, 3)
    np.testing.assert_array_equal(clips.clips[0][2, 7, :, 1], whole[2, 1, 7])
    assert np.isnan(clips.clips[1][..., 1]).all()


def test_kinetics_keeps_the_two_most_confident_persons(tmp_path: Path) -> None:
    """x, y, score of 18 joints; a frame without anyone is NaN."""

    def person(score: float) -> dict[str, list[float]]:
        return {"pose": list(RNG.random(36)), "score": [score] * 18}

    people = [person(0.2), person(0.9), person(0.5)]
    data = {
        "data": [{"frame_index": 1, "skeleton": people}, {"frame_index": 2, "skeleton": []}],
        "label": "juggling balls",
        "label_index": 165,
    }
    path = tmp_path / "abc.json"
    path.write_text(json.dumps(data))
    clips = read_skeletons(path)
    assert clips.labels == ("juggling balls",)
    (points,) = clips.clips
    assert points.shape == (2, 18, 3, 2)
    np.testing.assert_allclose(points[0, :, :2, 0].ravel(), people[1]["pose"], rtol=1e-6)
    assert (points[0, :, 2, 1] == 0.5).all()
    assert np.isnan(points[1]).all()


def test_nw_ucla_clips_are_numbered_by_their_names(tmp_path: Path) -> None:
    """a: action, s: subject, e: take, v: view."""
    joints = RNG.random((4, 20, 3))
    for name in ("a01_s02_e03_v01", "a12_s02_e03_v03"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"skeletons": joints.tolist()}))
    clips = read_skeletons(tmp_path)
    assert (clips.labels, clips.views, clips.subjects) == (("1", "12"), (1, 3), (2, 2))
    np.testing.assert_allclose(clips.clips[0][..., 0], joints, rtol=1e-6)


def test_utd_mhad_matrices_are_read(tmp_path: Path) -> None:
    """d_skel [20, 3, T]."""
    io = pytest.importorskip("scipy.io", reason="needs the extra 'train'")
    joints = RNG.random((20, 3, 7))
    io.savemat(tmp_path / "a27_s8_t4_skeleton.mat", {"d_skel": joints})
    clips = read_skeletons(tmp_path / "a27_s8_t4_skeleton.mat")
    assert (clips.labels, clips.subjects) == (("27",), (8,))
    np.testing.assert_allclose(clips.clips[0][..., 0], joints.transpose(2, 0, 1), rtol=1e-6)


def test_packed_clips_are_cut_by_their_lengths(tmp_path: Path) -> None:
    """As many data sets are kept: all frames one after another."""
    data = RNG.random((9, 20, 3)).astype(np.float32)
    np.savez(
        tmp_path / "p.npz", data=data, length=[4, 5], label=[3, 11], subject=[1, 2], view=[1, 3]
    )
    clips = read_skeletons(tmp_path / "p.npz")
    assert (clips.labels, clips.subjects, clips.views) == (("3", "11"), (1, 2), (1, 3))
    np.testing.assert_array_equal(clips.clips[1][..., 0], data[4:])


def _write(name: str, content: bytes | str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)
        return folder / name

    return write


def _pack(**arrays: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / "x.npz", **arrays)
        return folder / "x.npz"

    return write


INTACT = _ntu_text({"1": RNG.normal(0, 1, (2, 25, 3)).round(2)}, 2)
NTU = "S001C001P001R001A001.skeleton"
BODY = np.zeros((2, 25, 3))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda folder: folder / "none", "no such file"),
        (lambda folder: folder, "got no skeleton clips"),
        (_write("clip.txt", "1"), "got no skeleton clips"),
        (_write(NTU, b""), "got 0 bytes"),
        (_write(NTU, "2\n0\n0\n"), "got no body in 2 frames"),
        (_write(NTU, "many\n"), "frame count 'many'"),
        (_write(NTU, "99999999\n"), "frame count '99999999'"),
        (_write(NTU, _ntu_text({"1": BODY}, 2)[:-300]), "ends early"),
        (_write(NTU, _ntu_text({"1": BODY}, 2).replace(" 255", " x", 1)), "holds no numbers"),
        (_write("clip1.skeleton", _ntu_text({"1": BODY}, 2)), "does not say its clip"),
        (_write("a.json", "{"), "expected a clip of Kinetics-skeleton or NW-UCLA"),
        (_write("a.json", "[]"), "expected a clip of Kinetics-skeleton or NW-UCLA"),
        (
            _write("a.json", '{"data": [{"skeleton": [{"pose": [1], "score": [1]}]}]}'),
            "got 1 coord",
        ),
        (_write("a01_s01_e01_v01.json", '{"skeletons": [[1, 2]]}'), r"got skeletons \[1, 2\]"),
        (_write("a1_s1_t1_skeleton.mat", "no matrix"), "not a readable .mat"),
        (_write("x.npz", "no zip"), "not a readable .npz"),
        (_pack(data=np.zeros((3, 20, 3)), length=[2], label=[1]), "sum to 2"),
        (_pack(data=np.zeros((3, 18, 3)), length=[3], label=[1]), r"data \[3, 18, 3\]"),
        (_pack(x=[1]), r"got arrays \['x'\]"),
        (_pack(**_archive(y_test=np.eye(5)[[0, 1]])), "got x_test"),
        (_pack(data=np.array([{}], object), length=[1], label=[1]), "without pickles"),
    ],
)
def test_what_is_no_clip_is_named_with_its_path(
    write: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    """One InputError, whatever the damage."""
    path = write(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        read_skeletons(path)
    assert str(tmp_path) in str(error.value)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damaged_text_is_never_more_than_bad_input(tmp_path: Path, data: st.DataObject) -> None:
    """A ``.skeleton`` file with bytes changed, cut or doubled is read or refused."""
    text = bytearray(INTACT, "ascii")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=8))
    path = tmp_path / NTU
    path.write_bytes(bytes(text))
    try:
        (points,) = read_skeletons(path).clips
    except InputError:
        return
    assert points.shape[1:] == (25, 3, 2)
