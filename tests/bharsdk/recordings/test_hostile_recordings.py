"""What a session or journal from a stranger can cost, and what comes out of it: one error line."""

from __future__ import annotations

import json
import resource
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bharsdk.errors import BharError, InputError
from bharsdk.files.limits import (
    MAX_EVENTS,
    MAX_JSON_VALUES,
    MAX_LOAD_BYTES,
    MAX_LOAD_SECONDS,
    MAX_PERSON_FRAMES,
)
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recordings import extent as extent_module
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import load_session, save_session

PERSON_BYTES = (33 * 4 + 2 * 21 * 3) * 4
EVENT = {"label": "tea", "phase": "end", "start_ms": 1, "end_ms": 2, "score": 0.5, "track_id": 0}


def record(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<cII", kind, len(data), zlib.crc32(data)) + data


def journal(*records: bytes, header: object = None) -> bytes:
    fields = {"format_version": 1} if header is None else header
    return b"BHARJRNL" + record(b"H", json.dumps(fields).encode()) + b"".join(records)


def frame(time_ms: float = 0.0, aspect: float = 1.5, people: int = 0) -> bytes:
    return record(b"F", struct.pack("<ddB", time_ms, aspect, people) + bytes(PERSON_BYTES * people))


def npy(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.encode() + b"\n"


def bomb(path: Path, frames: int, people: int, *, descr: str = "<f4", **header: Any) -> Path:
    """A session of ``people`` whose landmarks are zeros: about a thousandth of what they unpack to.

    Its times are real.
    """
    size = np.dtype(descr).itemsize
    fields = {"format_version": 2, "frames": frames, "persons": people, **header}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("session.json", json.dumps(fields))
        times = np.arange(frames, dtype="<f8").tobytes()
        archive.writestr("timestamps_ms.npy", npy((frames,), "<f8") + times)
        for person in range(people):
            for name, shape in (("body", (33, 4)), ("hands", (2, 21, 3))):
                values = bytes(int(np.prod(shape)) * frames * size)
                suffix = f"-{person}" if person else ""
                archive.writestr(f"{name}{suffix}.npy", npy((*shape, frames), descr) + values)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hostile.bhar-session"


@pytest.fixture
def peak() -> Iterator[Callable[[], int]]:
    """Bytes allocated at most since the test began, numpy's too."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


@pytest.mark.parametrize("changes", [{"frames": 180_000}, {"persons": 16}, {"persons": 64}])
def test_a_session_that_unpacks_to_more_than_one_can_be_is_refused_by_its_header(
    path: Path, changes: dict[str, int], peak: Callable[[], int]
) -> None:
    """3.5 MB became 2.9 GB. Nothing of it is unpacked, whatever lies behind the header."""
    bomb(path, 3, 1)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"as an archiver may add"
    fields = {"format_version": 2, "frames": 180_000, "persons": 16} | changes
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("session.json", json.dumps(fields))
    tracemalloc.reset_peak()
    with pytest.raises(InputError, match=r"hostile.* frames times people, expected|members"):
        load_session(path)
    assert peak() < 1 << 20


@pytest.mark.parametrize("descr", ["<f4", "<f2"])
@pytest.mark.parametrize("people", [1, 5])
def test_the_largest_session_takes_little_more_than_its_landmarks(
    path: Path,
    descr: str,
    people: int,
    peak: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Measured with a smaller bound: one frame more is refused, at no cost."""
    bound = 30_000
    monkeypatch.setattr(extent_module, "MAX_PERSON_FRAMES", bound)
    bomb(path, bound // people, people, descr=descr)
    tracemalloc.reset_peak()
    assert len(load_session(path)) == bound // people
    assert peak() < 1.1 * bound * PERSON_BYTES + (10 << 20)
    bomb(path, bound // people + 1, people, descr=descr)
    tracemalloc.reset_peak()
    with pytest.raises(InputError, match="frames times people"):
        load_session(path)
    assert peak() < 1 << 20


@pytest.mark.parametrize("people", [0, 1, 5])
def test_the_largest_journal_takes_little_more_than_its_landmarks(
    path: Path, people: int, peak: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of a recording that was cut off; frames without people count as one of each."""
    bound = 30_000
    monkeypatch.setattr(extent_module, "MAX_PERSON_FRAMES", bound)
    frames = bound // max(1, people)
    with path.open("wb") as file:
        file.write(journal())
        file.writelines(frame(float(t), people=people) for t in range(frames))
    tracemalloc.reset_peak()
    assert len(load_session(path)) == frames
    assert peak() < 1.1 * bound * PERSON_BYTES + (10 << 20)
    with path.open("ab") as file:
        file.write(frame(float(frames), people=people))
    tracemalloc.reset_peak()
    with pytest.raises(InputError, match="frames times people"):
        load_session(path)
    assert peak() < 1 << 20


def test_the_bounds_leave_room_within_what_loading_may_take() -> None:
    """Landmarks, the JSON beside them, and the interpreter itself: below 1 GB together."""
    landmarks = 1.1 * MAX_PERSON_FRAMES * PERSON_BYTES
    assert landmarks + 250 * MAX_JSON_VALUES + (100 << 20) < MAX_LOAD_BYTES


@pytest.mark.long
@pytest.mark.parametrize("kind", ["session", "journal"])
def test_the_largest_recording_loads_within_a_gigabyte_and_ten_seconds(
    path: Path, kind: str
) -> None:
    """In a process of its own, whose memory the system counts."""
    if kind == "session":
        bomb(path, MAX_PERSON_FRAMES, 1)
    else:
        with path.open("wb") as file:
            file.write(journal())
            file.writelines(frame(float(t), people=1) for t in range(MAX_PERSON_FRAMES))
            file.writelines([record(b"E", json.dumps(EVENT).encode())] * MAX_EVENTS)
    program = (
        "import re, sys, time\n"
        "from pathlib import Path\n"
        "from bharsdk.recordings.session_file import load_session\n"
        "begin = time.process_time()\n"
        "print(len(load_session(sys.argv[1])), time.process_time() - begin)\n"
        # Not ru_maxrss: it begins with the memory of whoever started the process.
        "status = Path('/proc/self/status').read_text()\n"
        "print(int(re.search(r'VmHWM:\\s*(\\d+)', status)[1]) * 1024)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    print(f"{kind}: {float(out[1]):.1f} s, {int(out[2]) / 1e6:.0f} MB")
    assert int(out[0]) == MAX_PERSON_FRAMES
    assert int(out[2]) < MAX_LOAD_BYTES
    assert float(out[1]) < MAX_LOAD_SECONDS


@pytest.mark.parametrize("kind", [b"F", b"E", b"?", b"H"])
def test_records_without_end_are_refused_after_the_first_too_many(
    path: Path, kind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gigabytes of tiny records cost what a recording costs, not what the file costs."""
    from bharsdk.recordings import journal as journal_module

    bound = 1000
    for module in (extent_module, journal_module):
        for name in ("MAX_PERSON_FRAMES", "MAX_EVENTS"):
            monkeypatch.setattr(module, name, bound)
    data = struct.pack("<ddB", 0.0, 1.5, 0) if kind == b"F" else b"{}"
    path.write_bytes(journal(frame(), record(kind, data) * 100_000))
    unpacked = []
    head = journal_module.RECORD

    class Counting:
        size, pack = head.size, head.pack

        def unpack(self, data: bytes) -> tuple[Any, ...]:
            unpacked.append(data)
            return head.unpack(data)

    monkeypatch.setattr(journal_module, "RECORD", Counting())
    with pytest.raises(InputError, match="hostile"):
        load_session(path)
    assert len(unpacked) <= bound + 5


def test_more_events_than_a_recording_may_hold_are_refused(path: Path) -> None:
    """In a journal by the heads of its records, in a session by the size of its JSON."""
    path.write_bytes(journal(frame(), record(b"E", json.dumps(EVENT).encode()) * (MAX_EVENTS + 1)))
    with pytest.raises(InputError, match="50001 events, expected at most 50000"):
        load_session(path)
    with zipfile.ZipFile(bomb(path, 3, 1), "a") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    fields = json.loads(content["session.json"]) | {"events": [EVENT] * 100_000}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("session.json", json.dumps(fields))
    with pytest.raises(InputError, match="8388608 bytes"):
        load_session(path)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * (60 << 20),
        b'{"note": "' + b"x" * (60 << 20) + b'"}',
        b'{"format_version": 2, "frames": 3, "options": {"a": ' + b"[" * 100_000,
        b'{"format_version": 2, "frames": 3, "options": {"a": ['
        + b"{}," * MAX_JSON_VALUES
        + b"{}]}}",
        b'{"format_version": 2, "frames": ' + b"9" * 400 + b"}",
        b'{"format_version": 2, "frames": 3, "aspect": ' + b"9" * 400 + b"}",
        b'{"format_version": ' + b"9" * 5000 + b"}",
        b'{"format_version": 2, "frames": 3, "frames": 3}',
        b'{"format_version": 2, "frames": 3, "note": "\\ud800"}',
        b"\xff\xfe",
        b"",
    ],
    ids=lambda text: text[:60].decode("latin1"),
)
def test_json_of_any_size_and_depth_is_one_error_that_costs_little(
    path: Path, text: bytes, peak: Callable[[], int]
) -> None:
    """The header of a session, and of a journal."""
    for data in (text, text[: 100 << 10]):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("session.json", data)
        tracemalloc.reset_peak()
        with pytest.raises(BharError, match="hostile") as info:
            load_session(path)
        assert peak() < len(text) + (100 << 20)
        assert len(str(info.value)) < 700
        assert str(info.value).isprintable()
    path.write_bytes(b"BHARJRNL" + record(b"H", text[: 100 << 10]) + frame())
    with pytest.raises(BharError, match="hostile"):
        load_session(path)


def test_a_zip_of_a_million_names_is_refused_before_they_are_read(
    path: Path, peak: Callable[[], int]
) -> None:
    """Each entry of 47 bytes takes ten times as much once it is parsed."""
    count = 60_000
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *[0] * 9, 1, *[0] * 6) + b"a"
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(entry) * count, 0, 0)
    path.write_bytes(entry * count + end)
    tracemalloc.reset_peak()
    with pytest.raises(InputError, match="bytes of names"):
        load_session(path)
    assert peak() < 1 << 20


NPY_HEADERS = [
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-20,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (True,), }",
    "{'descr': '<f8', 'fortran_order': True, 'shape': (20,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': " + "(" * 400 + "20" + ")" * 400 + ", }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 400 + ",), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (20,), }",
    "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (20,), }",
    "{'descr': '>f8', 'fortran_order': False, 'shape': (20,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': 20, }",
    "{'descr': '<f8', 'shape': (20,), }",
    "{'descr': '<f8', 'fortran_order': 1e999, 'shape': (20,), }",
    "{" * 900,
    "-" * 900,
    "\x00" * 900,
    "'''",
    "",
]


