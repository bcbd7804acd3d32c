"""A landmarker that fails is never silent: single pictures are warnings, all of them an error."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from bharsdk import Recognizer
from bharsdk.errors import BackendMissingError, BharError, InputError, SourceError
from bharsdk.events import DropCause
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.sources.opening import open_source
from bharsdk.values.image import Image

from .conftest import KnownLandmarker, NumberedPictures, OverlappingLandmarker, number_of

VIDEO = Path(__file__).parents[2] / "examples/data/videos/yo_001.mp4"


class FailsToBegin(OverlappingLandmarker):
    """send() fails where detect() would, receive() never does."""

    def send(self, image: Image, timestamp_ms: float) -> None:
        if self._fails(number_of(image)):
            raise RuntimeError(f"graph broke on picture {number_of(image)}")
        super().send(image, timestamp_ms)

    def detect(self, image: Image, timestamp_ms: float) -> tuple[Landmarks, ...]:
        fails, self._fails = self._fails, lambda number: False
        try:
            return super().detect(image, timestamp_ms)
        finally:
            self._fails = fails


class FailsToEnd(OverlappingLandmarker):
    """receive() fails, and the picture is lost as MediaPipe's are."""

    def receive(self) -> tuple[Landmarks, ...]:
        with self._lock:
            image, timestamp_ms = self._sent.pop(0)
        return self.detect(image, timestamp_ms)


KINDS = [KnownLandmarker, FailsToBegin, FailsToEnd]


def _failing(
    kind: type[KnownLandmarker], waving: LandmarkSequence, fails: Callable[[int], bool]
) -> KnownLandmarker:
    landmarker = kind(waving)
    landmarker._fails = fails
    return landmarker


def _times(count: int) -> list[float]:
    return [number * 1000 / 15 for number in range(count)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 3, 9])
def test_a_source_that_ends_without_one_success_is_an_error(
    recognizer: Recognizer, waving: LandmarkSequence, kind: type[KnownLandmarker], count: int
):
    """Too few pictures for ten failures in a row: no result, and the reason of the last one."""
    landmarker = _failing(kind, waving, lambda number: True)
    run = recognizer.run(NumberedPictures(_times(count)), landmarker=landmarker)
    with pytest.raises(SourceError, match=rf"all {count} pictures.*RuntimeError: graph broke"):
        list(run)
    assert run.counts.dropped == {DropCause.FAILED: count}
    assert run.counts.pending == 0
    with pytest.raises(SourceError, match="graph broke"):
        recognizer.recognize_clip(NumberedPictures(_times(count)), landmarker=landmarker)
    frames = open_source(NumberedPictures(_times(count)), landmarker)
    with frames, pytest.raises(SourceError, match="graph broke"):
        list(frames)


@pytest.mark.parametrize("kind", KINDS)
def test_ten_failures_in_a_row_are_an_error_whichever_call_fails(
    recognizer: Recognizer, waving: LandmarkSequence, kind: type[KnownLandmarker]
):
    landmarker = _failing(kind, waving, lambda number: number >= 5)
    run = recognizer.run(NumberedPictures(_times(100)), landmarker=landmarker)
    frames = []
    with pytest.raises(SourceError, match="10 pictures in a row"):
        frames.extend(result.frame_number for result in run if not result.is_final)
    assert frames == [0, 1, 2, 3, 4]
    counts = run.counts
    assert counts.pending == 0
    assert counts.dropped[DropCause.FAILED] == 10


def test_failures_of_send_and_receive_in_turn_count_together(
    recognizer: Recognizer, waving: LandmarkSequence
):
    class FailsInTurn(FailsToEnd):
        def send(self, image: Image, timestamp_ms: float) -> None:
            if number_of(image) % 2:
                raise RuntimeError("odd")
            super().send(image, timestamp_ms)

    landmarker = _failing(FailsInTurn, waving, lambda number: True)
    with pytest.raises(SourceError, match="10 pictures in a row"):
        list(recognizer.run(NumberedPictures(_times(100)), landmarker=landmarker))


