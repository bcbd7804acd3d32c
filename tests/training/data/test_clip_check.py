from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bhar_training.data.clips import load_clips
from bhar_training.data.notes import note, shown
from bharsdk.errors import InputError
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import save_session

ROOT = Path(__file__).parents[3]
WORDS = ROOT / "tests" / "data" / "words.npz"
SHARED = ROOT.parent / "shared" / "data"

Write = Callable[[Path, Any], Path]


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    """The fixture of words: landmarks float32 [48, 20, 258], label, signer, block."""
    with np.load(WORDS) as data:
        found = {name: data[name] for name in ("landmarks", "label", "signer", "block")}
    return {**found, "landmarks": found["landmarks"].astype(np.float32)}


def _packed(folder: Path, arrays: dict[str, Any]) -> Path:
    np.savez(folder / "x.npz", **arrays)
    return folder / "x.npz"


def _in_folders(folder: Path, arrays: dict[str, Any]) -> Path:
    """Every fourth clip as files of single frames."""
    path = folder / "x"
    for i in range(0, len(arrays["label"]), 4):
        clip = path / str(arrays["label"][i]) / str(i)
        clip.mkdir(parents=True)
        for t, frame in enumerate(arrays["landmarks"][i]):
            np.save(clip / f"{t}.npy", frame)
    return path


def _order(stored: dict[str, Any], order: str) -> dict[str, Any]:
    flat = stored["landmarks"]
    random = np.random.default_rng(0)
    face = flat[..., None, :3] * (1, 1, 0) + random.normal(0, 1, (478, 3)) * (0.04, 0.07, 0.03)
    parts = {
        "pose": flat[..., :132],
        "left": flat[..., 132:195],
        "right": flat[..., 195:],
        "face": face[..., :468, :].reshape(*flat.shape[:2], -1),
        "irises": face[..., 468:, :].reshape(*flat.shape[:2], -1),
    }
    return {**stored, "landmarks": np.concatenate([parts[n] for n in order.split()], axis=2)}


def _messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


@pytest.mark.parametrize("write", [_packed, _in_folders])
@pytest.mark.parametrize(
    "order",
    [
        *("left right pose", "pose right left", "face pose left right", "pose left right face"),
        *("pose left right face irises", "left right face pose"),
    ],
)
def test_another_order_is_refused_in_every_layout(
    tmp_path: Path, stored: dict[str, Any], write: Write, order: str
) -> None:
    """Also where each clip alone is too short to tell."""
    with pytest.raises(InputError) as error:
        load_clips(write(tmp_path, _order(stored, order)))
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("write", [_packed, _in_folders])
def test_478_points_of_a_face_are_read_as_468_are(
    tmp_path: Path, stored: dict[str, Any], write: Write
) -> None:
    """Between the pose and the hands."""
    clips = load_clips(write(tmp_path, _order(stored, "pose face irises left right")))
    found = [clip.to_flat() for clip in clips.sequences]
    expected = stored["landmarks"]
    if write is _in_folders:
        assert len(clips) == 12
        assert any(np.array_equal(found[0], clip) for clip in expected)
    else:
        np.testing.assert_array_equal(found, expected)


def test_one_signer_whose_hands_are_swapped_is_named(
    tmp_path: Path, stored: dict[str, Any]
) -> None:
    """The others do not hide it."""
    swapped = _order(stored, "pose right left")["landmarks"]
    mixed = np.where((stored["signer"] == "s2")[:, None, None], swapped, stored["landmarks"])
    with pytest.raises(InputError, match=r"signer s2: .*swapped"):
        load_clips(_packed(tmp_path, {**stored, "landmarks": mixed}))