@pytest.fixture(scope="module")
def small(recording: LandmarkSequence, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of 20 frames and two people, with an event."""
    part = LandmarkSequence.from_frames(list(recording.frames())[:20])
    path = tmp_path_factory.mktemp("small") / "a.bhar-session"
    return save_session(path, Session(part, others=(part.mirrored(),), options={"a": 1}))


def rewritten(small: Path, path: Path, **members: bytes) -> Path:
    """``small`` with other members, whose names have __ for the dot."""
    with zipfile.ZipFile(small) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content |= {name.replace("__", "."): data for name, data in members.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("header", NPY_HEADERS, ids=lambda header: header[:60])
def test_an_npy_header_that_numpy_did_not_write_is_one_error(
    small: Path, path: Path, header: str
) -> None:
    """Some raised TypeError, some RecursionError or MemoryError, inside numpy's parser."""
    text = header.encode().ljust(117) + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(160)
    rewritten(small, path, timestamps_ms__npy=data)
    with pytest.raises(InputError, match=r"hostile.*timestamps_ms\.npy"):
        load_session(path)


VALUES = [
    ({"end_ms": 0.5}, "start <= end"),
    ({"start_ms": -1}, "start <= end"),
    ({"end_ms": 1e19}, "start <= end"),
    ({"end_ms": None}, "in phase 'end' alone"),
    ({"phase": "start"}, "in phase 'end' alone"),
    ({"phase": "finished"}, "expected one of"),
    ({"phase": ["end"]}, "expected one of"),
    ({"score": -0.1}, "score"),
    ({"score": 1.1}, "score"),
    ({"score": True}, "score"),
    ({"track_id": -1}, "track_id"),
    ({"track_id": 2**63}, "track_id"),
    ({"track_id": 10**29}, "track_id"),
    ({"track_id": 1.5}, "track_id"),
    ({"label": ""}, "label"),
    ({"label": "x" * 5000}, "label"),
    ({"label": "\x1b[2Jtea"}, "label"),
    ({"label": 5}, "label"),
]


@pytest.mark.parametrize(("changes", "message"), VALUES)
def test_an_event_that_cannot_have_happened_is_refused_in_every_file(
    small: Path, path: Path, changes: dict[str, Any], message: str
) -> None:
    """An end before its start, a score of 1.1, a negative track, an escape sequence as a label."""
    event = EVENT | changes
    with zipfile.ZipFile(small) as archive:
        fields = json.loads(archive.read("session.json"))
    rewritten(small, path, session__json=json.dumps(fields | {"events": [event]}).encode())
    with pytest.raises(InputError, match=rf"hostile.*{message}"):
        load_session(path)
    path.write_bytes(journal(frame(), record(b"E", json.dumps(event).encode())))
    with pytest.raises(InputError, match=rf"hostile.*{message}"):
        load_session(path)
    for value in (b"NaN", b"Infinity", b"1e999", b"9" * 400):
        text = json.dumps(EVENT).encode().replace(b"0.5", value)
        path.write_bytes(journal(frame(), record(b"E", text)))
        with pytest.raises(InputError, match="hostile"):
            load_session(path)


def test_a_time_that_no_clock_shows_is_refused_in_every_file(
    small: Path, path: Path, tmp_path: Path
) -> None:
    """One timestamp of 1e19 loaded, and ended the run."""
    times = np.arange(20.0)
    for wrong in (1e19, 1.1e15, np.nan, -1.0, np.inf):
        times[-1] = wrong
        data = npy((20,), "<f8") + times.tobytes()
        rewritten(small, path, timestamps_ms__npy=data)
        with pytest.raises(InputError, match=r"hostile.*timestamp"):
            load_session(path)
        path.write_bytes(journal(frame(0.0), frame(wrong)))
        with pytest.raises(InputError, match=r"hostile.*timestamp"):
            load_session(path)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["end", 10**400, 2, 20, 1e19, -1]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_json_in_a_header_is_an_error_that_names_the_file_or_a_session(
    data: st.DataObject, small: Path, path: Path
) -> None:
    """With honest checksums, as somebody would send it on purpose."""
    with zipfile.ZipFile(small) as archive:
        fields = json.loads(archive.read("session.json"))
    keys = st.sampled_from([*fields, "truth", "events", "note", "model", "surprise"])
    fields |= data.draw(st.dictionaries(keys, JSON | st.just([EVENT]), max_size=3))
    rewritten(small, path, session__json=json.dumps(fields).encode())
    try:
        message = f"{path} {len(load_session(path))}"
    except BharError as error:
        message = str(error)
    assert message.startswith(str(path))


@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(
    records=st.lists(
        st.tuples(
            st.sampled_from([b"H", b"F", b"E", b"?", b"\x00"]),
            st.binary(max_size=40)
            | JSON.map(lambda value: json.dumps(value).encode())
            | st.builds(
                lambda t, a, n: struct.pack("<ddB", t, a, n) + bytes(PERSON_BYTES * (n % 3)),
                st.floats(0, 1e16),
                st.floats(0, 20),
                st.integers(0, 255),
            ),
        ),
        max_size=4,
    )
)
def test_any_records_in_a_journal_are_an_error_that_names_the_file_or_a_session(
    records: list[tuple[bytes, bytes]], path: Path
) -> None:
    """Whole records of any kind in any order."""
    path.write_bytes(journal(frame(0.0), *(record(kind, data) for kind, data in records)))
    try:
        message = f"{path} {len(load_session(path))}"
    except BharError as error:
        message = str(error)
    assert message.startswith(str(path))


def test_a_journal_that_grows_while_it_is_read_gives_what_was_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may look at a recording that is going on."""
    from bharsdk.recordings import journal as journal_module

    path.write_bytes(journal(frame(0.0), frame(1.0)))
    measured = journal_module._extent_of

    def and_then_it_grows(of: Path) -> Any:
        found = measured(of)
        with of.open("ab") as file:
            file.write(frame(2.0, people=3))
        return found

    monkeypatch.setattr(journal_module, "_extent_of", and_then_it_grows)
    assert len(load_session(path)) == 2


def test_memory_that_runs_out_is_an_error_that_names_the_file(path: Path) -> None:
    """Where the system has less than a recording needs."""
    bomb(path, 40_000, 2)
    program = (
        "import resource, sys\n"
        "from bharsdk.errors import InputError\n"
        "from bharsdk.recordings.session_file import load_session\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "room = pages * resource.getpagesize() + (40 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (room, room))\n"
        "try:\n"
        "    load_session(sys.argv[1])\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs Linux's /proc to know how much a process has")
    assert resource.RLIMIT_AS
    command = [sys.executable, "-c", program, str(path)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "more memory than there is" in out
    assert str(path) in out
