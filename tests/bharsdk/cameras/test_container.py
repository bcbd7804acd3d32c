"""Videos are read as every player shows them: turned, stretched and cut as their container says."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from bharsdk.cameras.container import UPRIGHT, Container, Orientation, codec_name
from bharsdk.cameras.file_kind import FileKind
from bharsdk.cameras.matroska import read_matroska
from bharsdk.cameras.mp4 import read_mp4
from bharsdk.cameras.video import Video, read_container
from bharsdk.errors import InputError
from bharsdk.process.silence import STDERR, quiet_outputs
from bharsdk.sources.opening import open_source

from . import video_files
from .video_files import CORNERS, HEIGHT, WIDTH, box, element, quartered, write

cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
ROOT = Path(__file__).parents[3]
CASES = ROOT.parent / "shared" / "cases" / "video"
needs_cases = pytest.mark.skipif(
    not CASES.is_dir(), reason="needs the videos of public bug reports in ../shared/cases"
)
# Every one of the eight ways to lay a picture down: (a, b, c, d) of the display matrix.
MATRICES = [
    *[(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)],
    *[(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)],
]


def _first(path: Path) -> np.ndarray:
    with Video(path) as video:
        return next(iter(video)).image


def _assert_shown_by(matrix: tuple[int, int, int, int], image: np.ndarray) -> None:
    """Every quarter of the stored picture is where the container's own rule puts it."""
    a, b, c, d = matrix
    assert image.shape[:2] == ((HEIGHT, WIDTH) if a else (WIDTH, HEIGHT))
    for (right, bottom), color in CORNERS.items():
        x, y = 2 * right - 1, 2 * bottom - 1
        shown_x, shown_y = a * x + c * y, b * x + d * y
        row = image.shape[0] * (2 + shown_y) // 4
        column = image.shape[1] * (2 + shown_x) // 4
        np.testing.assert_allclose(image[row, column], color, atol=60)


@pytest.mark.parametrize("matrix", MATRICES)
def test_pictures_are_turned_as_the_display_matrix_says(
    matrix: tuple[int, int, int, int], tmp_path: Path
):
    path = video_files.with_matrix(write(tmp_path / "a.mp4", [quartered()] * 3), matrix)
    _assert_shown_by(matrix, _first(path))


def test_a_back_end_that_turns_pictures_itself_does_not_have_them_turned_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """OpenCV's default changed between versions; one that cannot be told otherwise is believed."""
    matrix = (0, -1, 1, 0)
    path = video_files.with_matrix(write(tmp_path / "a.mp4", [quartered()] * 3), matrix)

    class Turning:
        says = 1.0

        def __init__(self, name: str) -> None:
            self._capture = capture_class(name)
            self.isOpened, self.release = self._capture.isOpened, self._capture.release

        def set(self, name: int, value: float) -> bool:
            return False

        def get(self, name: int) -> float:
            is_auto = name == cv2.CAP_PROP_ORIENTATION_AUTO
            return self.says if is_auto else self._capture.get(name)

        def read(self) -> tuple[bool, np.ndarray]:
            arrived, image = self._capture.read()
            return arrived, np.ascontiguousarray(np.rot90(image)) if arrived else image

    capture_class = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", Turning)
    _assert_shown_by(matrix, _first(path))
    monkeypatch.setattr(Turning, "says", 0.0)  # the picture's shape gives it away
    _assert_shown_by(matrix, _first(path))


