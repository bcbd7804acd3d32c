"""Manage temporary files: who owns one, and which ones a killed process left.

A temporary file is named ``.STEM.bhar-HOST-PID-RANDOM.SUFFIX``. Its writer holds a lock on it
(``flock``). The system releases the lock when the process ends, however it ends, so an unlocked
file has no owner. HOST names the machine or container. Locks are not always seen across machines,
so a file of another machine is removed after a day.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import functools
import hashlib
import os
import re
import secrets
import threading
import time
from io import FileIO
from pathlib import Path

__all__ = [
    "Lock",
    "create_temporary",
    "is_ours",
    "lock",
    "remove_leftovers",
    "remove_leftovers_once",
]

NAME = re.compile(r"\..*\.bhar-(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]{1,10})-[0-9a-f]{8}(\.[^.]*)?")
MAX_STEM = 40
"""Characters of the name that are kept: names end at 255 bytes."""
FOREIGN_AGE_S = 24 * 3600.0
ATTEMPTS = 20


class Lock(enum.Enum):
    """The result of locking a file. HELD: another process has it. UNKNOWN: no locks here."""

    TAKEN = "taken"
    HELD = "held"
    UNKNOWN = "unknown"


def lock(handle: int) -> Lock:
    """Lock the open file ``handle`` until it is closed, or say who holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Lock.HELD
    except OSError:
        return Lock.UNKNOWN
    return Lock.TAKEN


def create_temporary(path: Path) -> tuple[Path, FileIO]:
    """Make a new locked file beside ``path``; return its name and the open file. Raises OSError."""
    for _ in range(ATTEMPTS):
        mark = f"bhar-{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
        temporary = path.with_name(f".{path.stem[:MAX_STEM]}.{mark}{path.suffix}")
        file = FileIO(temporary, "xb")
        try:
            if is_ours(temporary, file.fileno()):
                return temporary, file
        except BaseException:
            file.close()
            raise
        file.close()
    raise OSError(f"no temporary file could be made in {path.parent}")


def is_ours(path: Path, handle: int) -> bool:
    """Lock the open file ``handle`` of ``path``; return False when another process was faster."""
    for _ in range(ATTEMPTS):  # somebody may be asking this moment whether it is anybody's
        if lock(handle) is not Lock.HELD:
            break
        time.sleep(0.005)
    else:
        return False
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove what killed processes left in ``folder``. Files in doubt stay."""
    removed = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = NAME.fullmatch(entry.name)
            if match is None or not entry.is_file(follow_symlinks=False):
                continue
            path = Path(entry.path)
            with contextlib.suppress(OSError):
                if _removed(path, match["host"], int(match["pid"])):
                    removed.append(path)
    return removed


_CLEANED: set[Path] = set()
_CLEANED_LOCK = threading.Lock()


def remove_leftovers_once(folder: Path) -> None:
    """Call :func:`remove_leftovers` at the first call for ``folder``, which may be large."""
    folder = folder.absolute()
    with _CLEANED_LOCK:
        if folder in _CLEANED:
            return
        _CLEANED.add(folder)
    remove_leftovers(folder)


def _removed(path: Path, host: str, pid: int) -> bool:
    # For writing: some systems lock no other file.
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found, here = lock(handle), host == _host()
        is_old = time.time() - os.fstat(handle).st_mtime > FOREIGN_AGE_S
        gone = here or is_old if found is Lock.TAKEN else here and not _is_running(pid)
        if found is Lock.HELD or not gone:
            return False
        path.unlink()
        return True
    finally:
        os.close(handle)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


@functools.cache
def _host() -> str:
    """Names this machine or container; a hash, since the system's name of it is confidential."""
    machine = b""
    with contextlib.suppress(OSError):
        machine = Path("/etc/machine-id").read_bytes()
    return hashlib.sha256(os.uname().nodename.encode() + b"\0" + machine).hexdigest()[:8]
