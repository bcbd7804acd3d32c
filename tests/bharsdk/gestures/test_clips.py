"""What a clip must be that a gesture is enrolled from."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bharsdk import Recognizer
from bharsdk.cli import main
from bharsdk.errors import InputError
from bharsdk.gestures.clips import MAX_CLIP_S, check_gesture, read_clips
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.recordings.session import Session, TrueEvent
from bharsdk.recordings.session_file import save_session

EXAMPLES = Path(__file__).parents[3] / "examples" / "data"
LETTERS, WORDS = "asl-letters", "asl-coffee-prgcn"


@pytest.fixture(scope="module")
def hello(word_clips: dict[str, npt.NDArray[np.float16]]) -> list[LandmarkSequence]:
    return [LandmarkSequence.from_flat(clip, fps=15.0) for clip in word_clips["hello"]]


@pytest.fixture(scope="module")
def idle(word_clips: dict[str, npt.NDArray[np.float16]]) -> LandmarkSequence:
    return LandmarkSequence.from_flat(np.concatenate(list(word_clips["-"])), fps=15.0)


@pytest.fixture(scope="module")
def letters() -> Recognizer:
    return Recognizer(LETTERS, backend="native")


@pytest.fixture
def sessions(hello: list[LandmarkSequence], tmp_path: Path) -> list[str]:
    return [
        str(save_session(tmp_path / f"w{i}.bhar-session", Session(clip)))
        for i, clip in enumerate(hello[:3])
    ]


def _joined(*clips: LandmarkSequence, fps: float = 15.0) -> LandmarkSequence:
    return LandmarkSequence(
        np.arange(sum(map(len, clips))) * (1000.0 / fps),
        np.concatenate([clip.body for clip in clips]),
        np.concatenate([clip.hands for clip in clips]),
        clips[0].aspect,
    )


def test_a_long_recording_of_many_signs_is_no_clip(
    sessions: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """68 s of 25 signs, which was taken for a gesture: refused by name, with what to do."""
    strung = next(EXAMPLES.rglob("s2-a.bhar-session"))
    command = ["enroll", LETTERS, "wave", *sessions[:2], str(strung)]
    assert main([*command, "--output", str(tmp_path / "mine.bhar")]) == 3
    said = capsys.readouterr().err
    assert f"{strung}: got more than 10 s, expected one gesture, made once" in said
    assert "s2-a.bhar-session@1.5-3.0" in said
    assert not (tmp_path / "mine.bhar").exists()


def test_a_long_video_is_refused_before_it_was_watched(tmp_path: Path) -> None:
    """The landmarker stops soon after ten seconds of an hour."""
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
    path = tmp_path / "hour.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 2.0, (32, 32))
    for _ in range(400):
        writer.write(np.zeros((32, 32, 3), np.uint8))
    writer.release()
    landmarker = _Counting()
    with pytest.raises(InputError, match=r"hour.avi: got more than 10 s"):
        read_clips([path, tmp_path / "b", tmp_path / "c"], landmarker)
    assert landmarker.seen < 100


class _Counting:
    """Finds somebody in every picture."""

    seen = 0
    depth = 1

    def detect(self, image: npt.NDArray[np.uint8], timestamp_ms: float) -> list[Landmarks]:
        self.seen += 1
        body, hands = np.full((33, 4), 0.5, np.float32), np.full((2, 21, 3), 0.5, np.float32)
        return [Landmarks(timestamp_ms, body, hands, 1.0)]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("how", ["again", "relative", "link", "hard link", "copy"])
def test_one_file_is_not_several_clips(
    sessions: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """By whatever name; a copy is told by its landmarks."""
    first, other = Path(sessions[0]), tmp_path / "other.bhar-session"
    monkeypatch.chdir(tmp_path)
    match how:
        case "again":
            other = first
        case "relative":
            other = Path(first.name)
        case "link":
            other.symlink_to(first)
        case "hard link":
            os.link(first, other)
        case _:
            shutil.copy(first, other)
    with pytest.raises(InputError, match="expected different recordings: 3 to 5") as error:
        read_clips([*sessions, other])
    assert str(other) in str(error.value)


def test_the_same_landmarks_are_not_several_clips(
    letters: Recognizer, hello: list[LandmarkSequence]
) -> None:
    """In memory: one object three times, or another with the same values."""
    labels = letters.labels
    same = hello[0].replaced(timestamps_ms=hello[0].timestamps_ms + 5.0)
    for clips in ([hello[0]] * 3, [hello[0], hello[1], same]):
        with pytest.raises(InputError, match=r"clip \d is the same clip as clip 1"):
            letters.enroll("wave", clips)
    assert letters.labels == labels


def test_parts_of_one_recording_are_different_clips(
    hello: list[LandmarkSequence], idle: LandmarkSequence, tmp_path: Path
) -> None:
    """``NAME@START-END``, seconds; parts that overlap are one clip twice."""
    rest = _joined(idle)
    whole = _joined(hello[0], rest, hello[1], rest, hello[2])
    path = save_session(tmp_path / "day@1-2.bhar-session", Session(whole))
    gap = (20 + len(rest)) / 15
    named = [f"{path}@{gap * i:.3f}-{gap * i + 1.267:.3f}" for i in range(3)]
    read = read_clips(named)
    assert [name for name, _ in read] == named
    for (_, clip), wanted in zip(read, hello, strict=False):
        np.testing.assert_array_equal(clip.hands, wanted.hands)
    with pytest.raises(InputError, match="is the same clip as"):
        read_clips([*named, f"{path}@0.5-2"])
    with pytest.raises(InputError, match=r"@3-1: got 3 to 1 s"):
        read_clips([f"{path}@3-1", *named])
    with pytest.raises(InputError, match=r"@90-91: got 90 to 91 s of a clip of"):
        read_clips([f"{path}@90-91", *named])


def test_a_session_that_names_one_sign_counts_from_there_to_there(
    hello: list[LandmarkSequence], idle: LandmarkSequence
) -> None:
    whole = _joined(idle, hello[0], idle)
    start_ms = len(idle) * 1000 / 15
    truth = (TrueEvent("hello", start_ms, start_ms + 19 * 1000 / 15),)
    (_, clip), *_ = read_clips([Session(whole, truth), hello[1], hello[2]])
    np.testing.assert_array_equal(clip.hands, hello[0].hands)


def test_several_movements_are_no_clip(
    letters: Recognizer, hello: list[LandmarkSequence], idle: LandmarkSequence
) -> None:
    """The message says when they are, and how to name one of them."""
    rest = _joined(idle)
    twice = _joined(hello[0], rest, hello[1])
    with pytest.raises(InputError, match=r"w.mp4: got 2 movements .* w.mp4@0.\d-\d.\d") as error:
        check_gesture(twice, letters.bundle.manifest, "w.mp4")
    assert "expected one gesture, made once" in str(error.value)
    with pytest.raises(InputError, match=r"\(at 7.\d-.* name a part: w.mp4@7.\d-\d.\d$"):
        check_gesture(twice, letters.bundle.manifest, "w.mp4@7-15")  # times of the file, not of it
    with pytest.raises(InputError, match=r"^clip 2: .* made once; cut it$"):
        check_gesture(twice, letters.bundle.manifest, "clip 2")
    check_gesture(_joined(rest, hello[0], rest), letters.bundle.manifest, "w.mp4")


def test_a_clip_in_which_nothing_happens_is_refused(hello: list[LandmarkSequence]) -> None:
    """No hand and a wrist that rests; or, for a model that asks for movement, a hand that rests."""
    manifest = Recognizer(WORDS, backend="native").bundle.manifest
    assert manifest.decoder.min_movement > 0
    held = hello[0].replaced(
        body=hello[0].body[[10] * 20].copy(), hands=hello[0].hands[[10] * 20].copy()
    )
    unseen = held.replaced(hands=np.full_like(held.hands, np.nan))
    with pytest.raises(InputError, match=r"w.mp4: got a clip in which no hand is seen"):
        check_gesture(unseen, manifest, "w.mp4")
    with pytest.raises(InputError, match=r"w.mp4: got a clip in which nothing moves"):
        check_gesture(held, manifest, "w.mp4")
    letters = Recognizer(LETTERS, backend="native").bundle.manifest
    check_gesture(held, letters, "w.mp4")  # a letter is a pose


def test_a_clip_unlike_the_others_is_named(
    letters: Recognizer,
    hello: list[LandmarkSequence],
    word_clips: dict[str, npt.NDArray[np.float16]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It may show something else: a warning, which the command prints too."""
    other = LandmarkSequence.from_flat(word_clips["coffee"][0], fps=15.0)
    with caplog.at_level(logging.WARNING, "bharsdk"):
        found = letters.enroll("wave", [*hello[:4], other])
    assert found.unlike == ("clip 5",)
    assert "clip 5: unlike the other clips of wave" in caplog.text
    letters.remove("wave")
    assert letters.enroll("wave", hello[:4]).unlike == ()
    letters.remove("wave")


def test_what_is_no_clip_at_all_says_what_was_got(hello: list[LandmarkSequence]) -> None:
    with pytest.raises(InputError, match="got int as clip 3"):
        read_clips([hello[0], hello[1], 3])  # type: ignore[list-item]


def test_the_longest_clip_is_ten_seconds(hello: list[LandmarkSequence]) -> None:
    """A gesture in nine idle seconds is found; more is refused, in memory too."""
    long = hello[0].replaced(timestamps_ms=np.linspace(0, 1000 * MAX_CLIP_S + 1, 20))
    with pytest.raises(InputError, match="clip 3: got more than 10 s"):
        read_clips([hello[1], hello[2], long])
