"""Clips -> recorded landmark sessions that ``bhar-train fit`` reads, several clips at a time.

Every video gets a landmarker of its own, so its landmarks do not depend on which videos went
before. The processes only read and detect; this one writes, each session under a temporary name
until it is whole. A video that is already there is skipped, so an interrupted run goes on where it
stopped.
"""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from bhar_training.console.progress import progress_bar
from bhar_training.data.clip_files import VIDEO_SUFFIXES, Job, LeftOut, find_videos
from bhar_training.data.looks import Look
from bhar_training.data.ranges import Ranges, read_ranges
from bharsdk.cameras.file_kind import FileKind
from bharsdk.cameras.opencv import import_cv2
from bharsdk.cameras.picture_folder import DEFAULT_FPS, PictureFolder
from bharsdk.errors import BackendMissingError, BharError, InputError
from bharsdk.landmarkers.registry import (
    DEFAULT_LANDMARKER,
    LandmarkerLike,
    check_choice,
    check_packages,
)
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recordings.session import Session
from bharsdk.recordings.session_file import save_session
from bharsdk.sources.opening import open_source

__all__ = ["VIDEO_SUFFIXES", "Job", "Summary", "extract", "find_videos"]


@dataclass(frozen=True)
class Summary:
    """What became of the clips.

    failures: (video, reason). left_out: files of an unknown kind that turned out to be no video.
    looks: at each clip written.
    """

    written: int
    skipped: int
    failures: tuple[tuple[Path, str], ...]
    left_out: tuple[LeftOut, ...] = ()
    looks: tuple[Look, ...] = ()


def extract(
    jobs: Sequence[Job],
    out: Path,
    *,
    processes: int | None = None,
    fps: float = DEFAULT_FPS,
    landmarker: LandmarkerLike = DEFAULT_LANDMARKER,
) -> Summary:
    """Find the landmarks of every clip and write ``out/<label>/<name>.bhar-session``.

    processes: default, as many as there are cores. fps: of folders of pictures. landmarker: a name,
    opened anew for every video, or an object; an object must be picklable, and every video gets a
    copy. A video that cannot
    be used (damaged, no person in it) is reported on stderr and skipped; one in which nothing
    happens is written, with a warning. A ``ranges.csv`` beside the labels' folders says which parts
    of its videos count. Raises BackendMissingError without MediaPipe, InputError naming the line of
    a range of no video, and when a clip cannot be written.
    """
    check_choice(landmarker)
    _require_camera_packages(landmarker)
    ranges = _ranges_of(jobs)
    todo = [job for job in jobs if not job.output(out).exists()]
    count = min(processes or os.cpu_count() or 1, len(todo))
    failures: list[tuple[Path, str]] = []
    left_out: list[LeftOut] = []
    looks: list[Look] = []
    with progress_bar(total=len(todo), shown=bool(todo), desc="extract", unit="video") as bar:
        for job, result in _results(todo, count, fps, landmarker):
            if isinstance(result, BackendMissingError):
                raise result
            made = result if isinstance(result, BharError) else _session(job, result, ranges)
            if isinstance(result, BharError) and not job.is_certain:
                left_out.append(LeftOut(job.video, f"{FileKind.UNKNOWN.value}, no video"))
            elif isinstance(made, BharError):
                failures.append((job.video, str(made)))
                bar.write(f"bhar-train: skipped: {made}", file=sys.stderr)
            else:
                try:
                    save_session(job.output(out), made)
                except InputError as error:
                    kept = f"{len(looks)} clips of this call are whole, the same command goes on"
                    raise InputError(f"{error}; {kept}") from error
                looks.append(Look.at(made.sequence, job.label, job.video))
                if looks[-1].is_empty:
                    bar.write(f"bhar-train: warning: {looks[-1].warning}", file=sys.stderr)
            bar.update()
    looks.sort(key=lambda look: (look.label, look.video))
    skipped = len(jobs) - len(todo)
    return Summary(len(looks), skipped, tuple(failures), tuple(left_out), tuple(looks))


