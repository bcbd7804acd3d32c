"""Videos -> recorded landmark sessions that ``bhar-train fit`` reads, several videos at a time.

Every video gets a landmarker of its own, so its landmarks do not depend on which videos went
before. The processes only read and detect; this one writes, each session under a temporary name
until it is whole. A video that is already there is skipped, so an interrupted run goes on where it
stopped.
"""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from tqdm import tqdm

from bharsdk.errors import BackendMissingError, BharError, InputError, UsageError
from bharsdk.landmarks import LandmarkSequence
from bharsdk.sources import open_source
from bharsdk.sources.session import Session
from bharsdk.sources.session_file import SUFFIX, save_session

__all__ = ["VIDEO_SUFFIXES", "Job", "Summary", "extract", "find_videos"]

VIDEO_SUFFIXES = frozenset({".avi", ".mkv", ".mov", ".mp4", ".webm"})
LAYOUT = "<label>/<video> ({})".format(", ".join(sorted(s[1:] for s in VIDEO_SUFFIXES)))


@dataclass(frozen=True)
class Job:
    """One video and the label of what it shows."""

    video: Path
    label: str

    def output(self, out: Path) -> Path:
        """Where its landmarks go, below ``out``."""
        return out / self.label / (self.video.stem + SUFFIX)


@dataclass(frozen=True)
class Summary:
    """What became of the videos. failures: (video, reason)."""

    written: int
    skipped: int
    failures: tuple[tuple[Path, str], ...]


def find_videos(paths: Sequence[Path], label: str | None = None) -> list[Job]:
    """The videos at ``paths``: folders ``<label>/<video>``, or with a ``label`` single files.

    Raises InputError naming a path that is missing or holds no video, and two videos that would be
    written to one place; UsageError when label and kind of path do not fit.
    """
    if label is not None and (Path(label).name != label or label[:1] in ("", ".")):
        raise UsageError(f"label: got {label!r}, expected a name that can be a folder")
    jobs: list[Job] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder, expected videos in {LAYOUT}")
        if path.is_dir() != (label is None):
            kind = "a file without --label" if label is None else "a folder with --label"
            raise UsageError(f"{path}: got {kind}, expected {LAYOUT}, or files and their --label")
        jobs += _in_folder(path) if label is None else [Job(path, label)]
    taken: dict[Path, Path] = {}
    for job in jobs:
        other = taken.setdefault(job.output(Path()), job.video)
        if other != job.video:
            raise InputError(
                f"{job.video}: would be written to {job.output(Path())}, as {other} is, expected"
                " names of their own: rename one"
            )
    return jobs


def _in_folder(path: Path) -> list[Job]:
    loose = _videos(path)
    if loose:
        raise InputError(f"{loose[0]}: got a video outside a label's folder, expected {LAYOUT}")
    labels = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    jobs = [Job(video, label.name) for label in labels for video in _videos(label)]
    if not jobs:
        raise InputError(f"{path}: got no videos, expected {LAYOUT}")
    return jobs


def _videos(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file()
        and path.suffix.lower() in VIDEO_SUFFIXES
        and not path.name.startswith(".")
    )


def extract(jobs: Sequence[Job], out: Path, *, processes: int | None = None) -> Summary:
    """Find the landmarks of every video and write ``out/<label>/<stem>.bhar-session``.

    processes: default, as many as there are cores. A video that cannot be used (damaged, no person
    in it) is reported on stderr and skipped. Raises BackendMissingError without MediaPipe.
    """
    _require_camera_packages()
    todo = [job for job in jobs if not job.output(out).exists()]
    count = min(processes or os.cpu_count() or 1, len(todo))
    failures: list[tuple[Path, str]] = []
    with tqdm(total=len(todo), desc="extract", unit="video", disable=not todo) as bar:
        for job, result in _results(todo, count):
            if isinstance(result, BackendMissingError):
                raise result
            if isinstance(result, BharError):
                failures.append((job.video, str(result)))
                bar.write(f"bhar-train: skipped: {result}", file=sys.stderr)
            else:
                save_session(
                    job.output(out), Session(result, note=f"landmarks of {job.video.name}")
                )
            bar.update()
    return Summary(len(todo) - len(failures), len(jobs) - len(todo), tuple(failures))


def _require_camera_packages() -> None:
    for module in ("mediapipe", "cv2"):
        if importlib.util.find_spec(module) is None:
            raise BackendMissingError.for_extra(module, "camera")


class _Worker:
    """A process that takes one video after another."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
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
    todo: Sequence[Job], processes: int
) -> Iterator[tuple[Job, LandmarkSequence | BharError]]:
    """Every job with what came of it, in the order in which they finish."""
    waiting = list(reversed(todo))
    workers: list[_Worker] = []
    try:
        for _ in range(processes):
            workers.append(_Worker())
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
                        worker = _Worker()
                        workers.append(worker)
                    worker.give(waiting.pop())
                yield finished
    finally:
        for worker in workers:
            worker.stop()


def _serve(connection: Connection) -> None:
    """The process: answer each path with its landmarks, until the other end is closed."""
    with contextlib.suppress(EOFError):
        while True:
            connection.send(_landmarks(connection.recv()))


def _landmarks(video: Path) -> LandmarkSequence | BharError:
    try:
        with open_source(video) as source:
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
