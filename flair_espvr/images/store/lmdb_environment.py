"""LMDB as this package needs it: one environment per folder and process, that forks, grows and stays small in memory.

LMDB lets a process open an environment once only, forbids its use after a fork, has a map of fixed size, and counts
every page that was read as resident memory. None of this should trouble who reads a store.
"""

import os
import stat
import struct
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import lmdb

_Result = TypeVar("_Result")

DATA_FILE = "data.mdb"
_LOCK_FILE = "lock.mdb"

_FIRST_MAP_BYTES = 64 * 1024 * 1024
_MAX_READERS = 1024

_REMAP_BYTES = 256 * 1024 * 1024
"""After reading this much the file is mapped anew, which gives the memory of the pages read so far back."""


class LmdbEnvironment:
    """The process's only handle on an LMDB folder; get it from `environment_of`. Safe in threads and after a fork.

    Errors of LMDB and of the file system come out as they are, `lmdb.Error` and `OSError`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._environment: lmdb.Environment | None = None
        self._writable = False
        self._unreleased_bytes = 0

    def become_writable(self) -> None:
        """Open the folder for writing, which any number of processes may do; make the database if there is none."""
        with self._lock:
            if self._writable:
                return
            self._unmap()  # an environment opened for reading stays so
            self._writable = True
            try:
                self._mapped()
            except BaseException:
                self._writable = False
                raise

    def read(self, work: Callable[[lmdb.Transaction], tuple[_Result, int]]) -> _Result:
        """Return what `work(transaction)` gives first, from one consistent state.

        Second it tells how many bytes it read.
        """
        with self._lock:
            with self._begin(write=False) as transaction:
                result, read_bytes = work(transaction)
            self._unreleased_bytes += read_bytes
            if self._unreleased_bytes > _REMAP_BYTES:
                self._unmap()
            return result

    def write(self, work: Callable[[lmdb.Transaction], None]) -> None:
        """Run `work(transaction)` and commit, all or nothing; run it again where the map has to grow for it.

        Meanwhile other processes that write wait; LMDB's lock goes with the process that holds it, however that ends.
        """
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
        """Lets go of file and map; the next use opens the file again, for reading."""
        with self._lock:
            self._unmap()
            self._writable = False

    def after_fork(self) -> None:
        """In a child process: lets go of the environment, which has the parent's slot in LMDB's table of readers."""
        if self._environment is not None:
            self._environment.close()
        self._lock = threading.RLock()  # a thread of the parent may have held the old one
        self._environment = None
        self._writable = False
        self._unreleased_bytes = 0

    def _mapped(self) -> lmdb.Environment:
        if self._environment is None:
            lock_file = self._folder / _LOCK_FILE
            for file in (lock_file, self._folder / DATA_FILE):
                _check_kind(file)
            _check_length(self._folder / DATA_FILE)
            self._environment = lmdb.open(
                str(self._folder),
                create=self._writable,
                readonly=not self._writable,
                # Who may not write in the folder (read-only disk, another user's data) reads without LMDB's lock file.
                lock=self._writable or os.access(lock_file if lock_file.exists() else self._folder, os.W_OK),
                map_size=_FIRST_MAP_BYTES,
                max_readers=_MAX_READERS,
                readahead=True,  # values are large and whole: without it, a cold one comes in page by page
            )
            self._environment.reader_check()  # the places of readers that were killed, before they are too many
        return self._environment

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
        except lmdb.ReadersFullError:
            environment.reader_check()
            transaction = environment.begin(write=write, buffers=True)
        with transaction:
            yield transaction


def environment_of(folder: Path) -> LmdbEnvironment:
    """Return the process's environment of an existing folder, under whatever path it is reached."""
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
if hasattr(os, "register_at_fork"):  # Windows forks no processes
    os.register_at_fork(after_in_child=_registry.after_fork)


_META_PAGE = struct.Struct("<16x II 16x I 92x Q")
"""How each of a file's first two pages begins, on a 64-bit machine: magic, version, bytes a page, last page in use."""

_MAGIC = 0xBEEFC0DE
_PAGE_BYTES = {1 << power for power in range(9, 17)}


def _check_kind(file: Path) -> None:
    """Refuse what is no file: LMDB would write to what a link leads to, and wait for a pipe.

    Raises:
        lmdb.InvalidError: a link, a pipe, a device or a folder has the name of one of LMDB's files.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(file.lstat().st_mode):
            raise lmdb.InvalidError(f"{file.name} should be a regular file, not a link, pipe, device or folder")


def _check_length(data: Path) -> None:
    """Refuse a foreign file and one that is shorter than it says, of which LMDB would read pages that are not there.

    Args:
        data: `data.mdb`; one that is absent or empty is one that LMDB is about to make.

    Raises:
        lmdb.CorruptedError: the file is cut off, damaged in its first pages or no LMDB file.
    """
    if not data.exists() or not data.stat().st_size:
        return
    page_bytes = needed = 0
    with data.open("rb") as file:
        for start in (0, 1):
            file.seek(start * page_bytes)
            content = file.read(_META_PAGE.size)
            if len(content) < _META_PAGE.size:
                raise lmdb.CorruptedError("the file is cut off in its first pages")
            magic, _, page_bytes, last_page = _META_PAGE.unpack(content)
            if magic != _MAGIC or page_bytes not in _PAGE_BYTES:
                raise lmdb.CorruptedError("the file is damaged: it does not begin as LMDB's files do")
            needed = max(needed, (last_page + 1) * page_bytes)
    length = data.stat().st_size  # after the reading: another process may add meanwhile
    if length < needed:
        raise lmdb.CorruptedError(f"the file is cut off: {length:,} of {needed:,} bytes")