def test_reading_says_what_it_assumed(
    tmp_path: Path, stored: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """One line for a data set: clips, layout, frame rate, aspect, what was left alone."""
    caplog.set_level(logging.INFO)
    load_clips(_packed(tmp_path, {**stored, "fps": np.ones(48)}), fps=20, aspect=4 / 3)
    assert _messages(caplog, logging.INFO) == [
        "x.npz: 48 clips, 258 values a frame (pose, hands); no times stored: assumed 20 frames a"
        " second; aspect 4:3 assumed (--fps, --aspect); zeros are 'not detected'; stored fps not"
        " used"
    ]
    assert not _messages(caplog, logging.WARNING)


def test_recorded_sessions_say_that_they_store_time(
    tmp_path: Path, stored: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Beside frames that store none."""
    caplog.set_level(logging.INFO)
    folder = _in_folders(tmp_path, stored)
    clip = load_clips(WORDS).sequences[1]
    save_session(folder / "-" / "one.bhar-session", Session(clip))
    caplog.clear()
    load_clips(folder)
    (line,) = _messages(caplog, logging.INFO)
    assert line.startswith("x: 13 clips, of 12 of them, 258 values a frame (pose, hands); no times")
    assert line.endswith("1 recorded sessions: times and aspect as stored")


def test_a_clip_by_two_signers_is_refused(tmp_path: Path, stored: dict[str, Any]) -> None:
    """A test on the one would be on what the other has taught."""
    landmarks = stored["landmarks"].copy()
    first, second = (int(np.flatnonzero(stored["signer"] == s)[2]) for s in ("s1", "s2"))
    landmarks[second] = landmarks[first]
    with pytest.raises(InputError, match=f"clips {first} and {second} are the same, by signers"):
        load_clips(_packed(tmp_path, {**stored, "landmarks": landmarks}))


def _changed(stored: dict[str, Any], change: Callable[[Any], None]) -> dict[str, Any]:
    landmarks = stored["landmarks"].copy()
    change(landmarks)
    return {**stored, "landmarks": landmarks}


def _copy_a_clip(landmarks: Any) -> None:
    landmarks[1] = landmarks[0]


def _freeze(landmarks: Any) -> None:
    landmarks[:20] = landmarks[:20, :1]
    landmarks[:20, :, 0] += np.arange(20)[:, None] * 1e-3


def _nobody(landmarks: Any) -> None:
    landmarks[:20] = 0


def _upside_down(landmarks: Any) -> None:
    flat = landmarks.reshape(-1, 258)
    seen = flat != 0
    points = np.r_[1:132:4, 133:258:3]
    flat[:, points] = np.where(seen[:, points], 1 - flat[:, points], 0)


def _from_behind(landmarks: Any) -> None:
    flat = landmarks.reshape(-1, 258)
    points = np.r_[0:132:4, 132:258:3]
    flat[:, points] = np.where(flat[:, points] != 0, 1 - flat[:, points], 0)


def _without_body(landmarks: Any) -> None:
    landmarks[..., :132] = 0


def _centered(landmarks: Any) -> None:
    flat = landmarks.reshape(-1, 258)
    points = np.r_[1:132:4, 133:258:3]
    flat[:, points] = np.where(flat[:, points] != 0, flat[:, points] - 1.5, 0)


def _depth_moved(landmarks: Any) -> None:
    flat = landmarks.reshape(-1, 258)
    points = np.r_[134:258:3]
    flat[:, points] = np.where(flat[:, points] != 0, flat[:, points] + 0.3, 0)


def _noise(landmarks: Any) -> None:
    landmarks[:] = np.random.default_rng(0).standard_normal(landmarks.shape)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_noise, "signer s1: got a visibility of -"),
        (_copy_a_clip, "1 clips are copies of others, clip 1 ('-') of clip 0 ('-')"),
        (_freeze, "20 of 48 clips show the same in every frame"),
        (_nobody, "20 of 48 clips show nobody"),
        (_upside_down, "the nose is mostly below the shoulders"),
        (_from_behind, "the left shoulder is mostly left of the right one"),
        (_without_body, "no frame shows a body"),
        (_centered, "outside the picture"),
        (_depth_moved, "the first point of a hand is no wrist"),
    ],
)
def test_what_looks_odd_is_a_warning(
    tmp_path: Path,
    stored: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Any], None],
    message: str,
) -> None:
    """It can be meant: the clips are read."""
    assert len(load_clips(_packed(tmp_path, _changed(stored, change)))) == 48
    found = _messages(caplog, logging.WARNING)
    assert any(message in text for text in found), found
    assert all(text.startswith("x.npz: ") for text in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": np.array([b"a"] * 48)}, r"label: got \|S1"),
        ({"label": np.ones(48)}, "label: got float64"),
        ({"signer": np.array([b"a"] * 48)}, r"signer: got \|S1"),
        ({"block": np.full(48, -2)}, "got block -2, expected"),
        ({"landmarks": np.full((48, 2, 258), np.nan)}, "clip 0: got NaN"),
        ({"landmarks": np.full((48, 2, 258), 1e300)}, "clip 0: got NaN or infinite"),
        ({"landmarks": np.full((48, 0, 258), 1.0)}, "expected at least one"),
        ({"landmarks": np.full((48, 2, 0), 1.0)}, "got 0 values"),
        ({"landmarks": np.full((48, 2, 258), 1 + 1j)}, "without pickles"),
        ({"landmarks": np.full((48, 2, 258), "x")}, "expected numbers"),
        ({"landmarks": np.array([{}] * 48, object)}, "without pickles"),
        ({"label": np.array(["a"] * 48, object)}, "without pickles"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    tmp_path: Path, stored: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    """The file is named, and often the clip."""
    with pytest.raises(InputError, match=message) as error:
        load_clips(_packed(tmp_path, {**stored, **change}))
    assert "x.npz" in str(error.value)
    assert "\n" not in str(error.value)


def test_shown_prints_notes_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """For the length of a command."""
    note("before")
    with shown():
        note("x.npz: one clip")
        logging.getLogger("bhar_training.data").warning("x.npz: odd")
    with shown(quiet=True):
        note("in another process")
    assert capsys.readouterr().err == "x.npz: one clip\nwarning: x.npz: odd\n"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the full public data is not here")
@pytest.mark.long
@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("traduttore/words.npz", 3928),
        ("traduttore/letters_hands.npz", 3150),
        ("traduttore/MP_Data_sample", 36),
        ("people/people.npz", 2580),
    ],
)
def test_good_recordings_raise_no_doubt(
    path: str, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Real signers, real mistakes of MediaPipe."""
    assert len(load_clips(SHARED / path)) == count
    assert not _messages(caplog, logging.WARNING)
