"""Recording a session: a journal that grows with it, and a session file when it is whole."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bharsdk.errors import InputError, UsageError
from bharsdk.events import Event
from bharsdk.sources.frame import Frame
from bharsdk.sources.journal import JournalWriter
from bharsdk.sources.session_file import SUFFIX, load_session, save_session

__all__ = ["SessionRecorder"]

LOGGER = logging.getLogger("bharsdk")


class SessionRecorder:
    """Records frames and events to ``path``, NAME.bhar-session.

    Until :meth:`close` they lie in a journal beside it, ``NAME.part.bhar-session``, which reads as
    a session too: after a crash, or on a full disk, it holds all frames so far. A disk that fails
    ends the recording, not what is being recorded: see :attr:`error`. model: sha256 of the bundle.
    options: what was asked of the recogniser, as JSON values.
    Raises UsageError on another suffix, InputError when the file cannot be written.
    """

    def __init__(
        self, path: str | Path, model: str = "", options: Mapping[str, Any] | None = None
    ) -> None:
        self.path = Path(path)
        if self.path.suffix != SUFFIX:
            raise UsageError(f"recording: got {self.path.name!r}, expected NAME{SUFFIX}")
        self.journal_path = self.path.with_suffix(f".part{SUFFIX}")
        self.error: str | None = None
        self.frames = 0
        self._last: Frame | None = None
        self._writer: JournalWriter | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = JournalWriter(self.journal_path, model, options)
        except OSError as error:
            if self.journal_path.exists():
                raise InputError(
                    f"{self.journal_path}: is there already, from a recording that was cut off or"
                    " is going on; expected none: rename it to keep it, or remove it"
                ) from None
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}), expected a folder with write"
                " permission and room"
            ) from error

    def add(self, frame: Frame, events: Sequence[Event]) -> None:
        """One frame and the events that came with it; with the last frame again, those of the end.

        A time that does not increase is refused by the journal's reader, so it is not written.
        """
        if self._writer is None:
            return
        try:
            if frame is self._last:
                self._writer.add_events(events)
            else:
                self._writer.add(frame, events)
                self.frames += 1
                self._last = frame
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
        except OSError as error:
            self._fail(f"{self.frames} frames stay as they were recorded ({error.strerror})")
            return
        self.journal_path.unlink(missing_ok=True)

    def _fail(self, why: str) -> None:
        self.error = f"{self.path}: {why}: {self.journal_path} holds them, and reads as a session"
        LOGGER.error("recording: %s", self.error)
        if self._writer is not None:
            self._writer.close()
            self._writer = None
