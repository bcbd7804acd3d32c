"""Read time ranges that a user gives: which part of a recording shows the sign.

``ranges.csv`` lies in the folder of recordings and has a line for each part that counts::

    clip,start_s,end_s
    thanks/w1.bhar-session,1.5,3.0
    thanks/long.bhar-session,4.0,5.4
    thanks/long.bhar-session,7.2,8.5

clip is relative to the folder; the suffix may be left out. Times are seconds from the first frame.
A recording that is not named counts whole, and one that is named twice gives two clips. The true
events of a session count in the same way; ``bhar-train extract`` writes them for videos with a
``ranges.csv``. An ``.npz`` has its ranges in arrays ``start_s`` and ``end_s``, NaN for a whole
clip.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_RANGES_BYTES
from bharsdk.landmarks.action import check_range, part_of
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recordings.session import Session, TrueEvent

__all__ = ["RANGES_FILE", "Ranges", "parts_of_arrays", "read_ranges"]

RANGES_FILE = "ranges.csv"
COLUMNS = ["clip", "start_s", "end_s"]


@dataclass(frozen=True)
class _Range:
    """where: the file and line that say so."""

    start_s: float
    end_s: float
    where: str


@dataclass(frozen=True, eq=False)
class Ranges:
    """What the ``ranges.csv`` of a folder says; empty where there is none."""

    folder: Path
    by_clip: Mapping[str, tuple[_Range, ...]] = field(default_factory=dict)

    def parts(
        self, clip: Path, label: str, recording: Session | LandmarkSequence
    ) -> list[LandmarkSequence]:
        """Return the parts of ``recording``, read from ``clip``, that count.

        Raises InputError naming the line of a range that the recording does not have.
        """
        found = self._of(clip)
        sequence = recording.sequence if isinstance(recording, Session) else recording
        if found:
            return [part_of(sequence, r.start_s, r.end_s, r.where) for r in found]
        first_ms = float(sequence.timestamps_ms[0])
        told = recording.truth if isinstance(recording, Session) else ()
        times = [
            (max(0.0, event.start_ms - first_ms) / 1000, (event.end_ms - first_ms) / 1000)
            for event in told
            if event.label == label
        ]
        where = f"{clip}: {label!r} in its truth"
        return [part_of(sequence, *each, where) for each in times] or [sequence]

    def truth(self, clip: Path, label: str, sequence: LandmarkSequence) -> tuple[TrueEvent, ...]:
        """Return the ranges of ``clip`` as events of a session; raises as :meth:`parts` does."""
        first_ms = float(sequence.timestamps_ms[0])
        for each in self._of(clip):
            part_of(sequence, each.start_s, each.end_s, each.where)
        return tuple(
            TrueEvent(label, first_ms + 1000 * each.start_s, first_ms + 1000 * each.end_s)
            for each in self._of(clip)
        )

    def check_clips(self, clips: Iterable[Path]) -> None:
        """Raise InputError, naming the line, when one names none of ``clips``."""
        known = {name for clip in clips for name in self._names(clip)}
        for name, (first, *_) in self.by_clip.items():
            if name not in known:
                raise InputError(
                    f"{first.where}: got {name!r}, expected a recording in {self.folder}, as"
                    " <label>/<name>"
                )

    def _of(self, clip: Path) -> tuple[_Range, ...]:
        found = [r for name in self._names(clip) for r in self.by_clip.get(name, ())]
        return tuple(sorted(found, key=lambda each: each.start_s))

    def _names(self, clip: Path) -> list[str]:
        name = clip.relative_to(self.folder)
        # A folder's name has no suffix: sequence 1.5 is not sequence 1.
        bare = [] if clip.is_dir() else [name.with_suffix("").as_posix()]
        return list(dict.fromkeys([name.as_posix(), *bare]))


def read_ranges(folder: Path) -> Ranges:
    """Read ``ranges.csv`` of ``folder``, if it has one.

    Raises InputError naming file and line on a wrong range and on two that overlap.
    """
    path = folder / RANGES_FILE
    if not path.is_file():
        return Ranges(folder)
    if path.stat().st_size > MAX_RANGES_BYTES:
        raise InputError(f"{path}: got more than {MAX_RANGES_BYTES} bytes, expected time ranges")
    by_clip: dict[str, tuple[_Range, ...]] = {}
    try:
        rows = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig")), strict=True)
        for row in rows:
            cells = [cell.strip() for cell in row]
            where = f"{path}: line {rows.line_num}"
            if not any(cells) or (rows.line_num == 1 and cells == COLUMNS):
                continue
            name, made = _range(cells, where)
            for other in by_clip.get(name, ()):
                if made.start_s < other.end_s and other.start_s < made.end_s:
                    line = other.where.rpartition(": ")[2]
                    raise InputError(f"{where}: overlaps {line}, expected parts that do not")
            by_clip[name] = (*by_clip.get(name, ()), made)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as text in columns ({error})") from error
    return Ranges(folder, by_clip)


def _range(cells: list[str], where: str) -> tuple[str, _Range]:
    try:
        name, start, end = cells
        start_s, end_s = float(start), float(end)
    except ValueError:
        raise InputError(
            f"{where}: got {','.join(cells)[:80]!r}, expected {','.join(COLUMNS)}, as"
            " thanks/w1.mp4,1.5,3.0"
        ) from None
    check_range(start_s, end_s, where)
    return Path(name).as_posix(), _Range(start_s, end_s, where)


def parts_of_arrays(
    arrays: Mapping[str, npt.NDArray[Any]], clips: Iterable[LandmarkSequence], where: str
) -> tuple[LandmarkSequence, ...]:
    """Return ``clips``, each cut to what ``start_s`` and ``end_s`` say; whole without them.

    Raises InputError naming ``where`` and the clip on arrays of another size and on a wrong range.
    """
    whole, names = tuple(clips), COLUMNS[1:]
    if not set(names) & set(arrays):
        return whole
    times = [arrays.get(name, np.empty(0)) for name in names]
    if any(each.shape != (len(whole),) or each.dtype.kind not in "fiu" for each in times):
        raise InputError(
            f"{where}: got start_s {times[0].shape} and end_s {times[1].shape}, expected a number"
            f" of seconds in both for each of {len(whole)} clips, NaN for a whole one"
        )
    return tuple(
        clip
        if np.isnan(start) and np.isnan(end)
        else part_of(clip, float(start), float(end), f"{where}: clip {i}")
        for i, (clip, start, end) in enumerate(zip(whole, *times, strict=True))
    )
