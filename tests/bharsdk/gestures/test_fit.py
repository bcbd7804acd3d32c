"""Gestures of one's own, from a few real clips, beside the model of letters that ships.

It has never seen the words of the clips; their hands are what it looks at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bharsdk import Recognizer, load_bundle
from bharsdk.bundle.bundle import ENROLLMENT_GESTURES, ENROLLMENT_KNOWN, Bundle, make_bundle
from bharsdk.cli import main
from bharsdk.engines.engine import open_engine
from bharsdk.engines.golden_check import verify_bundle
from bharsdk.errors import BackendMissingError, BundleError, InputError
from bharsdk.gestures.storage import gestures_of, with_gestures
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recognition.features import extract
from bharsdk.recognizer import bundle_path
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import save_session

MODEL = "asl-letters"
Clips = dict[str, list[LandmarkSequence]]


@pytest.fixture(scope="module")
def clips(word_clips: dict[str, npt.NDArray[np.float16]]) -> Clips:
    """Four of each word, by one signer."""
    return {
        label: [LandmarkSequence.from_flat(clip, fps=15.0) for clip in of_label]
        for label, of_label in word_clips.items()
    }


@pytest.fixture
def recognizer() -> Recognizer:
    return Recognizer(MODEL, backend="native")


@pytest.fixture(scope="module")
def taught(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that was taught "hello" and "no", from three clips each, and saved."""
    recognizer = Recognizer(MODEL, backend="native")
    for label in ("hello", "no"):
        recognizer.enroll(label, clips[label][:3])
    path = tmp_path_factory.mktemp("taught") / "taught.bhar"
    recognizer.save(path)
    return path


def _probabilities(recognizer: Recognizer, clip: LandmarkSequence) -> npt.NDArray[np.float64]:
    """Of the clip, pushed frame by frame."""
    stream = recognizer.stream()
    for frame in clip.frames():
        stream.push(frame)
    said = stream.probabilities
    assert said is not None
    return said


def test_a_gesture_is_recognized_in_clips_it_was_not_enrolled_from(taught: Path, clips: Clips):
    recognizer = Recognizer(taught, backend="native")
    assert recognizer.labels[-2:] == ("hello", "no")
    for label in ("hello", "no"):
        labels = [event.label for event in recognizer.recognize_clip(clips[label][3])]
        assert label in labels


def test_a_movement_that_is_none_of_them_keeps_the_answer_it_had(taught: Path, clips: Clips):
    """To the last digits: what matches no gesture is left to the model alone."""
    before, after = Recognizer(MODEL, backend="native"), Recognizer(taught, backend="native")
    letters = [clip for label in before.labels for clip in _letters(label)]
    same = 0
    for clip in letters:
        was, now = _probabilities(before, clip), _probabilities(after, clip)
        if not now[-2:].any():
            np.testing.assert_allclose(now[:-2], was, rtol=1e-12)
            same += 1
    assert same >= 0.9 * len(letters)


def test_what_was_saved_answers_as_what_was_taught(
    recognizer: Recognizer, clips: Clips, tmp_path: Path
):
    """Bit for bit, also after another saving."""
    recognizer.enroll("hello", clips["hello"][:3])
    first, second = tmp_path / "first.bhar", tmp_path / "second.bhar"
    recognizer.save(first)
    again = Recognizer(first, backend="native")
    again.save(second)
    assert first.read_bytes() == second.read_bytes()
    for clip in (clips["hello"][3], clips["coffee"][0]):
        np.testing.assert_array_equal(_probabilities(recognizer, clip), _probabilities(again, clip))


def test_removing_restores_the_model_to_the_byte(
    recognizer: Recognizer, clips: Clips, tmp_path: Path
):
    clip, shipped = clips["hello"][3], bundle_path(MODEL)
    was = _probabilities(recognizer, clip)
    recognizer.enroll("hello", clips["hello"][:3])
    recognizer.enroll("no", clips["no"][:3])
    recognizer.remove("hello")
    assert recognizer.labels[-1] == "no"
    recognizer.remove("no")
    np.testing.assert_array_equal(_probabilities(recognizer, clip), was)
    recognizer.save(tmp_path / "as-before.bhar")
    assert (tmp_path / "as-before.bhar").read_bytes() == shipped.read_bytes()


def test_a_stream_keeps_the_labels_it_began_with(recognizer: Recognizer, clips: Clips):
    before = recognizer.stream()
    recognizer.enroll("hello", clips["hello"][:3])
    after = recognizer.stream()
    for frame in clips["hello"][3].frames():
        before.push(frame)
        after.push(frame)
    assert before.probabilities is not None and after.probabilities is not None
    assert len(before.probabilities) + 1 == len(after.probabilities) == len(recognizer.labels)


