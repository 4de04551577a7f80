"""Locks between processes: taken at once or refused, and gone when the process ends, however it ends."""

import errno
import os
import platform
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

_HOLDER_BYTES = 100


class LockedError(Exception):
    """Somebody else holds the lock; the argument says who, as far as that is known."""


class ProcessLock:
    """A lock that is held from its making until `release`, the end of a `with` block or the end of the process.

    The file is there to be locked and says who holds it; it is removed on release. A child process that was forked off
    meanwhile does not hold the lock.

    Args:
        path: the lock's own file, which holds nothing else; its folder must exist.

    Raises:
        LockedError: another process, or another lock of this one, holds it.
        OSError: the file cannot be made, or its file system knows no locks.
    """

    def __init__(self, path: Path) -> None:
        if not path.parent.is_dir():  # `filelock` would make it
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        self._path = path
        self._lock = FileLock(path, blocking=False, thread_local=False, fallback_to_soft=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise LockedError(_holder(path)) from None
        with suppress(OSError):  # Windows lets nobody write to a locked file: there the holder stays unnamed
            path.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")

    def release(self) -> None:
        """Let others in; does nothing in a forked child and when called again."""
        if self._lock.is_locked:
            with suppress(OSError):  # Windows removes no open file; `filelock` does, afterwards
                self._path.unlink()  # while it is held: whoever waits for the removed file is refused by `filelock`
            self._lock.release()

    def __enter__(self) -> "ProcessLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def _holder(path: Path) -> str:
    try:
        return path.read_bytes()[:_HOLDER_BYTES].decode(errors="replace").strip()
    except OSError:
        return ""
