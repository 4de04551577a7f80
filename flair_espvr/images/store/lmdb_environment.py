"""LMDB as this package needs it: one environment per folder and process, that forks, grows and stays small in memory.

LMDB lets a process open an environment once only, forbids its use after a fork, has a map of fixed size, and counts
every page that was read as resident memory. None of this should trouble who reads a store.
"""

import fcntl
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import lmdb

from flair_espvr.images.store.lmdb_pages import check_header, check_pages

_Result = TypeVar("_Result")

DATA_FILE = "data.mdb"
_LOCK_FILE = "lock.mdb"
_WRITER_FILE = "writer.lock"

_FIRST_MAP_BYTES = 64 * 1024 * 1024
_MAX_READERS = 1024

_SNAPSHOTS = 100
"""How many states of a file that changes all the time are tried until one stays long enough to be checked."""

_REMAP_BYTES = 256 * 1024 * 1024
"""After reading this much the file is mapped anew, which gives the memory of the pages read so far back."""


class WriterLockedError(Exception):
    """Another process is the folder's writer; the argument is what is known of it."""


class LmdbEnvironment:
    """The process's only handle on an LMDB folder; get it from `environment_of`. Safe in threads and after a fork.

    Errors of LMDB and of the file system come out as they are, `lmdb.Error` and `OSError`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._environment: lmdb.Environment | None = None
        self._writer_file: BinaryIO | None = None
        self._unreleased_bytes = 0
        self._checked = False

    @property
    def is_writer(self) -> bool:
        """Whether this process holds the folder's writer lock."""
        return self._writer_file is not None

    def become_writer(self) -> None:
        """Takes the folder's writer lock, which the system takes back when the process ends, however it ends.

        Raises:
            WriterLockedError: another process has it.
        """
        with self._lock:
            if self._writer_file is None:
                self._writer_file = _lock_for_writing(self._folder / _WRITER_FILE)
                weakref.finalize(self, self._writer_file.close)
                self._unmap()  # an environment opened for reading stays so

    def read(self, work: Callable[[lmdb.Transaction], tuple[_Result, int]]) -> _Result:
        """What `work(transaction)` gives first, from one consistent state; second it tells how many bytes it read."""
        with self._lock:
            with self._begin(write=False) as transaction:
                result, read_bytes = work(transaction)
            self._unreleased_bytes += read_bytes
            if self._unreleased_bytes > _REMAP_BYTES:
                self._unmap()
            return result

    def write(self, work: Callable[[lmdb.Transaction], None]) -> None:
        """Runs `work(transaction)` and commits, all or nothing; runs it again where the map has to grow for it."""
        with self._lock:
            while True:
                try:
                    with self._begin(write=True) as transaction:
                        work(transaction)
                    return
                except lmdb.MapFullError:
                    environment = self._mapped()
                    environment.set_mapsize(2 * environment.info()["map_size"])
                except BaseException:
                    self._unmap()  # after a failed commit LMDB wants the environment opened anew
                    raise

    def close(self) -> None:
        """Lets go of file, map and writer lock; the next use opens the file again."""
        with self._lock:
            self._unmap()
            if self._writer_file is not None:
                self._writer_file.close()
                self._writer_file = None

    def after_fork(self) -> None:
        """In a child process: lets go of all that is the parent's.

        The inherited environment shares the parent's slot in LMDB's table of readers, and an inherited writer lock
        would outlive the parent.
        """
        if self._environment is not None:
            self._environment.close()
        if self._writer_file is not None:
            self._writer_file.close()
        self._lock = threading.RLock()  # a thread of the parent may have held the old one
        self._environment = None
        self._writer_file = None
        self._unreleased_bytes = 0

    def _mapped(self) -> lmdb.Environment:
        if self._environment is None:
            lock_file = self._folder / _LOCK_FILE
            self._check_header()
            environment = lmdb.open(
                str(self._folder),
                create=self.is_writer,
                readonly=not self.is_writer,
                # Who may not write in the folder (read-only disk, another user's data) reads without LMDB's lock file.
                lock=os.access(lock_file if lock_file.exists() else self._folder, os.W_OK),
                map_size=_FIRST_MAP_BYTES,
                max_readers=_MAX_READERS,
                readahead=True,  # values are large and whole: without it, a cold one comes in page by page
            )
            if not self._checked:
                try:
                    self._check_pages(environment)
                except BaseException:
                    environment.close()
                    raise
                self._checked = True
            self._environment = environment
        return self._environment

    def _check_header(self) -> None:
        """A damaged or foreign file would end the process, be it while LMDB opens it."""
        data = self._folder / DATA_FILE
        if data.exists() and data.stat().st_size:  # else LMDB is about to make it
            with data.open("rb") as file:
                check_header(file.fileno())

    def _check_pages(self, environment: lmdb.Environment) -> None:
        """Once per process: what is added later is written by LMDB itself."""
        with (self._folder / DATA_FILE).open("rb") as file:
            for _ in range(_SNAPSHOTS):
                with environment.begin() as transaction:
                    if check_pages(file.fileno(), transaction.id()):
                        return
        raise lmdb.CorruptedError("the file is damaged, or another process changes it too fast to be checked")

    def _unmap(self) -> None:
        if self._environment is not None:
            self._environment.close()
            self._environment = None
        self._unreleased_bytes = 0

    @contextmanager
    def _begin(self, *, write: bool) -> Iterator[lmdb.Transaction]:
        environment = self._mapped()
        try:
            transaction = environment.begin(write=write, buffers=True)
        except lmdb.MapResizedError:  # another process made the store larger
            environment.set_mapsize(0)
            transaction = environment.begin(write=write, buffers=True)
        with transaction:
            yield transaction


def environment_of(folder: Path) -> LmdbEnvironment:
    """The process's environment of an existing folder, under whatever path it is reached."""
    status = os.stat(folder)
    with _registry.lock:
        environment = _registry.environments.get((status.st_dev, status.st_ino))
        if environment is None:
            environment = LmdbEnvironment(folder.absolute())
            _registry.environments[status.st_dev, status.st_ino] = environment
        return environment


class _Registry:
    """The environments in use, by device and inode of their folders."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.environments: weakref.WeakValueDictionary[tuple[int, int], LmdbEnvironment] = weakref.WeakValueDictionary()

    def after_fork(self) -> None:
        self.lock = threading.Lock()
        for environment in self.environments.values():
            environment.after_fork()


_registry = _Registry()
os.register_at_fork(after_in_child=_registry.after_fork)


def _lock_for_writing(path: Path) -> BinaryIO:
    file = open(path, "a+b")  # noqa: SIM115  # stays open as long as the lock is held
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read(100).decode(errors="replace").strip()
        file.close()
        raise WriterLockedError(holder) from None
    except BaseException:
        file.close()
        raise
    file.truncate(0)
    file.write(f"process {os.getpid()} on {os.uname().nodename}".encode())
    file.flush()
    return file
