from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bharsdk.errors import BharError, IncompatibleError, InputError, UsageError
from bharsdk.events import Event, EventPhase
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recordings.session import Session, TrueEvent
from bharsdk.recordings.session_file import load_session, save_session

TRUTH = (TrueEvent("tea", 100.0, 900.0), TrueEvent("no", 1000.0, 1500.0))


@pytest.fixture
def path(recording: LandmarkSequence, tmp_path: Path) -> Path:
    return save_session(tmp_path / "a.bhar-session", Session(recording, TRUTH, "note", "MIT"))


def _rewrite(path: Path, **members: bytes) -> None:
    """Replace members, keys written with _ for the dot."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content |= {name.replace("__", "."): data for name, data in members.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_what_was_saved_comes_back_bit_for_bit(recording: LandmarkSequence, path: Path):
    session = load_session(path)
    np.testing.assert_array_equal(session.sequence.timestamps_ms, recording.timestamps_ms)
    np.testing.assert_array_equal(session.sequence.body, recording.body)
    np.testing.assert_array_equal(session.sequence.hands, recording.hands)
    assert session.sequence.aspect == recording.aspect
    assert (session.truth, session.note, session.license) == (TRUTH, "note", "MIT")


def test_float16_keeps_what_was_float16(recording: LandmarkSequence, tmp_path: Path):
    path = save_session(tmp_path / "b.bhar-session", Session(recording), dtype=np.float16)
    np.testing.assert_array_equal(load_session(path).sequence.body, recording.body)


def test_the_same_session_gives_the_same_bytes(
    recording: LandmarkSequence, path: Path, tmp_path: Path
):
    session = Session(recording, TRUTH, "note", "MIT")
    assert save_session(tmp_path / "c.bhar-session", session).read_bytes() == path.read_bytes()


def test_a_failed_save_leaves_nothing_behind_and_the_old_file_whole(
    path: Path, recording: LandmarkSequence, monkeypatch: pytest.MonkeyPatch
):
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="disk full"):
        save_session(path, Session(recording))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_another_suffix_or_dtype_is_refused(recording: LandmarkSequence, tmp_path: Path):
    with pytest.raises(UsageError, match="bhar-session"):
        save_session(tmp_path / "a.zip", Session(recording))
    with pytest.raises(UsageError, match="float32"):
        save_session(tmp_path / "a.bhar-session", Session(recording), dtype=np.int32)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"gone\.bhar-session"):
        load_session(tmp_path / "gone.bhar-session")


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(path: Path, keep: float):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(InputError, match="damaged or no session"):
        load_session(path)


def test_a_flipped_byte_anywhere_is_refused_or_harmless(path: Path, recording: LandmarkSequence):
    """Zip headers hold bytes that mean nothing (dates); landmarks never change unnoticed."""
    data = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for at in random.integers(0, len(data), 60):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        try:
            session = load_session(path)
        except BharError:
            refused += 1
        else:
            np.testing.assert_array_equal(session.sequence.body, recording.body)
            np.testing.assert_array_equal(session.sequence.hands, recording.hands)
    assert refused > 50


def test_a_later_format_version_is_another_error_than_damage(path: Path):
    _rewrite(path, session__json=b'{"format_version": 4, "anything": []}')
    with pytest.raises(IncompatibleError, match="got format version 4, expected 3"):
        load_session(path)


def _header(path: Path, **changes: object) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return json.dumps(json.loads(archive.read("session.json")) | changes).encode()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 10**9}, "frames"),
        ({"frames": 0}, "frames"),
        ({"frames": 199}, "timestamps_ms"),
        ({"surprise": 1}, "unknown key"),
        ({"aspect": "wide"}, "aspect"),
        ({"aspect": 0.0}, "aspect"),
        ({"truth": [{"label": "a", "start_ms": 5, "end_ms": 1}]}, "start < end"),
    ],
)
def test_a_header_that_cannot_be_is_refused(path: Path, changes: dict[str, object], message: str):
    _rewrite(path, session__json=_header(path, **changes))
    with pytest.raises(InputError, match=message):
        load_session(path)


def test_arrays_of_another_kind_are_refused_before_they_are_read(path: Path, tmp_path: Path):
    times = tmp_path / "t.npy"
    np.save(times, np.arange(200, dtype=np.int64))
    _rewrite(path, timestamps_ms__npy=times.read_bytes())
    with pytest.raises(InputError, match=r"expected.*float64"):
        load_session(path)
    np.save(times, np.array([object()] * 200), allow_pickle=True)
    _rewrite(path, timestamps_ms__npy=times.read_bytes().ljust(1728, b"."))
    with pytest.raises(InputError, match=r"timestamps_ms\.npy"):
        load_session(path)


def test_nan_and_non_increasing_times_inside_a_session_are_refused(path: Path, tmp_path: Path):
    for wrong, message in ((np.zeros(200), "increasing"), (np.full(200, np.nan), "finite")):
        np.save(tmp_path / "t.npy", wrong)
        _rewrite(path, timestamps_ms__npy=(tmp_path / "t.npy").read_bytes())
        with pytest.raises(InputError, match=message):
            load_session(path)


def test_an_extra_member_is_refused(path: Path):
    _rewrite(path, evil__py=b"import os")
    with pytest.raises(InputError, match=r"evil\.py"):
        load_session(path)


@pytest.fixture(scope="module")
def recognized(recording: LandmarkSequence, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two people, events, and a camera that changed its shape: everything a session may hold."""
    part = LandmarkSequence.from_frames(list(recording.frames())[:20])
    event = Event("tea", EventPhase.END, 100.0, 900.0, 0.8, track_id=1)
    session = Session(
        part,
        note="n",
        others=(part.mirrored(),),
        aspects=np.linspace(1.0, 2.0, len(part)),
        events=(event,),
        model="ab" * 32,
        options={"max_persons": 2},
    )
    path = tmp_path_factory.mktemp("recognized") / "a.bhar-session"
    return save_session(path, session).read_bytes()


