"""What a Python user sees of bharsdk: short words for every value, and for every wrong one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bharsdk
from bharsdk import Landmarks, LandmarkSequence, Recognizer, load_bundle
from bharsdk.bundle.decoder_config import DecoderConfig
from bharsdk.bundle.feature_config import FeatureConfig
from bharsdk.bundle.manifest import EnrollmentRecord, GestureRecord
from bharsdk.cameras.pictures import CapturedImage
from bharsdk.cameras.source_config import Backpressure, SourceConfig
from bharsdk.errors import InputError
from bharsdk.events import DropCause, Event, EventPhase, Rejection
from bharsdk.gestures.enroll import Enrolled
from bharsdk.gestures.fit import Samples
from bharsdk.landmarkers.body_hands import BodyHandsConfig
from bharsdk.landmarks.frame import Frame
from bharsdk.landmarks.tracking import PeopleConfig
from bharsdk.pipeline.backpressure import FrameCounts
from bharsdk.pipeline.status import RunState, Status
from bharsdk.recognition.features import Features
from bharsdk.recognition.options import RecognizerOptions
from bharsdk.recognition.results import Person, Result, Score, StageSummary, StageTimes
from bharsdk.recordings.session import Session, TrueEvent
from bharsdk.recordings.session_file import load_session, save_session
from bharsdk.sources.opening import open_source
from bharsdk.values.brief import MAX_REPR, brief, text_of
from bharsdk.values.checks import as_path, check_fields, typed
from bharsdk.values.labels import MAX_LABEL_LENGTH

LONG = "w" * MAX_LABEL_LENGTH
NOBODY = Landmarks.empty(33.333)
IMAGE = np.zeros((720, 1280, 3), np.uint8)


@pytest.fixture(scope="module")
def recognizer(presence_bundle: Path) -> Recognizer:
    return Recognizer(presence_bundle, backend="onnx")


# ---- repr -------------------------------------------------------------------------------------


def _event(label: str = LONG) -> Event:
    return Event(label, EventPhase.END, 1234.5678901, 98765.4321098, 1 / 3, 7)


def _person() -> Person:
    top = tuple(Score(LONG, 1 / 3) for _ in range(16))
    return Person(7, NOBODY, LONG, 1 / 3, _event(), (_event(),) * 9, top, Rejection.TOO_SHORT)


def _result() -> Result:
    dropped = dict.fromkeys(DropCause, 10**9)
    return Result(1 / 3, 10**9, (_person(),) * 8, 4 / 3, dropped=dropped, image=IMAGE)


VALUES: list[tuple[Any, str]] = [
    (NOBODY, "timestamp_ms=33.333"),
    (_event(), "phase='end'"),
    (_person(), "track_id=7"),
    (_result(), "people=8"),
    (Score(LONG, 1 / 3), "score=0.333333"),
    (StageTimes(1 / 3, 2 / 3, 4 / 3, 8 / 3, 16 / 3), "landmarks_ms=0.666667"),
    (StageSummary(*([10**6] * 2), *([1e6 / 3] * 9)), "frames=1000000"),
    (Status(RunState.ERROR, "first\nsecond " * 50), r"state='error', message='first\nsecond"),
    (Enrolled(LONG, 5, (LONG,) * 16), "alike=16 items"),
    (TrueEvent(LONG, 1 / 3, 1e9 / 3), "start_ms=0.333333"),
    (Frame(33.333, (NOBODY,) * 8, image=IMAGE), "image=uint8 [720, 1280, 3]"),
    (CapturedImage(IMAGE, 33.333), "image=uint8 [720, 1280, 3]"),
    (FrameCounts(10**9, 0, dict.fromkeys(DropCause, 10**9)), "captured=1000000000"),
    (SourceConfig(), "SourceConfig()"),
    (SourceConfig(Backpressure.DROP_OLDEST, 1, *([1 / 3] * 4), 10**6), "slots=1"),
    (RecognizerOptions(score_threshold=0.7), "RecognizerOptions(score_threshold=0.7)"),
    (RecognizerOptions(label_allowlist=(LONG,) * 99), "label_allowlist=99 items"),
    (DecoderConfig(hop_s=0.2), "DecoderConfig(hop_s=0.2)"),
    (DecoderConfig(*([1 / 3] * 2), *([1 / 7] * 7)), "hop_s=0.142857"),
    (FeatureConfig(frames=12), "FeatureConfig(frames=12)"),
    (BodyHandsConfig(depth=3), "BodyHandsConfig(depth=3)"),
    (PeopleConfig(), "PeopleConfig()"),
    (EnrollmentRecord(64, (9,) * 500, (GestureRecord(LONG, 3, 30),) * 9), "known=4500"),
    (Samples(np.zeros((9, 16), np.float32), np.zeros((9, 64), np.float32)), "float32 [9, 16]"),
    (Features(np.zeros((7, 24, 25, 1)), np.zeros((7, 24, 21, 2))), "body=float64 [7, 24, 25, 1]"),
]


def _is_short(text: str) -> bool:
    return 0 < len(text) <= MAX_REPR and text.isprintable() and " object at 0x" not in text


@pytest.mark.parametrize(("value", "part"), VALUES, ids=lambda x: type(x).__name__)
def test_repr_is_one_short_line_that_tells_what_matters(value: object, part: str) -> None:
    """No array, no bytes, no list of hundreds, whatever the value holds."""
    assert _is_short(repr(value)), repr(value)
    assert part in repr(value)


def test_repr_of_what_runs_is_one_short_line(
    recognizer: Recognizer, recording: LandmarkSequence
) -> None:
    """A recognizer, its streams, runs and bundle, a recording, and what reads it."""
    session = Session(recording, note="x" * 1000, events=(_event(),) * 50)
    with recognizer.run(recording) as run, open_source(session) as source:
        next(run)
        values = [
            (recognizer, "model='presence'"),
            (recognizer.bundle, "model='presence'"),
            (recognizer.bundle.manifest, "name='presence', model='share of frames with a hand'"),
            (recognizer.stream(), "is_warm=False"),
            (run, "state='warming', captured=1, delivered=1"),
            (recording, "frames=200"),
            (session, "frames=200"),
            (source, "frame_count=200"),
        ]
        texts = {repr(value): part for value, part in values}
    with recognizer.start(recording, lambda result: None) as callbacks:
        callbacks.join(60)
        texts[repr(callbacks)] = "Callbacks(run=Run(state="
    for text, part in texts.items():
        assert _is_short(text), text
        assert part in text


def test_every_public_class_has_a_repr_of_its_own() -> None:
    """Of ``bharsdk.__all__``: all that a program imports."""
    classes = [getattr(bharsdk, name) for name in bharsdk.__all__]
    for kind in classes:
        if isinstance(kind, type) and not issubclass(kind, Exception | Enum):
            is_protocol = getattr(kind, "_is_protocol", False)
            assert is_protocol or kind.__repr__ is not object.__repr__, kind
            assert "__create_fn__" not in kind.__repr__.__qualname__, kind


def test_text_of_a_value_is_short_whatever_it_is() -> None:
    """Also where its own repr is long, has lines or fails."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    class Lines:
        def __repr__(self) -> str:
            return "a\nb\x1b[2J"

    assert text_of(np.zeros((3, 4))) == "float64 [3, 4]"
    assert text_of(b"x" * 10**6) == "1000000 bytes"
    assert text_of(list(range(1000))) == "1000 items"
    assert text_of(np.float32(0.5)) == "0.5"
    assert text_of(Broken()) == "<Broken>"
    assert text_of(Lines()) == r"a\nb\x1b[2J"
    assert text_of("'" * 1000).endswith('..."')
    assert len(brief(Lines(), **{f"name{i}": "y" * 90 for i in range(9)})) == MAX_REPR