@pytest.mark.parametrize("kind", KINDS)
def test_single_failures_are_warnings_and_counted(
    recognizer: Recognizer,
    waving: LandmarkSequence,
    kind: type[KnownLandmarker],
    caplog: pytest.LogCaptureFixture,
):
    landmarker = _failing(kind, waving, lambda number: number in (3, 11))
    with recognizer.run(NumberedPictures(_times(20)), landmarker=landmarker) as run:
        frames = [result.frame_number for result in run if not result.is_final]
    assert frames == [number for number in range(20) if number not in (3, 11)]
    assert run.counts.dropped == {DropCause.FAILED: 2}
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [text.split(":")[1].split(",")[0].strip() for text in said] == [
        "failed on picture 3 of numbered",
        "failed on picture 11 of numbered",
    ]


def test_many_single_failures_do_not_fill_a_log(
    recognizer: Recognizer, waving: LandmarkSequence, caplog: pytest.LogCaptureFixture
):
    landmarker = KnownLandmarker(waving, fails=lambda number: number % 2 == 1)
    with recognizer.run(NumberedPictures(_times(128)), landmarker=landmarker) as run:
        list(run)
    assert run.counts.dropped == {DropCause.FAILED: 64}
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 7


def test_an_error_of_ours_keeps_its_class(recognizer: Recognizer, waving: LandmarkSequence):
    """What is not installed is exit code 8 and not 9, whoever found it missing."""

    class Missing(KnownLandmarker):
        def detect(self, image: Image, timestamp_ms: float) -> tuple[Landmarks, ...]:
            raise BackendMissingError("run  pip install onnx")

    with pytest.raises(BackendMissingError, match=r"all 3 pictures.*pip install onnx"):
        list(recognizer.run(NumberedPictures(_times(3)), landmarker=Missing(waving)))


def test_enrollment_from_videos_says_it_too(recognizer: Recognizer, waving: LandmarkSequence):
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    landmarker = KnownLandmarker(waving, fails=lambda number: True)
    with pytest.raises(SourceError, match=r"in a row of .*yo_001\.mp4.*graph broke"):
        recognizer.enroll("wave", [f"{VIDEO}@{s}-{s + 1}" for s in range(3)], landmarker=landmarker)


class Gives:
    """A landmarker of somebody who did not read what detect() returns."""

    def __init__(self, found: object) -> None:
        self._found = found

    def detect(self, image: Image, timestamp_ms: float) -> Sequence[Landmarks]:
        return self._found  # type: ignore[return-value]

    def close(self) -> None: ...


class GivesLater(Gives):
    depth = 1

    def send(self, image: Image, timestamp_ms: float) -> None: ...

    def receive(self) -> Sequence[Landmarks]:
        return self._found  # type: ignore[return-value]


@pytest.mark.parametrize("kind", [Gives, GivesLater])
@pytest.mark.parametrize(
    ("found", "got"),
    [
        (None, "gave None"),
        (Landmarks.empty(0.0), "gave Landmarks"),
        ({"pose": 1}, "gave dict"),
        ([np.zeros((33, 4))], "gave a list that holds ndarray"),
        ((None,), "gave a tuple that holds None"),
        (np.zeros((33, 4)), "gave ndarray"),
    ],
)
def test_what_is_no_landmarks_says_what_was_got_and_expected(
    recognizer: Recognizer, kind: type[Gives], found: object, got: str
):
    run = recognizer.run(NumberedPictures(_times(5)), landmarker=kind(found))
    with pytest.raises(InputError, match=f"{got}, expected a sequence of Landmarks"):
        list(run)
    assert run.counts.pending == 0


@pytest.mark.parametrize("wrong", [b"mediapipe", 3, dict])
def test_what_is_no_landmarker_is_refused_before_anything_is_opened(
    recognizer: Recognizer, wrong: object
):
    pictures = NumberedPictures(_times(5))
    for use in (recognizer.run, open_source):
        with pytest.raises(InputError, match=r"expected an object with detect\(image"):
            use(pictures, landmarker=wrong)  # type: ignore[operator]