def test_a_saved_bundle_verifies_and_tells_of_its_gestures(
    taught: Path, capsys: pytest.CaptureFixture[str]
):
    bundle = load_bundle(taught)
    assert verify_bundle(bundle).clips == verify_bundle(load_bundle(bundle_path(MODEL))).clips
    assert "hello: from 3 clips" in bundle.model_card
    assert [(g.label, g.clips) for g in bundle.manifest.gestures] == [("hello", 3), ("no", 3)]
    assert main(["inspect", str(taught)]) == 0
    assert '"label": "hello"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("label", "count", "message"),
    [
        ("hello", 2, "got 2 clips, expected a list of 3 to 5"),
        ("a", 3, "it is known by the model; .* known=True"),
        ("-", 3, "it is known by the model"),
        ("two\nlines", 3, "printable"),
    ],
)
def test_what_cannot_be_enrolled_is_refused_and_changes_nothing(
    recognizer: Recognizer, clips: Clips, label: str, count: int, message: str
):
    before = recognizer.labels
    with pytest.raises(InputError, match=message):
        recognizer.enroll(label, clips["hello"][:count])
    assert recognizer.labels == before


def test_a_gesture_is_enrolled_once(recognizer: Recognizer, clips: Clips):
    recognizer.enroll("hello", clips["hello"][:3])
    with pytest.raises(InputError, match="remove it first"):
        recognizer.enroll("hello", clips["hello"][:3])


def test_a_clip_without_anybody_is_named(recognizer: Recognizer, clips: Clips):
    hello = clips["hello"]
    nobody = hello[2].replaced(hands=np.full_like(hello[2].hands, np.nan))
    with pytest.raises(InputError, match=r"clip 3: got a hand in 0 of 20 frames"):
        recognizer.enroll("hello", [*hello[:2], nobody])


def test_one_path_in_place_of_clips_is_refused(recognizer: Recognizer):
    with pytest.raises(InputError, match="got 1 clips"):
        recognizer.enroll("hello", "hello.mp4")


def _takes(clip: LandmarkSequence) -> list[LandmarkSequence]:
    """The clip three times, as no two recordings are the same: a little further right each time."""
    shift = np.array([0.001, 0.0, 0.0], np.float32)
    return [clip.replaced(hands=clip.hands + shift * number) for number in range(3)]


def _letters(label: str, signer: str = "") -> list[LandmarkSequence]:
    with np.load(Path(__file__).parents[2] / "data" / "letters.npz") as data:
        chosen = (data["label"] == label) & np.isin(data["signer"], signer or ["s1", "s2", "s3"])
        return [LandmarkSequence.from_flat(clip, fps=15.0) for clip in data["landmarks"][chosen]]


def test_a_known_label_keeps_its_movements_until_it_was_shown_too(
    recognizer: Recognizer, caplog: pytest.LogCaptureFixture
):
    """The letter "b", enrolled by another name: a warning, and every "b" stays one."""
    mine = _letters("b", "s2")[0]
    with caplog.at_level(logging.WARNING, "bharsdk"):
        found = recognizer.enroll("stop", _takes(mine))
    assert "b" in found.alike
    assert "stop is much like b" in caplog.text
    assert recognizer.gestures == (found,)
    assert recognizer.labels[int(_probabilities(recognizer, mine).argmax())] == "stop"
    others = _letters("b", "s3")
    assert others
    for clip in others:
        assert recognizer.labels[int(_probabilities(recognizer, clip).argmax())] == "b"
    recognizer.enroll("b", _takes(others[0]), known=True)
    assert [(g.label, g.alike) for g in recognizer.gestures] == [("stop", ()), ("b", ())]
    assert recognizer.labels[int(_probabilities(recognizer, others[0]).argmax())] == "b"
    assert recognizer.labels[int(_probabilities(recognizer, mine).argmax())] == "stop"


def test_a_known_label_that_is_shown_too_keeps_its_clips(
    recognizer: Recognizer, clips: Clips, tmp_path: Path
):
    """It is no new label, and is removed as a gesture is."""
    letter = _letters("b", "s3")[0]
    recognizer.enroll("hello", clips["hello"][:3])
    labels = recognizer.labels
    recognizer.enroll("b", _takes(letter), known=True)
    assert recognizer.labels == labels
    assert recognizer.labels[int(_probabilities(recognizer, letter).argmax())] == "b"
    saved = recognizer.save(tmp_path / "shown.bhar")
    assert "b: known, and shown in 3 clips" in saved.model_card
    recognizer.remove("b")
    assert [gesture.label for gesture in recognizer.gestures] == ["hello"]
    with pytest.raises(InputError, match="expected one of"):
        recognizer.enroll("wave", clips["no"][:3], known=True)