# ---- types ------------------------------------------------------------------------------------

Refused = Callable[[Recognizer, LandmarkSequence], object]
ARRAYS = (np.zeros((33, 4), np.float32), np.zeros((2, 21, 3), np.float32))
TIMES = np.arange(2.0)
CLIPS = (np.zeros((2, 33, 4), np.float32), np.zeros((2, 2, 21, 3), np.float32))

WRONG: list[tuple[Refused, str]] = [
    (lambda r, s: Recognizer(5), "got 5 of type int, expected a path"),  # type: ignore[arg-type]
    (lambda r, s: Recognizer(None), "expected a path"),  # type: ignore[arg-type]
    (lambda r, s: Recognizer(""), "expected a path"),
    (lambda r, s: Recognizer(b"x"), "1 bytes of type bytes, expected a path"),  # type: ignore[arg-type]
    (lambda r, s: Recognizer("a\0b"), "expected a path"),
    (lambda r, s: Recognizer(r.bundle, backend=3), "backend 3 of type int, expected text"),  # type: ignore[arg-type]
    (lambda r, s: Recognizer(r.bundle, require="no"), "expected True or False"),  # type: ignore[arg-type]
    (lambda r, s: Recognizer(r.bundle, options={}), "expected a RecognizerOptions or None"),  # type: ignore[arg-type]
    (lambda r, s: load_bundle(3), "expected a path"),  # type: ignore[arg-type]
    (lambda r, s: load_session(3), "expected a path"),  # type: ignore[arg-type]
    (lambda r, s: load_session(None), "expected a path"),  # type: ignore[arg-type]
    (lambda r, s: save_session(3, Session(s)), "expected a path"),  # type: ignore[arg-type]
    (lambda r, s: save_session("x.bhar-session", s), "expected a Session"),  # type: ignore[arg-type]
    (lambda r, s: Session(5), "sequence 5 of type int, expected a LandmarkSequence"),  # type: ignore[arg-type]
    (lambda r, s: Session(s, truth=[5]), "expected a list of a TrueEvent"),  # type: ignore[arg-type,list-item]
    (lambda r, s: Session(s, note=5), "note 5 of type int, expected text"),  # type: ignore[arg-type]
    (lambda r, s: Session(s, others=s), "expected a list of a LandmarkSequence"),  # type: ignore[arg-type]
    (lambda r, s: TrueEvent("tea", "0", 5), "start_ms '0' of type str, expected a number"),  # type: ignore[arg-type]
    (lambda r, s: r.run(object()), "source: got object, expected a camera number"),  # type: ignore[arg-type]
    (lambda r, s: r.run(None), "source: got NoneType, expected"),  # type: ignore[arg-type]
    (lambda r, s: r.run(True), "source: got bool, expected"),
    (lambda r, s: r.run(1.5), "source: got float, expected"),  # type: ignore[arg-type]
    (lambda r, s: list(r.run([1, 2])), "got int as item 0, expected"),  # type: ignore[list-item]
    (lambda r, s: r.run(s, config=5), "config 5 of type int, expected a SourceConfig or None"),  # type: ignore[arg-type]
    (lambda r, s: r.run(s, on_status=5), "on_status: got 5 of type int, expected a function"),  # type: ignore[arg-type]
    (lambda r, s: r.run(s, record=5), "record 5 of type int, expected a path"),  # type: ignore[arg-type]
    (lambda r, s: open_source(s, config={}), "expected a SourceConfig"),  # type: ignore[arg-type]
    (lambda r, s: r.stream().push(5), "stream: got 5 of type int, expected a Landmarks"),  # type: ignore[arg-type]
    (lambda r, s: r.stream().push(s), "expected a Landmarks"),  # type: ignore[arg-type]
    (lambda r, s: r.stream().top("3"), "expected a whole number"),  # type: ignore[arg-type]
    (lambda r, s: r.enroll("wave", "x"), "got 1 clips, expected a list of 3"),
    (lambda r, s: r.enroll("wave", 5), "clips 5 of type int, expected a list of"),  # type: ignore[arg-type]
    (
        lambda r, s: r.enroll("wave", [0, 1, 2]),
        "got int as clip 1, expected a path, landmarks or a session",
    ),  # type: ignore[list-item]
    (lambda r, s: r.enroll(5, [s, s, s]), "label 5 of type int, expected text"),  # type: ignore[arg-type]
    (lambda r, s: r.enroll("wave", [s] * 3, known=1), "known 1 of type int, expected True"),  # type: ignore[arg-type]
    (lambda r, s: r.remove(None), "label None of type NoneType, expected text"),  # type: ignore[arg-type]
    (lambda r, s: r.save(None), "path None of type NoneType, expected a path"),  # type: ignore[arg-type]
    (lambda r, s: Landmarks(0.0, [[1.0], [1.0, 2.0]], ARRAYS[1]), "got body object"),  # type: ignore[arg-type]
    (lambda r, s: Landmarks(0.0, "x", ARRAYS[1]), "got body <U1 []"),  # type: ignore[arg-type]
    (lambda r, s: Landmarks(0.0, ARRAYS[0], None), "got hands object []"),  # type: ignore[arg-type]
    (lambda r, s: LandmarkSequence("x", *CLIPS), "got timestamps <U1 []"),  # type: ignore[arg-type]
    (lambda r, s: LandmarkSequence([[0], [0, 1]], *CLIPS), "got timestamps object"),  # type: ignore[arg-type]
    (lambda r, s: LandmarkSequence(TIMES, "x", CLIPS[1]), "got body <U1"),  # type: ignore[arg-type]
    (lambda r, s: LandmarkSequence.from_frames([1]), "expected a Landmarks"),  # type: ignore[list-item]
    (lambda r, s: LandmarkSequence.from_frames(5), "expected an Iterable"),  # type: ignore[arg-type]
    (lambda r, s: LandmarkSequence.from_flat("x", fps=15.0), "expected numbers"),
    (lambda r, s: LandmarkSequence.from_flat([[1.0]], fps="15"), "fps '15' of type str"),  # type: ignore[arg-type]
    (lambda r, s: SourceConfig(backpressure="latest"), "expected one of Backpressure.LATEST"),  # type: ignore[arg-type]
    (lambda r, s: SourceConfig(slots=2.5), "slots 2.5 of type float, expected a whole number"),  # type: ignore[arg-type]
    (lambda r, s: SourceConfig(slots=True), "slots True of type bool, expected a whole number"),
    (lambda r, s: SourceConfig(max_age_s="1"), "expected a number"),  # type: ignore[arg-type]
    (lambda r, s: SourceConfig(max_age_s=None), "expected a number"),  # type: ignore[arg-type]
    (lambda r, s: SourceConfig(max_frames=1.0), "expected a whole number or None"),  # type: ignore[arg-type]
    (lambda r, s: SourceConfig(max_age_s=-(10**400)), "max_age_s -inf"),
    (lambda r, s: DecoderConfig(hop_s="0.1"), "hop_s '0.1' of type str"),  # type: ignore[arg-type]
    (lambda r, s: DecoderConfig(enter_threshold=True), "expected a number"),
    (lambda r, s: FeatureConfig(frames=24.0), "expected a whole number"),  # type: ignore[arg-type]
    (lambda r, s: FeatureConfig(modalities=("joint",)), "expected a list of one of Modality.JOINT"),  # type: ignore[arg-type]
    (lambda r, s: PeopleConfig(max_step="1"), "expected a number"),  # type: ignore[arg-type]
    (lambda r, s: BodyHandsConfig(max_persons=1.5), "expected a whole number"),  # type: ignore[arg-type]
]
OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"score_threshold": "0.5"}, "score_threshold '0.5' of type str, expected a number or None"),
    ({"score_threshold": True}, "score_threshold True of type bool, expected a number or None"),
    ({"score_threshold": np.zeros(2)}, "float64 [2] of type ndarray, expected a number"),
    ({"score_threshold": math.nan}, "score_threshold nan, expected 0 to 1"),
    ({"max_persons": 2.5}, "max_persons 2.5 of type float, expected a whole number"),
    ({"max_persons": True}, "max_persons True of type bool, expected a whole number"),
    ({"max_persons": None}, "max_persons None of type NoneType, expected a whole number"),
    ({"max_results": "3"}, "max_results '3' of type str, expected a whole number"),
    ({"label_allowlist": "left"}, "label_allowlist 'left' of type str, expected a list of text"),
    ({"label_denylist": [1]}, "expected a list of text or None"),
    ({"label_denylist": {"left": 1}}, "expected a list of text"),
    ({"min_keypoint_score": None}, "expected a number"),
    ({"decoder": {}}, "decoder 0 items of type dict, expected a DecoderConfig or None"),
]


