"""Write files so that they appear whole or not at all.

A writer fills a temporary file beside its target. The temporary file is flushed to the disk,
checked, and then renamed. A full disk, a missing permission or a killed process leave the old file
as it was. The next writer in that folder removes the temporary file of a killed process
(:mod:`bharsdk.files.leftovers`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bharsdk.errors import InputError, UsageError
from bharsdk.files.leftovers import create_temporary, remove_leftovers_once

__all__ = [
    "Replacement",
    "check_room",
    "make_folder",
    "mark_read",
    "part_path",
    "unwritable",
    "write_atomically",
    "write_text",
    "write_together",
]


def part_path(path: Path) -> Path:
    """Return ``NAME.part.SUFFIX`` beside ``path``, for what exists so far."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


class Replacement:
    """A file that is written beside ``path`` and takes its place in :meth:`keep`.

    Fill it with :meth:`write`, or give :attr:`temporary` to a library that wants a path; it has the
    suffix of ``path``. parents: make the folder. Every method raises InputError when the disk
    refuses; the new file is then gone. Raises UsageError when this process is reading ``path``.
    """

    def __init__(self, path: Path, *, parents: bool = False) -> None:
        self.path = path
        try:
            # Of a link, what it leads to is written, and the link stays.
            self._target = path.resolve() if path.is_symlink() else path
            if parents:
                self._target.parent.mkdir(parents=True, exist_ok=True)
            _check_replaceable(path)
            remove_leftovers_once(self._target.parent)
            self.temporary, self._file = create_temporary(self._target)
        except (OSError, RuntimeError) as error:  # RuntimeError: links that lead to each other
            raise unwritable(path, error) from error
        except ValueError as error:
            raise InputError(f"{str(path)!r}: got {error}, expected the name of a file") from error
        self._unmark = weakref.finalize(self, _mark(_REPLACED, path))

    @property
    def part_path(self) -> Path:
        """Return where :meth:`keep` puts a file that is not whole."""
        return part_path(self._target)

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        with self._or_discarded():
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) or 0 :]

    def reserve(self, size: int) -> None:
        """Reserve ``size`` bytes on the disk, where the system can."""
        with self._or_discarded():
            if not hasattr(os, "posix_fallocate"):  # macOS
                return
            try:
                os.posix_fallocate(self._file.fileno(), 0, size)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                    raise

    def flush(self) -> None:
        """Flush the file to the disk."""
        with self._or_discarded():
            os.fsync(self._file.fileno())
            _check_replaceable(self.path)

    def keep(
        self, check: Callable[[Path], None] = lambda path: None, *, as_part: bool = False
    ) -> None:
        """Put the new file in the place of the old one, if ``check`` of it raises nothing.

        as_part: put it at :attr:`part_path` instead.
        """
        self.flush()
        with self._or_discarded():
            check(self.temporary)
            _copy_mode(self.path, self._file.fileno())
            self.temporary.replace(self.part_path if as_part else self._target)
        self._close()
        _sync_folder(self._target.parent)

    def discard(self) -> None:
        """Remove the new file. Does nothing after :meth:`keep` or a second time."""
        if not self._file.closed:
            with contextlib.suppress(OSError):
                self.temporary.unlink(missing_ok=True)
            # Closed last: until then no other process takes it for a leftover.
            self._close()

    def _close(self) -> None:
        self._unmark()
        with contextlib.suppress(OSError):  # it was flushed, or is not wanted
            self._file.close()

    @contextlib.contextmanager
    def _or_discarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.discard()
            raise unwritable(self.path, error) from error
        except BaseException:
            self.discard()
            raise


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its parents where they are missing. Raises InputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def write_atomically(path: Path, data: bytes, *, parents: bool = False) -> None:
    """Make ``data`` the content of ``path``. Raises InputError; the old file then stays."""
    replacement = Replacement(path, parents=parents)
    replacement.write(data)
    replacement.keep()


def write_text(path: Path, text: str) -> None:
    """Make ``text`` the content of ``path``, in UTF-8.

    Raises InputError; the old file then stays.
    """
    write_atomically(path, text.encode())


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: all are on the disk before the first is renamed.

    A full disk leaves every old file. Raises InputError.
    """
    with contextlib.ExitStack() as stack:
        replacements = []
        for path, data in files.items():
            replacement = Replacement(path)
            stack.callback(replacement.discard)
            replacement.write(data)
            replacement.flush()
            replacements.append(replacement)
        for replacement in replacements:
            replacement.keep()


def check_room(path: Path, sizes: Sequence[int]) -> None:
    """Raise InputError unless files of ``sizes`` bytes fit beside ``path`` at once."""
    with contextlib.ExitStack() as stack:
        for size in sizes:
            replacement = Replacement(path)
            stack.callback(replacement.discard)
            replacement.reserve(size)


def unwritable(path: Path, error: Exception) -> InputError:
    """Return the error for ``path``, which the disk refused; it says what stays."""
    reason = getattr(error, "strerror", None) or error
    stays = "the file of before is as it was" if os.access(path, os.F_OK) else "nothing was saved"
    return InputError(
        f"{path}: cannot be written ({reason}), expected a folder with room and write permission;"
        f" {stays}"
    )


_READ: Counter[tuple[int, int]] = Counter()
_REPLACED: Counter[tuple[int, int]] = Counter()
"""Device and inode of the files that this process reads as sources, and is about to replace."""
_MARKS = threading.Lock()


def mark_read(path: Path) -> Callable[[], None]:
    """Keep writers of this process from replacing ``path`` until the returned function is called.

    Raises UsageError when one is about to.
    """
    found = _key(path)
    with _MARKS:
        if found in _REPLACED:
            raise UsageError(f"{path}: is being written over, expected another name for the output")
    return _mark(_READ, path)


def _mark(marks: Counter[tuple[int, int]], path: Path) -> Callable[[], None]:
    """Count ``path`` among ``marks`` until the function returned is called."""
    key = _key(path)
    if key is None:
        return lambda: None
    with _MARKS:
        marks[key] += 1

    def release() -> None:
        with _MARKS:
            marks[key] -= 1
            if marks[key] <= 0:
                del marks[key]

    return release


def _key(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _check_replaceable(path: Path) -> None:
    """Raise for what is no plain file, is write-protected, or is being read."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or pipe"
        raise InputError(f"{path}: got {kind}, expected the name of a file to write")
    if not os.access(path, os.W_OK):
        # Renaming asks the folder alone; whoever protected the file meant it.
        raise InputError(f"{path}: is write-protected, expected another name, or chmod u+w")
    with _MARKS:
        is_read = (found.st_dev, found.st_ino) in _READ
    if is_read:
        raise UsageError(f"{path}: is the source that is being read, expected another name")


def _copy_mode(path: Path, handle: int) -> None:
    """Who may read the old file may read the new one, and nobody else."""
    with contextlib.suppress(OSError):
        os.fchmod(handle, stat.S_IMODE(path.stat().st_mode))


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk too, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