def test_everything_a_recognized_session_holds_comes_back(recognized: bytes, tmp_path: Path):
    path = tmp_path / "a.bhar-session"
    path.write_bytes(recognized)
    session = load_session(path)
    assert session.events is not None
    assert session.events[0] == Event("tea", EventPhase.END, 100.0, 900.0, 0.8, track_id=1)
    assert (session.model, session.options) == ("ab" * 32, {"max_persons": 2})
    assert session.aspects is not None
    assert save_session(tmp_path / "b.bhar-session", session).read_bytes() == recognized
    aspects = [frame.aspect for frame in session.frames()]
    assert aspects == list(np.linspace(1.0, 2.0, 20))


def test_an_aspect_that_no_image_has_is_refused(recognized: bytes, tmp_path: Path):
    path = tmp_path / "a.bhar-session"
    path.write_bytes(recognized)
    np.save(tmp_path / "a.npy", np.full(20, np.nan))
    _rewrite(path, aspects__npy=(tmp_path / "a.npy").read_bytes())
    with pytest.raises(InputError, match="aspect nan"):
        load_session(path)


@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_session_is_one_error_that_names_it_or_still_the_same(
    data: st.DataObject, damage: Callable[..., bytes], recognized: bytes, tmp_path: Path
):
    """Cut, flipped or grown anywhere."""
    path = tmp_path / "damaged.bhar-session"
    path.write_bytes(damage(data, recognized))
    try:
        session = load_session(path)
    except BharError as error:
        message = str(error)
    else:
        message = f"{path} {len(session)}"
        assert len(session) == 20
    assert str(path) in message


def test_every_damaged_byte_of_the_directory_is_one_error_or_harmless(
    recognized: bytes, tmp_path: Path
):
    """Names, sizes, flags, methods and checksums of all members."""
    path = tmp_path / "damaged.bhar-session"
    for at in range(recognized.index(b"PK\x01\x02"), len(recognized)):
        for flip in (1, 8, 255):
            damaged = bytearray(recognized)
            damaged[at] ^= flip
            path.write_bytes(damaged)
            try:
                session = load_session(path)
            except BharError as error:
                message = str(error)
            else:
                message = f"{path} {len(session)}"
            assert str(path) in message


def test_an_npy_header_that_is_no_literal_is_refused(path: Path):
    """With the checksum of an honest file, as somebody would send it on purpose."""
    for text in (b"{'descr': '<f8', 'shape': (200", b"{'descr': open('x'), 'shape': (200,)}"):
        header = text.ljust(117, b" ") + b"\n"
        data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        _rewrite(path, timestamps_ms__npy=data + bytes(200 * 8))
        with pytest.raises(InputError, match=re.escape(str(path))):
            load_session(path)