@pytest.mark.parametrize(("call", "said"), WRONG, ids=[said[:50] for _, said in WRONG])
def test_a_value_of_another_type_is_refused(
    call: Refused, said: str, recognizer: Recognizer, recording: LandmarkSequence
) -> None:
    """InputError, in one line: got and expected."""
    with pytest.raises(InputError) as caught:
        call(recognizer, recording)
    text = str(caught.value)
    assert said in text
    assert "expected" in text and "got" in text
    assert text.isprintable() and len(text) < 400


@pytest.mark.parametrize(("named", "said"), OPTIONS, ids=lambda x: str(x)[:40])
def test_an_option_of_another_type_is_refused(named: dict[str, Any], said: str) -> None:
    """By name and as options, before a model is loaded."""
    for make in (lambda: RecognizerOptions(**named), lambda: Recognizer("asl-coffee", **named)):
        with pytest.raises(InputError, match="options: got") as caught:
            make()
        assert said in str(caught.value)


def test_numbers_of_numpy_and_lists_are_taken_as_what_they_are(recording: LandmarkSequence) -> None:
    """And kept as plain Python, so that a recording can store them."""
    options = RecognizerOptions(
        score_threshold=np.float32(0.5),  # type: ignore[arg-type]
        label_allowlist=["left"],  # type: ignore[arg-type]
        max_persons=np.int64(2),  # type: ignore[arg-type]
        min_keypoint_score=1,
    )
    assert type(options.score_threshold) is float and type(options.max_persons) is int
    assert options.label_allowlist == ("left",)
    assert type(options.min_keypoint_score) is float
    assert SourceConfig(max_age_s=math.inf).max_age_s == math.inf
    assert replace(SourceConfig(), backpressure=Backpressure.WAIT).backpressure is Backpressure.WAIT
    lists = (recording.timestamps_ms.tolist(), recording.body.tolist(), recording.hands.tolist())
    assert len(LandmarkSequence(*lists)) == len(recording)