def test_removing_what_is_not_there_names_what_is(taught: Path):
    recognizer = Recognizer(taught, backend="native")
    with pytest.raises(InputError, match="expected an enrolled gesture: hello, no"):
        recognizer.remove("wave")


def test_a_bundle_without_known_samples_takes_no_gestures(clips: Clips):
    bundle = load_bundle(bundle_path(MODEL))
    files = {name: data for name, data in bundle.files.items() if name != ENROLLMENT_KNOWN}
    bare = make_bundle("bare.bhar", replace(bundle.manifest, enrollment=None), files)
    with pytest.raises(BundleError, match=r"bare.bhar holds no samples .* --calib"):
        Recognizer(bare, backend="native").enroll("hello", clips["hello"][:3])


def _without_gestures_file(files: dict[str, bytes]) -> None:
    del files[ENROLLMENT_GESTURES]


def _cut(files: dict[str, bytes]) -> None:
    files[ENROLLMENT_GESTURES] = files[ENROLLMENT_GESTURES][:-2]


def _not_finite(files: dict[str, bytes]) -> None:
    files[ENROLLMENT_GESTURES] = files[ENROLLMENT_GESTURES][:-2] + b"\x00\x7c"


@pytest.mark.parametrize("damage", [_without_gestures_file, _cut, _not_finite])
def test_damaged_gestures_are_refused(taught: Path, damage: Callable[[dict[str, bytes]], None]):
    bundle = load_bundle(taught)
    files = dict(bundle.files)
    damage(files)
    with pytest.raises(BundleError, match=ENROLLMENT_GESTURES):
        gestures_of(make_bundle("damaged.bhar", bundle.manifest, files))


def test_a_model_that_gives_logits_alone_runs_and_takes_no_gestures(presence_bundle: Path):
    plain = Recognizer(presence_bundle)
    assert plain.labels == ("-", "left", "right")
    with pytest.raises((BackendMissingError, BundleError)):
        plain.enroll("wave", _waves())


def _waves() -> list[LandmarkSequence]:
    frames = 30
    body = np.full((frames, 33, 4), 0.5, np.float32)
    hands = np.full((frames, 2, 21, 3), 0.5, np.float32)
    return _takes(LandmarkSequence(np.arange(frames) * 40.0, body, hands))


def test_gestures_leave_every_other_file_as_it_was(taught: Path):
    bundle, shipped = load_bundle(taught), load_bundle(bundle_path(MODEL))
    changed = {ENROLLMENT_GESTURES, "MODEL_CARD.md"}
    assert {n for n in bundle.files if bundle.files[n] != shipped.files.get(n)} == changed
    bare: Bundle = with_gestures(bundle, [])
    assert dict(bare.files) == dict(shipped.files)


def test_embeddings_come_with_the_logits_of_a_plain_run(clips: Clips):
    bundle = load_bundle(bundle_path("asl-coffee"))
    engine = open_engine(bundle)
    batch = extract(clips["tea"][0], bundle.manifest.features).batch()
    logits, embedding = engine.embed(batch)  # type: ignore[attr-defined]  # native embeds
    np.testing.assert_array_equal(logits, engine.run(batch))
    assert embedding.shape == (1, 512)


def test_the_command_enrolls_lists_and_removes(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    sessions = [
        str(save_session(tmp_path / f"{i}.bhar-session", Session(clip)))
        for i, clip in enumerate(clips["hello"][:3])
    ]
    mine = str(tmp_path / "mine.bhar")
    assert main(["enroll", MODEL, "hello", *sessions, "--output", mine]) == 0
    assert main(["enroll", mine, "--list"]) == 0
    assert "hello" in capsys.readouterr().out
    assert main(["verify", mine, "--backend", "native"]) == 0
    assert main(["enroll", mine, "--remove", "hello"]) == 0
    assert load_bundle(mine).manifest.gestures == ()


def test_the_command_says_what_a_gesture_is_much_like(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    sessions = [
        str(save_session(tmp_path / f"{i}.bhar-session", Session(take)))
        for i, take in enumerate(_takes(_letters("b", "s2")[0]))
    ]
    mine = str(tmp_path / "mine.bhar")
    assert main(["enroll", MODEL, "stop", *sessions, "--output", mine]) == 0
    assert "stop enrolled from 3 clips; much like b, which goes first" in capsys.readouterr().out
    assert main(["enroll", mine, "--list"]) == 0
    assert "much like b" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([MODEL], "expected LABEL CLIP CLIP CLIP"),
        ([MODEL, "hello", "a.mp4", "--list"], "expected LABEL CLIP CLIP CLIP"),
        ([MODEL, "hello", "a.mp4", "b.mp4", "c.mp4"], "--output NEW.bhar"),
    ],
)
def test_the_command_refuses_what_contradicts_itself(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["enroll", *arguments]) == 2
    assert message in capsys.readouterr().err
