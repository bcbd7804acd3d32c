"""Find the clips in folders of labels: videos by their content, and folders of pictures.

Everything that is no clip is reported with its reason. Only hidden files and what file managers
leave (``.DS_Store``, ``Thumbs.db``) are passed over in silence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bharsdk.cameras.file_kind import FileKind, is_junk, kind_of
from bharsdk.cameras.picture_folder import natural_order, pictures_in
from bharsdk.errors import InputError, UsageError
from bharsdk.recordings.session_file import SUFFIX
from bharsdk.values.labels import check_label

__all__ = ["LAYOUT", "VIDEO_SUFFIXES", "Found", "Job", "LeftOut", "find_videos"]

VIDEO_SUFFIXES = frozenset(
    {
        *(".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv"),
        *(".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"),
    }
)
"""A file of such a name is meant as a video, whatever is in it."""
LAYOUT = "<label>/<video>, or <label>/<clip>/<pictures>"
KNOWN_FILES = frozenset({"ranges.csv"})
"""Beside the labels' folders, and no clip: which parts of the videos count."""
NUMBERED = re.compile(r"(.*?)[0-9]+")


@dataclass(frozen=True)
class Job:
    """One clip and the label of what it shows.

    video: a file, or a folder of pictures. is_certain: False where only opening the file tells
    whether it is a video.
    """

    video: Path
    label: str
    is_certain: bool = True

    def output(self, out: Path) -> Path:
        """Return where its landmarks go, below ``out``."""
        name = self.video.name if self.video.is_dir() else self.video.stem
        return out / self.label / (name + SUFFIX)


@dataclass(frozen=True)
class LeftOut:
    """A file that is no clip, and why."""

    path: Path
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


@dataclass(frozen=True)
class Found:
    """The clips, the files that are none, and every label that has a folder or was given."""

    jobs: tuple[Job, ...]
    left_out: tuple[LeftOut, ...] = ()
    labels: tuple[str, ...] = ()


def find_videos(paths: Sequence[Path], label: str | None = None) -> Found:
    """Return the clips at ``paths``: folders of labels, or single clips of ``label``.

    Raises:
        InputError: a path is missing or holds no clip, the name of a folder is no label, or two
            clips would be written to one place.
        UsageError: label and kind of path do not fit.
    """
    if label is not None:
        try:
            check_label(label, "label")
        except InputError as error:
            raise UsageError(str(error)) from None
    found: list[Found] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder, expected clips in {LAYOUT}")
        if label is None:
            found.append(_in_labels(path))
        else:
            found.append(Found((_given(path, label),), (), (label,)))
    jobs = tuple(job for part in found for job in part.jobs)
    kept, doubled = _without_doubles(jobs)
    return Found(
        kept,
        (*(one for part in found for one in part.left_out), *doubled),
        tuple(dict.fromkeys(name for part in found for name in part.labels)),
    )


def _given(path: Path, label: str) -> Job:
    if path.is_dir() and not pictures_in(path)[0]:
        raise UsageError(
            f"{path}: got a folder with --label and no picture in it, expected {LAYOUT}, or"
            " files or folders of pictures and their --label"
        )
    return Job(path, label)


def _in_labels(root: Path) -> Found:
    """The clips of a folder of labels."""
    if not root.is_dir():
        raise UsageError(
            f"{root}: got a file without --label, expected {LAYOUT}, or files and their --label"
        )
    jobs: list[Job] = []
    left_out: list[LeftOut] = []
    labels: list[str] = []
    for path in _entries(root):
        if path.name in KNOWN_FILES:
            continue
        if path.is_dir():
            label = check_label(path.name, str(path))
            labels.append(label)
            found = _in_label(path, label)
            jobs += found.jobs
            left_out += found.left_out
        else:
            certainty = _is_video(path)
            if certainty is True:
                raise InputError(f"{path}: got a video outside a label's folder, expected {LAYOUT}")
            why = "outside a label's folder" if certainty is None else certainty
            left_out.append(LeftOut(path, str(why)))
    if not jobs:
        some = f" ({left_out[0]})" if left_out else ""
        raise InputError(f"{root}: got no videos, expected {LAYOUT}{some}")
    return Found(tuple(jobs), tuple(left_out), tuple(labels))