def _ranges_of(jobs: Sequence[Job]) -> dict[Path, Ranges]:
    """Data folder -> the ranges of its videos, all of which there are."""
    folders: dict[Path, list[Path]] = {}
    for job in jobs:
        if job.video.parent.name == job.label:
            folders.setdefault(job.video.parent.parent, []).append(job.video)
    found = {folder: read_ranges(folder) for folder in folders}
    for folder, ranges in found.items():
        ranges.check_clips(folders[folder])
    return found


def _session(
    job: Job, sequence: LandmarkSequence, ranges: dict[Path, Ranges]
) -> Session | BharError:
    """What is written of a video; the error of a range that it does not have."""
    known = ranges.get(job.video.parent.parent) if job.video.parent.name == job.label else None
    try:
        truth = () if known is None else known.truth(job.video, job.label, sequence)
    except InputError as error:
        return error
    return Session(sequence, truth, note=f"landmarks of {job.video.name}")


def _require_camera_packages(landmarker: LandmarkerLike) -> None:
    if isinstance(landmarker, str):
        check_packages(landmarker)
    else:
        import_cv2()


class _Worker:
    """A process that takes one video after another."""

    def __init__(self, fps: float, landmarker: LandmarkerLike) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, fps, landmarker), daemon=True)
        with _interrupts_ignored():
            self._process.start()
        theirs.close()
        self.job: Job | None = None

    def give(self, job: Job) -> None:
        """Send it a video."""
        self.job = job
        self.connection.send(job.video)

    def take(self) -> tuple[Job, LandmarkSequence | BharError]:
        """The video that is done, and its landmarks or what was wrong with it."""
        job, self.job = self.job, None
        assert job is not None
        try:
            result: LandmarkSequence | BharError = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            result = InputError(f"{job.video}: crashed the decoder or MediaPipe (exit code {code})")
        return job, result

    @property
    def alive(self) -> bool:
        """Whether it can take another video."""
        return self._process.is_alive()

    def stop(self) -> None:
        """End it, also in the middle of a video: it has nothing half-written."""
        self._process.terminate()
        self._process.join()
        self.connection.close()


def _results(
    todo: Sequence[Job], processes: int, fps: float, landmarker: LandmarkerLike
) -> Iterator[tuple[Job, LandmarkSequence | BharError]]:
    """Every job with what came of it, in the order in which they finish."""
    waiting = list(reversed(todo))
    workers: list[_Worker] = []
    try:
        for _ in range(processes):
            workers.append(_Worker(fps, landmarker))
            workers[-1].give(waiting.pop())
        while any(worker.job for worker in workers):
            busy = {worker.connection: worker for worker in workers if worker.job}
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                worker = busy[connection]
                finished = worker.take()
                if waiting:
                    if not worker.alive:
                        workers.remove(worker)
                        worker.stop()
                        worker = _Worker(fps, landmarker)
                        workers.append(worker)
                    worker.give(waiting.pop())
                yield finished
    finally:
        for worker in workers:
            worker.stop()


def _serve(connection: Connection, fps: float, landmarker: LandmarkerLike) -> None:
    """The process: answer each path with its landmarks, until the other end is closed."""
    with contextlib.suppress(EOFError):
        while True:
            connection.send(_landmarks(connection.recv(), fps, copy.deepcopy(landmarker)))


def _landmarks(video: Path, fps: float, landmarker: LandmarkerLike) -> LandmarkSequence | BharError:
    try:
        # What in a folder is no picture was named when the clips were looked for.
        clip = PictureFolder(video, fps, warns=False) if video.is_dir() else video
        with open_source(clip, landmarker) as source:
            return LandmarkSequence.from_frames(frame.landmarks for frame in source)
    except BharError as error:
        return error
    except Exception as error:  # whatever OpenCV or MediaPipe raise: one file must not end the run
        first = (str(error).splitlines() or [""])[0]
        return InputError(f"{video}: cannot be used ({type(error).__name__}: {first})")


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A process started here inherits that it ignores Ctrl-C: this one ends it instead."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread, which alone may ask; Ctrl-C is not ours then
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