PROGRAM = """
import logging, sys
import numpy as np
from bharsdk import Recognizer
from bharsdk.landmarks.landmarks import Landmarks
{setup}
class Sometimes:
    def detect(self, image, timestamp_ms):
        if timestamp_ms == 300:
            raise RuntimeError("out of luck")
        return ()
    def close(self): ...
pictures = [(np.zeros((36, 64, 3), np.uint8), 100.0 * n) for n in range(6)]
recognizer = Recognizer("asl-coffee-prgcn", backend="native")
results = list(recognizer.run(pictures, landmarker=Sometimes()))
assert len(results) == 5
def fails(result):
    raise ZeroDivisionError("in the callback")
import time
running = recognizer.start([Landmarks.empty(0.0)], fails)
while running.run.status.state.name != "ENDED" or running._thread.is_alive():
    time.sleep(0.005)
"""


@pytest.mark.parametrize("setup", ["", "logging.basicConfig()"], ids=["nothing", "configured"])
def test_warnings_and_errors_reach_a_user_once_who_configured_logging_or_not(setup: str):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(setup=setup)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.count("failed on picture 3") == 1
    assert done.stderr.count("the run has ended with an error of its callback") == 1
    assert done.stderr.count("ZeroDivisionError: in the callback") == 1
    assert "Traceback" in done.stderr
    assert ("WARNING:bharsdk:" in done.stderr) == bool(setup)


def test_a_command_shows_a_warning_once_as_its_own_line(capsys: pytest.CaptureFixture[str]):
    from bharsdk.cli.exit_codes import exit_code_of

    def work() -> int:
        logging.getLogger("bharsdk").warning("landmarker: failed on picture %d", 7)
        logging.getLogger("bharsdk").error("recording: stopped")
        logging.getLogger("bharsdk").info("nothing to see")
        return 0

    assert exit_code_of(work, "bhar") == 0
    assert capsys.readouterr().err.splitlines() == [
        "bhar: warning: landmarker: failed on picture 7",
        "bhar: error: recording: stopped",
    ]
    logger = logging.getLogger("bharsdk")
    assert logger.propagate
    assert not logger.handlers, "who runs a command in a program gets the logging back"


def test_bhar_run_says_what_failed_once(
    monkeypatch: pytest.MonkeyPatch,
    waving: LandmarkSequence,
    presence_bundle: Path,
    capsys: pytest.CaptureFixture[str],
):
    pytest.importorskip("cv2", reason="needs the extra 'camera'")
    from bharsdk.cli import main

    landmarker = KnownLandmarker(waving, fails=lambda number: number == 2)
    monkeypatch.setattr("bharsdk.recognizer.opened_landmarker", lambda *_: (landmarker, True))
    landmarker.detect = _by_order(landmarker)  # type: ignore[method-assign]
    arguments = ["run", str(VIDEO), "--model", str(presence_bundle), "--max-frames", "6"]
    assert main(arguments) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "picture 2" in line] == lines
    assert lines[0].startswith("bhar: warning: landmarker: failed on picture 2")


def _by_order(landmarker: KnownLandmarker) -> Callable[[Image, float], tuple[Landmarks, ...]]:
    """Real pictures carry no number: count them."""
    from .conftest import picture_of

    numbers = iter(range(10_000))
    find = landmarker.detect
    return lambda image, timestamp_ms: find(picture_of(next(numbers)), timestamp_ms)


def test_every_error_of_a_landmarker_is_one_line(recognizer: Recognizer, waving: LandmarkSequence):
    class Chatty(KnownLandmarker):
        def detect(self, image: Image, timestamp_ms: float) -> tuple[Landmarks, ...]:
            raise ValueError("first line\n  second line")

    with pytest.raises(BharError) as caught:
        list(recognizer.run(NumberedPictures(_times(2)), landmarker=Chatty(waving)))
    assert "\n" not in str(caught.value)
    assert "first line second line" in str(caught.value)
