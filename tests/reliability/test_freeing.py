"""What was closed is freed at once, by reference counting: the collector may come much later."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bharsdk import Recognizer
from bharsdk.cameras.source_config import SourceConfig
from bharsdk.errors import BharError, SourceError
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recognition.results import Result
from bharsdk.sources.opening import open_source

from .conftest import KnownLandmarker, NumberedPictures, OverlappingLandmarker

TIMES = [100.0 * number for number in range(12)]


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Cycles stay: whatever is in one is not freed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Lost(NumberedPictures):
    """Pictures that end with an error."""

    def __iter__(self) -> Iterator[object]:  # type: ignore[override]
        yield from super().__iter__()
        raise SourceError("camera: stopped delivering pictures")


Parts = tuple[NumberedPictures, KnownLandmarker]


def _read_to_the_end(recognizer: Recognizer, pictures: NumberedPictures, found: object) -> object:
    run = recognizer.run(pictures, landmarker=found)  # type: ignore[arg-type]
    list(run)
    return run


def _left(recognizer: Recognizer, pictures: NumberedPictures, found: object) -> object:
    with recognizer.run(pictures, landmarker=found) as run:  # type: ignore[arg-type]
        next(run)
    return run


def _forgotten(recognizer: Recognizer, pictures: NumberedPictures, found: object) -> object:
    for _ in (run := recognizer.run(pictures, landmarker=found)):  # type: ignore[arg-type]
        break
    return run


def _failed(recognizer: Recognizer, pictures: NumberedPictures, found: object) -> object:
    lost = Lost(TIMES)
    run = recognizer.run(lost, landmarker=found)  # type: ignore[arg-type]
    with pytest.raises(SourceError):
        list(run)
    return run


def _failed_and_left(recognizer: Recognizer, pictures: NumberedPictures, found: object) -> object:
    """The error waits for somebody to ask for it, who does not come."""
    with recognizer.run(Lost(TIMES[:1]), landmarker=found) as run:  # type: ignore[arg-type]
        while run.counts.pending or not run.counts.captured:
            next(run)
    return run


def _broken(recognizer: Recognizer, pictures: NumberedPictures, found: object) -> object:
    found._fails = lambda number: True  # type: ignore[attr-defined]
    run = recognizer.run(pictures, landmarker=found)  # type: ignore[arg-type]
    with pytest.raises(SourceError):
        list(run)
    return run


def _called(recognizer: Recognizer, pictures: NumberedPictures, found: object) -> object:
    running = recognizer.start(pictures, lambda result: None, landmarker=found)
    running.join(60)
    running.close()
    return running


def _called_and_failed(recognizer: Recognizer, pictures: NumberedPictures, found: object) -> object:
    def fails(result: Result) -> None:
        raise ZeroDivisionError

    running = recognizer.start(pictures, fails, landmarker=found)
    with pytest.raises(ZeroDivisionError), running:
        running.join(60)
    return running


def _frames(recognizer: Recognizer, pictures: NumberedPictures, found: object) -> object:
    with open_source(pictures, found) as source:  # type: ignore[arg-type]
        next(iter(source))
    return source


USES = [_read_to_the_end, _left, _forgotten, _failed, _failed_and_left, _broken, _called]
USES += [_called_and_failed, _frames]


@pytest.mark.parametrize("kind", [KnownLandmarker, OverlappingLandmarker])
@pytest.mark.parametrize("use", USES)
def test_a_run_is_freed_as_soon_as_it_is_closed_and_let_go(
    recognizer: Recognizer,
    waving: LandmarkSequence,
    use: Callable[[Recognizer, NumberedPictures, object], object],
    kind: type[KnownLandmarker],
):
    """Run, source and landmarker, however it ended, with the collector switched off."""
    pictures, landmarker = NumberedPictures(TIMES), kind(waving)
    run = use(recognizer, pictures, landmarker)
    parts = [weakref.ref(run), weakref.ref(pictures), weakref.ref(landmarker)]
    del run, pictures, landmarker
    assert [part() for part in parts] == [None] * 3


def test_a_recognizer_is_freed_as_soon_as_it_is_let_go(
    presence_bundle: Path, waving: LandmarkSequence
):
    recognizer = Recognizer(presence_bundle)
    list(recognizer.run(waving))
    left = weakref.ref(recognizer), weakref.ref(recognizer._classifier)
    del recognizer
    assert [part() for part in left] == [None, None]


def test_what_a_run_that_cannot_start_had_opened_is_freed(
    recognizer: Recognizer, waving: LandmarkSequence, tmp_path: Path
):
    (tmp_path / "file").write_text("")
    pictures, landmarker = NumberedPictures(TIMES), KnownLandmarker(waving)
    with pytest.raises(BharError):
        recognizer.run(pictures, landmarker=landmarker, record=tmp_path / "file" / "a.bhar-session")
    assert pictures.closed == 1
    parts = weakref.ref(pictures), weakref.ref(landmarker)
    del pictures, landmarker
    assert [part() for part in parts] == [None, None]


def test_a_pipeline_that_is_forgotten_without_closing_ends(waving: LandmarkSequence):
    """Its threads do not hold it; a source of frames left alone releases its camera."""
    pictures = NumberedPictures(TIMES * 100, is_live=True)
    source = open_source(pictures, KnownLandmarker(waving), SourceConfig())
    next(iter(source))
    del source
    assert pictures.closed == 1


GRAPHS = """
import gc, sys, weakref
from pathlib import Path
gc.disable()
import numpy as np
import bharsdk.landmarkers.mediapipe_graph as graphs
from bharsdk import Recognizer
from bharsdk.landmarkers.body_hands import BodyHandsLandmarker
from bharsdk.landmarkers.mediapipe import HolisticLandmarker