@pytest.mark.parametrize(
    ("projection", "matrix"),
    [
        ({0x7675: 0.0}, (1, 0, 0, 1)),
        ({0x7675: 90.0}, (0, -1, 1, 0)),
        ({0x7675: 180.0}, (-1, 0, 0, -1)),
        ({0x7675: -90.0}, (0, 1, -1, 0)),
        ({0x7673: 180.0}, (-1, 0, 0, 1)),
        ({0x7673: 180.0, 0x7675: 90.0}, (0, 1, 1, 0)),
        ({0x7674: 90.0, 0x7675: 90.0}, (1, 0, 0, 1)),
    ],
)
def test_pictures_are_turned_as_matroska_says(
    projection: dict[int, float], matrix: tuple[int, int, int, int], tmp_path: Path
):
    """Counter-clockwise by the roll; a yaw of 180 degrees is a mirror; a pitch is no picture's."""
    path = write(tmp_path / "a.mkv", [quartered()] * 3, "MJPG")
    _assert_shown_by(matrix, _first(video_files.matroska_with(path, projection)))


@pytest.mark.parametrize(("across", "down"), [(16, 11), (8, 9), (2, 1)])
def test_pixels_that_are_not_square_are_stretched(across: int, down: int, tmp_path: Path):
    path = write(tmp_path / "a.mp4", [quartered()] * 3)
    image = _first(video_files.with_pixel_aspect(path, across, down))
    height, width = image.shape[:2]
    assert width / height == pytest.approx(WIDTH * across / HEIGHT / down, rel=0.03)
    assert width >= WIDTH and height >= HEIGHT


def test_a_pixel_aspect_out_of_reason_is_passed_over(tmp_path: Path):
    path = video_files.with_pixel_aspect(write(tmp_path / "a.mp4", [quartered()] * 3), 5000, 1)
    assert _first(path).shape == (HEIGHT, WIDTH, 3)


def test_an_edit_list_leaves_pictures_out_and_nothing_is_truncated(tmp_path: Path):
    """A cut without encoding again keeps the pictures back to the last key frame in the file."""
    path = write(tmp_path / "a.mp4", [np.full((48, 64, 3), 6 * i, np.uint8) for i in range(40)])
    with Video(video_files.with_edits(path, [(400, 1200)])) as video:
        pictures = list(video)
        assert (video.frame_count, len(pictures)) == (10, 10)
    assert pictures[0].image.mean() == pytest.approx(6 * 30, abs=6)
    np.testing.assert_allclose([p.timestamp_ms for p in pictures], np.arange(10) * 40.0, atol=1)