def test_the_checker_takes_what_is_declared_and_nothing_else() -> None:
    """Unions, enums, fixed tuples and plain classes."""

    @dataclass(frozen=True)
    class Config:
        pair: tuple[int, str] = (1, "a")
        either: int | str | None = None
        flag: bool = False

        def __post_init__(self) -> None:
            check_fields(self, "config")

    globals()["Config"] = Config
    assert Config([2, "b"], "x", np.bool_(True)) == Config((2, "b"), "x", True)  # type: ignore[arg-type]
    assert Config(flag=np.bool_(False)).flag is False  # type: ignore[arg-type]
    for wrong in ({"pair": (1,)}, {"pair": (1, 2)}, {"either": 1.5}, {"flag": 1}):
        with pytest.raises(InputError, match="config: got"):
            Config(**wrong)
    assert typed(float | None, 3, "x") == 3.0
    assert as_path("a/b", "x") == Path("a/b")


def test_a_gesture_cannot_have_a_label_that_cannot_be_named(
    recognizer: Recognizer, recording: LandmarkSequence
) -> None:
    """A comma separates labels on command lines, a slash is a folder."""
    for label in ("no, thanks", "a/b", "", " a", ".a", "a\nb", "x" * 101):
        with pytest.raises(InputError, match=r"enroll: got .*expected"):
            recognizer.enroll(label, [recording] * 3)
