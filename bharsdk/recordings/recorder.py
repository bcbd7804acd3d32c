"""Recording a session: a journal that grows with it, and a session file when it is whole."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bharsdk.errors import BharError, InputError, UsageError
from bharsdk.events import Event
from bharsdk.files.untrusted import reason_of
from bharsdk.files.writing import Replacement, part_path, unwritable
from bharsdk.landmarks.frame import Frame
from bharsdk.recordings.extent import RecordingFullError
from bharsdk.recordings.journal import JournalState, JournalWriter, journal_state
from bharsdk.recordings.session_file import SUFFIX, load_session, save_session

__all__ = ["SessionRecorder"]

LOGGER = logging.getLogger("bharsdk")


class SessionRecorder:
    """Records frames and events to ``path``, NAME.bhar-session.

    Until :meth:`close` they lie in a journal beside it, ``NAME.part.bhar-session``, which reads as
    a session too: after a crash, or on a full disk, it holds all frames so far. A disk that fails,
    or a recording as long as one can be, ends the recording and not what is being recorded: see
    :attr:`error`. model: sha256 of the bundle.
    options: what was asked of the recognizer, as JSON values.
    Raises UsageError on another suffix, InputError when the file cannot be written.
    """

    def __init__(
        self, path: str | Path, model: str = "", options: Mapping[str, Any] | None = None
    ) -> None:
        self.path = Path(path)
        if self.path.suffix != SUFFIX:
            raise UsageError(f"recording: got {self.path.name!r}, expected NAME{SUFFIX}")
        self.journal_path = part_path(self.path)
        self.error: str | None = None
        self.frames = 0
        self._last: Frame | None = None
        self._is_full = False
        self._writer: JournalWriter | None = None
        Replacement(self.path, parents=True).discard()  # says now what would be said at the end
        try:
            self._clear_place()
            self._writer = JournalWriter(self.journal_path, model, options)
        except OSError as error:
            raise unwritable(self.path, error) from error
        for left in _others_cut_off(self.journal_path):
            LOGGER.warning("recording: %s was cut off; it reads as a session", left)

    def _clear_place(self) -> None:
        """Take away a journal without frames. Raises InputError where one holds some."""
        if not self.journal_path.exists():
            return
        found = journal_state(self.journal_path, remove_empty=True)
        if found is not JournalState.EMPTY:
            raise InputError(
                f"{self.journal_path}: is there already, from a recording that {found.value};"
                " expected none: it reads as a session; rename it to keep it, or remove it"
            )

    def add(self, frame: Frame, events: Sequence[Event]) -> None:
        """One frame and the events that came with it; with the last frame again, those of the end.

        Raises InputError, the recording so far whole, on what could not be read again: a time that
        does not increase.
        """
        if self._writer is None or self._is_full:
            return
        try:
            if frame is self._last:
                self._writer.add_events(events)
            else:
                self._writer.add(frame, events)
                self.frames += 1
                self._last = frame
        except RecordingFullError as error:
            self._is_full = True
            self.error = f"{self.path}: stopped after {self.frames} frames: got {error}"
            LOGGER.error("recording: %s", self.error)
        except OSError as error:
            self._fail(f"stopped after {self.frames} frames ({error.strerror})")

    def close(self) -> None:
        """Make the session of the journal. A second call does nothing."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.close()
        if not self.frames:
            self.journal_path.unlink(missing_ok=True)
            return
        try:
            save_session(self.path, load_session(self.journal_path))
        except (BharError, MemoryError, OSError) as error:
            self._fail(f"{self.frames} frames stay as they were recorded ({reason_of(error)})")
            return
        self.journal_path.unlink(missing_ok=True)

    def _fail(self, why: str) -> None:
        self.error = f"{self.path}: {why}: {self.journal_path} holds them, and reads as a session"
        LOGGER.error("recording: %s", self.error)
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _others_cut_off(mine: Path) -> list[Path]:
    """Journals with frames beside ``mine`` that nobody is writing."""
    left = []
    for path in sorted(mine.parent.glob(f"*.part{SUFFIX}")):
        with contextlib.suppress(OSError):
            if path != mine and journal_state(path) is JournalState.FRAMES:
                left.append(path)
    return left