def resident_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20

GRAY = np.full((48, 64, 3), 128, np.uint8)
alive = []

def landmarker():
    with BodyHandsLandmarker() as found:
        alive.append(weakref.ref(found._graph._running.graph))
        found.detect(GRAY, 0.0)
    assert alive[-1]() is None, "a graph outlives close()"

def holistic():
    with HolisticLandmarker() as found:
        alive.append(weakref.ref(found._holistic))
        found.detect(GRAY, 0.0)
    assert alive[-1]() is None, "Holistic outlives close()"

def run():
    recognizer = Recognizer("asl-coffee-prgcn", backend="native")
    with recognizer.run([(GRAY, 100.0 * n) for n in range(3)]) as results:
        list(results)

def fails():
    try:
        graphs.MediaPipeGraph(graphs.PROJECTION, outputs=["no such stream"])
    except Exception as error:
        assert "MediaPipe's graph failed" in str(error), error
    else:
        raise AssertionError("opened")

every, count = [landmarker, run, fails, holistic], int(sys.argv[1])
for use in every:  # what is loaded once
    use()
before_mb = resident_mb()
for number in range(count):
    every[number % len(every)]()
print(f"{resident_mb() - before_mb:.1f}")
"""


def _grown_mb(openings: int) -> float:
    pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
    done = subprocess.run(
        [sys.executable, "-c", GRAPHS, str(openings)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    print(f"{openings} openings: {float(done.stdout):+.1f} MB")
    return float(done.stdout)


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc"
)


@needs_proc
def test_mediapipe_s_graphs_are_freed_as_they_are_closed():
    """A graph is a hundred megabytes, and so is what its threads' heaps would keep of it."""
    assert _grown_mb(8) < 30


@needs_proc
@pytest.mark.long
def test_200_openings_grow_by_less_than_30_mb_without_a_collector():
    """Runs, landmarkers and recognizers of the real MediaPipe, and graphs that fail to open."""
    assert _grown_mb(200) < 30