def _in_label(folder: Path, label: str) -> Found:
    """The clips of one label."""
    jobs: list[Job] = []
    left_out: list[LeftOut] = []
    pictures: list[Path] = []
    for path in _entries(folder):
        if path.is_dir():
            if pictures_in(path)[0]:
                jobs.append(Job(path, label))
                others = pictures_in(path)[1]
                left_out += [LeftOut(other, "no picture, in a folder of them") for other in others]
            else:
                left_out.append(LeftOut(path, _why_no_clip(path)))
            continue
        certainty = _is_video(path)
        if certainty is FileKind.PICTURE:
            pictures.append(path)
        elif isinstance(certainty, str):
            left_out.append(LeftOut(path, certainty))
        else:
            jobs.append(Job(path, label, is_certain=certainty is True))
    if pictures and _are_one_clip(pictures):
        jobs.append(Job(folder, label))
    else:
        why = f"a picture by itself, expected the pictures of a clip in {folder.name}/<clip>/"
        left_out += [LeftOut(path, why) for path in pictures]
    return Found(tuple(jobs), tuple(left_out))


def _entries(folder: Path) -> list[Path]:
    try:
        return natural_order(path for path in folder.iterdir() if not is_junk(path))
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be read ({error.strerror}), expected a folder of clips"
        ) from error


def _is_video(path: Path) -> FileKind | str | bool | None:
    """True: for certain. None: only opening it tells. Text: why not. PICTURE: it is one."""
    if path.name.endswith(SUFFIX):
        return "a recorded session, which needs no extracting: copy it to the clips"
    if path.is_symlink() and not path.exists():
        return "a link to a file that is not there"
    if not path.is_file():
        return "no regular file"
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return True
    try:
        kind = kind_of(path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if kind.is_video:
        return True
    match kind:
        case FileKind.PICTURE:
            return kind
        case FileKind.UNKNOWN:
            return None
        case FileKind.HEIF:
            return f"{kind.value}, which OpenCV does not read: save it as JPEG"
        case _:
            return f"{kind.value}, no video"


def _why_no_clip(folder: Path) -> str:
    files = sum(len(names) for _, _, names in os.walk(folder))
    if files == 0:
        return "an empty folder"
    return (
        f"a folder inside a label's, with {files} files and no picture right in it, expected"
        f" {LAYOUT}: move its videos up"
    )


def _are_one_clip(pictures: Sequence[Path]) -> bool:
    """Whether pictures right in a label's folder are numbered frames: ``f_001.jpg``, ``f_002``."""
    begins = {m[1] if (m := NUMBERED.fullmatch(p.stem)) else None for p in pictures}
    return len(pictures) > 1 and len(begins) == 1 and None not in begins


def _without_doubles(jobs: Sequence[Job]) -> tuple[tuple[Job, ...], list[LeftOut]]:
    """Those with a place of their own. Raises InputError where two videos would share one."""
    taken: dict[Path, Job] = {}
    kept: list[Job] = []
    doubled: list[LeftOut] = []
    for job in sorted(jobs, key=lambda job: not job.is_certain):
        place = job.output(Path())
        other = taken.setdefault(place, job)
        if other.video == job.video:
            kept.append(job)
        elif job.is_certain:
            raise InputError(
                f"{job.video}: would be written to {place}, as {other.video} is, expected names of"
                " their own: rename one"
            )
        else:
            doubled.append(LeftOut(job.video, f"of an unknown kind, beside {other.video.name}"))
    order = {id(job): number for number, job in enumerate(jobs)}
    return tuple(sorted(kept, key=lambda job: order[id(job)])), doubled