def test_a_file_that_is_cut_off_is_truncated_also_with_an_edit_list(tmp_path: Path):
    """The index comes first, and tells of pictures that the file no longer holds."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8)
    path = video_files.with_edits(write(tmp_path / "a.mp4", list(noise)), [(1200, 400)])
    data = path.read_bytes()
    at = data.index(b"moov") - 4
    index = data[at:]

    def moved(name: bytes, content: bytes) -> bytes:
        if name == b"stco":
            places = np.frombuffer(content[8:], ">u4") + len(index)
            return content[:8] + places.astype(">u4").tobytes()
        return content

    begin = data.index(b"mdat") - 4
    while data[begin - 8 + 4 : begin - 8 + 8] in (b"free",):
        begin -= 8
    whole = data[:begin] + video_files.changed(index, moved) + data[begin:at]
    path.write_bytes(whole)
    with Video(path) as video:
        assert len(list(video)) == video.frame_count == 30
    for part, got in ((0.3, "0"), (0.8, r"\d+")):
        path.write_bytes(whole[: int(part * len(whole))])
        with (
            Video(path) as video,
            pytest.raises(InputError, match=f"truncated: got {got} pictures, expected the 30"),
        ):
            list(video)


def test_an_edit_list_may_pause_and_show_several_parts(tmp_path: Path):
    path = write(tmp_path / "a.mp4", [quartered()] * 40)
    path = video_files.with_edits(path, [(200, -1), (400, 0), (400, 800)])
    assert read_container(path)[1].pictures == 20


@pytest.mark.parametrize("name", ["2026-11-30T12:30:05.mp4", "rtsp:1.mp4", "a b:c?d#e.mp4"])
def test_a_colon_in_a_relative_name_is_no_protocol(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path / "a.mp4", [quartered()] * 3).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with Video(name) as video:
        assert len(list(video)) == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (b"caf\xe9.mp4", r"caf\\udce9\.mp4: got a name that is no UTF-8"),
        (b"x" * 300 + b".mp4", "cannot be read"),
        (b"a\0b.mp4", "got nothing there"),
    ],
)
def test_a_name_that_no_file_can_have_is_named(name: bytes, said: str, tmp_path: Path):
    """OpenCV ends the whole process on the first of these."""
    with contextlib.suppress(OSError, ValueError):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    with pytest.raises(InputError, match=said):
        open_source(tmp_path / os.fsdecode(name))


@pytest.mark.parametrize(
    ("code", "expected"),
    [(b"vvc1", r"VVC \(vvc1\)"), (b"zz\x1b!", r"zz!"), (b"av01", r"AV1 \(av01\)")],
)
def test_a_codec_that_opencv_does_not_know_is_named_with_what_to_do(
    code: bytes, expected: str, tmp_path: Path
):
    path = video_files.with_codec(write(tmp_path / "a b.mp4", [quartered()] * 3), code)
    with (
        pytest.raises(
            InputError,
            match=rf"got a video in {expected}, which the .* ffmpeg -i 'a b\.mp4' -c:v libx264",
        ),
        Video(path) as video,
    ):
        list(video)


def test_a_known_codec_without_pictures_is_damaged_and_not_unknown(tmp_path: Path):
    path = write(tmp_path / "a.mp4", [quartered()] * 3)
    data = path.read_bytes()
    at = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    path.write_bytes(data[:at] + bytes(end - at) + data[end:])
    with pytest.raises(InputError, match="got no picture out of it"), Video(path) as video:
        list(video)


def test_a_container_says_its_codec_and_size(tmp_path: Path):
    """Of what OpenCV writes, whatever the file is called."""
    for suffix, code, kind, codec in (
        ("mp4", "mp4v", FileKind.MP4, "mp4v"),
        ("mov", "mp4v", FileKind.MP4, "mp4v"),
        ("avi", "MJPG", FileKind.AVI, "MJPG"),
        ("mkv", "MJPG", FileKind.MATROSKA, "V_MJPEG"),
        ("webm", "VP80", FileKind.MATROSKA, "V_VP8"),
    ):
        path = write(tmp_path / f"a.{suffix}", [quartered()] * 3, code).rename(tmp_path / "clip")
        found_kind, found = read_container(path)
        assert (found_kind, found.codec, found.is_cut) == (kind, codec, False)
        if kind is not FileKind.AVI:
            assert found.size == (WIDTH, HEIGHT)
        path.write_bytes(path.read_bytes()[:-20])
        assert kind is FileKind.MATROSKA or read_container(path)[1].is_cut


def test_damaged_boxes_are_left_to_opencv():
    """Whatever the bytes say: no error, and the reading ends soon."""
    movie = box(b"moov", box(b"mvhd", bytes(100)) + box(b"trak", box(b"tkhd", bytes(84))))
    noise = np.random.default_rng(0)
    for seed in range(300):
        data = bytearray(movie)
        for at in noise.integers(0, len(data), 6):
            data[at] = noise.integers(0, 256)
        found = read_mp4(io.BytesIO(bytes(data)), len(data))
        assert isinstance(found.orientation, Orientation), seed
    huge = struct.pack(">I4sQ", 1, b"moov", 1 << 62)
    assert read_mp4(io.BytesIO(huge), 16) == Container(is_cut=True)
    many = struct.pack(">I4s", 8, b"free") * 20_000 + movie
    assert read_mp4(io.BytesIO(many), len(many)).codec is None


def test_a_table_of_more_pictures_than_a_video_has_is_not_unfolded():
    """Eight bytes may tell of four billion pictures."""
    stts = box(b"stts", struct.pack(">IIII", 0, 1, 0xFFFFFFFF, 1))
    media = box(b"hdlr", b"\0" * 8 + b"vide") + box(b"minf", box(b"stbl", stts))
    movie = box(b"moov", box(b"trak", box(b"mdia", media)))
    assert read_mp4(io.BytesIO(movie), len(movie)).pictures is None


def test_damaged_elements_are_left_to_opencv():
    video = element(0xE0, element(0xB0, b"\x40") + element(0xBA, b"\x30"))
    track = element(0xAE, element(0x83, b"\x01") + element(0x86, b"V_VP8") + video)
    whole = element(0x1A45DFA3, b"") + element(0x18538067, element(0x1654AE6B, track))
    assert read_matroska(io.BytesIO(whole), len(whole)) == Container("V_VP8", UPRIGHT, (64, 48))
    noise = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        for at in noise.integers(0, len(data), 4):
            data[at] = noise.integers(0, 256)
        assert isinstance(read_matroska(io.BytesIO(bytes(data)), len(data)), Container)
    assert read_matroska(io.BytesIO(b"\x1a\x45\xdf\xa3\xff" * 1000), 5000) == Container()


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 1, -1, 1), (3, 2, 2, 3), (1, 0, 0, 0)])
def test_a_matrix_that_is_no_quarter_turn_is_none(matrix: tuple[int, int, int, int]):
    assert Orientation.of_matrix(matrix) is None


def test_a_codec_is_named_in_printable_letters():
    assert codec_name("hvc1") == "HEVC (H.265) (hvc1)"
    assert codec_name("\x1b[2J") == "[2J"
    assert codec_name("\x00\x01") == "an unnamed codec"


@needs_cases
def test_a_phone_s_video_stored_sideways_reads_as_the_upright_one(tmp_path: Path):
    """opencv #26795, #22088. Phones held upright write a quarter turn clockwise.

    The matrix of the case itself is the counter-clockwise one: aspect and shoulders are right, and
    the person stands on the head, in FFmpeg and OpenCV too.
    """
    copy = tmp_path / "clockwise.mp4"
    copy.write_bytes((CASES / "rot90.mp4").read_bytes())
    video_files.with_matrix(copy, (0, 1, -1, 0))
    upright, turned, as_it_is = (
        _first(path).astype(int) for path in (CASES / "upright.mp4", copy, CASES / "rot90.mp4")
    )
    assert upright.shape == turned.shape == as_it_is.shape == (360, 270, 3)
    assert np.abs(turned - upright).mean() < 6
    np.testing.assert_array_equal(as_it_is, turned[::-1, ::-1])
    capture = cv2.VideoCapture(str(CASES / "rot90.mp4"))
    if capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1):
        np.testing.assert_array_equal(capture.read()[1], as_it_is)
    capture.release()


@needs_cases
def test_a_video_cut_without_encoding_again_gives_the_pictures_of_the_cut():
    """vllm #48608, opencv #16576."""
    with Video(CASES / "trim.mp4") as video:
        assert len(list(video)) == video.frame_count == 57


@needs_cases
def test_av1_is_named():
    """opencv-python #908: OpenCV opens it and decodes nothing, unless its build knows AV1."""
    path = CASES / "av1.mp4"
    with quiet_outputs(STDERR):
        decodes = cv2.VideoCapture(str(path)).read()[0]
    if decodes:
        pytest.skip("this build of OpenCV decodes AV1")
    with (
        pytest.raises(
            InputError, match=r"got a video in AV1 \(av01\).*ffmpeg -i av1\.mp4 -c:v lib"
        ),
        Video(path) as video,
    ):
        list(video)


@needs_cases
@pytest.mark.parametrize(("name", "frames", "last_ms"), [("b.m4v", 62, 2035), ("b.gif", 21, 2000)])
def test_other_suffixes_are_videos_with_their_own_times(name: str, frames: int, last_ms: int):
    """yolov5 #146."""
    with Video(CASES / name) as video:
        pictures = list(video)
    assert len(pictures) == frames
    assert pictures[-1].timestamp_ms == pytest.approx(last_ms, abs=2)
