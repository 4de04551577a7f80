"""Features of pictures on disk: computed once, never mixed with others, read at the speed of memory.

A store is a folder with an LMDB database. Under a picture's content key lies one value: float16, little-endian, the
pooled vector and then the grid, row-major, followed by the CRC-32 of these bytes. Under `_HEADER_KEY` lies the
`RegionHeader` as JSON. Values are only ever added. Each addition is a transaction that is on disk when it returns, so a
process killed at any moment leaves a whole store. The checksum is compared whenever a value is read.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import lmdb
import numpy as np
from more_itertools import chunked

from flair_espvr.errors import RegionStoreError
from flair_espvr.images.loading import KEY_BYTES
from flair_espvr.images.store.header import RegionHeader
from flair_espvr.images.store.lmdb_environment import DATA_FILE, environment_of

_HEADER_KEY = b"header"
_CHECKSUM_BYTES = 4
_CHUNK = 64
"""Pictures per transaction where a whole store is walked."""


class RegionStore:
    """Features of pictures by content key, for any number of processes that read and add.

    Any number of handles may be open in a process; they share one file handle. A handle may be used after a fork, and
    pickled: its copy only reads. Additions wait for one another, each for as long as it takes to write one.
    """

    def __init__(self, folder: str | Path, *, header: RegionHeader | None = None, writable: bool = False) -> None:
        """Open a store.

        Args:
            folder: the store's folder.
            header: what the features depend on; a store of other features is refused. Needed to make a new store.
            writable: open it for adding; makes the store if there is none. Else only read.

        Raises:
            RegionStoreError: there is no store and none can be made; the store's header differs from `header`; or the
                store is damaged.
        """
        self.folder = Path(folder)
        self.writable = writable
        with self._explained("opened"):
            if writable and header is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
            if not self.folder.is_dir() or not (writable or (self.folder / DATA_FILE).exists()):
                raise RegionStoreError(f"{folder}: no region store there; `flair-espvr regions` makes one")
            self._environment = environment_of(self.folder)
            if writable:
                self._environment.become_writable()
        stored = self._stored_header()
        if stored is None:
            if header is None or not writable:
                raise RegionStoreError(f"{folder}: the region store is empty; `flair-espvr regions` fills one")
            self._write({_HEADER_KEY: json.dumps(header.to_dict()).encode()})
            stored = self._stored_header() or header  # another process may have been first
        if header is not None and (differences := stored.differences(header, here="the store", there="what is wanted")):
            raise RegionStoreError(f"{folder}: the store holds features of another kind: {differences}")
        self.header = stored

    @staticmethod
    def exists(folder: str | Path) -> bool:
        """Whether there is a store in a folder, be it whole or damaged.

        What a process left that was killed while making a store, before the header, is none yet.
        """
        data = Path(folder) / DATA_FILE
        try:
            if not data.exists() or data.stat().st_size == 0:
                return False
            return environment_of(data.parent).read(lambda transaction: (transaction.get(_HEADER_KEY) is not None, 0))
        except (lmdb.Error, OSError):
            return True

    def __len__(self) -> int:
        """Return the number of pictures."""
        return self._read(lambda transaction: (transaction.stat()["entries"] - 1, 0))

    def __contains__(self, key: object) -> bool:
        """Whether the features of the picture with this content key are here."""
        if not isinstance(key, bytes) or len(key) != KEY_BYTES:
            return False
        return bool(self._read(lambda transaction: (transaction.get(key) is not None, 0)))

    def keys(self) -> Iterator[bytes]:
        """All content keys, in order; those added meanwhile may or may not be among them."""
        last = b""
        while chunk := self._read(partial(_keys_after, last=last)):
            yield from (key for key in chunk if key != _HEADER_KEY)
            last = chunk[-1]

    def get_many(self, keys: Sequence[bytes], *, out: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Features of N pictures, in one consistent read.

        Args:
            keys: N content keys.
            out: float16 (N,1+R,Dv) to fill; a new array by default.

        Returns:
            The features, float16 (N,1+R,Dv), zeros where a picture is not here, and which were found, bool (N,).

        Raises:
            RegionStoreError: a value is damaged: it has another length than the header says, or fails its checksum.
        """
        shape = (len(keys), *self.header.shape)
        values = np.empty(shape, dtype=np.float16) if out is None else out
        if values.shape != shape or values.dtype != np.float16:
            raise ValueError(f"out should be float16 {shape}, not {values.dtype} {values.shape}")
        found = np.zeros(len(keys), dtype=bool)

        def work(transaction: lmdb.Transaction) -> tuple[None, int]:
            read_bytes = 0
            for row, key in enumerate(keys):
                stored = transaction.get(key)
                if stored is not None:
                    values[row] = self._decoded(key, stored)
                    found[row] = True
                    read_bytes += len(stored)
            return None, read_bytes

        self._read(work)
        values[~found] = 0
        return values, found

    def warm(self, key: bytes) -> None:
        """Brings a picture's features, if they are here, into the system's memory; other threads go on meanwhile.

        Raises:
            RegionStoreError: the store cannot be read.
        """
        # lmdb touches every page of a value that it looks up, without the interpreter's lock.
        self._read(lambda transaction: (None, len(transaction.get(key, b""))))

    def put_many(self, features: Mapping[bytes, np.ndarray]) -> None:
        """Add pictures, all or none, safely on disk when this returns; those already here stay as they are.

        Args:
            features: content key -> (1+R,Dv), in any float type whose values fit float16.

        Raises:
            RegionStoreError: the store was not opened with `writable`, the disk is full, or features have a wrong shape
                or values that float16 cannot hold.
        """
        if not self.writable:
            raise RegionStoreError(f"{self.folder}: the store was opened for reading only")
        self._write({key: self._encoded(key, value) for key, value in features.items()})

    def verify(self) -> list[str]:
        """Read every value and name each that is damaged: of wrong length, failing its checksum, or not finite."""
        problems = []
        for keys in chunked(self.keys(), _CHUNK):
            problems += self._read(partial(self._problems, keys))
        return problems

    def info(self) -> dict[str, Any]:
        """Return the header's fields, the number of pictures, and the size of the file in bytes."""
        return {**self.header.to_dict(), "pictures": len(self), "bytes": (self.folder / DATA_FILE).stat().st_size}

    def close(self) -> None:
        """Lets go of the file for all handles of this process; use opens it again."""
        self._environment.close()

    def __enter__(self) -> "RegionStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[type["RegionStore"], tuple[Path]]:
        return type(self), (self.folder.absolute(),)

    def _encoded(self, key: bytes, features: np.ndarray) -> bytes:
        if len(key) != KEY_BYTES:
            raise RegionStoreError(f"{self.folder}: a content key has {KEY_BYTES} bytes, not {len(key)}")
        if features.shape != self.header.shape:
            raise RegionStoreError(
                f"{self.folder}: features of {key.hex()} have the shape {features.shape}, not {self.header.shape}"
            )
        with np.errstate(over="ignore"):
            half = features.astype("<f2")
        if not np.isfinite(half).all():
            raise RegionStoreError(
                f"{self.folder}: features of {key.hex()} have values that are not finite or beyond the range of float16"
            )
        payload = half.tobytes()
        return payload + zlib.crc32(payload).to_bytes(_CHECKSUM_BYTES, "little")

    def _decoded(self, key: bytes, stored: bytes | memoryview) -> np.ndarray:
        """Return the features in a stored value, (1+R,Dv), as a view of it, after a look at its length and checksum."""
        rows, dim = self.header.shape
        expected = 2 * rows * dim + _CHECKSUM_BYTES
        if len(stored) != expected:
            raise RegionStoreError(
                f"{self.folder}: the value of {key.hex()} has {len(stored):,} bytes, not {expected:,}; "
                "see `flair-espvr regions verify`"
            )
        if zlib.crc32(stored[:-_CHECKSUM_BYTES]) != int.from_bytes(stored[-_CHECKSUM_BYTES:], "little"):
            raise RegionStoreError(
                f"{self.folder}: the value of {key.hex()} fails its checksum; see `flair-espvr regions verify`"
            )
        return np.frombuffer(stored, dtype="<f2", count=rows * dim).reshape(rows, dim)

    def _problems(self, keys: Sequence[bytes], transaction: lmdb.Transaction) -> tuple[list[str], int]:
        problems, read_bytes = [], 0
        for key in keys:
            stored = transaction.get(key, b"")
            read_bytes += len(stored)
            try:
                features = self._decoded(key, stored)
            except RegionStoreError as error:
                problems.append(str(error))
                continue
            if not np.isfinite(features).all():
                problems.append(f"{self.folder}: the value of {key.hex()} is not finite")
        return problems, read_bytes

    def _stored_header(self) -> RegionHeader | None:
        stored = self._read(lambda transaction: (bytes(transaction.get(_HEADER_KEY) or b""), 0))
        if not stored:
            return None
        try:
            return RegionHeader.from_dict(json.loads(stored))
        except (ValueError, TypeError) as error:
            raise RegionStoreError(f"{self.folder}: the store's header cannot be read: {error}") from error

    def _read(self, work: Callable[[lmdb.Transaction], tuple[Any, int]]) -> Any:
        with self._explained("read"):
            return self._environment.read(work)

    def _write(self, values: Mapping[bytes, bytes]) -> None:
        def work(transaction: lmdb.Transaction) -> None:
            for key, value in values.items():
                transaction.put(key, value, overwrite=False)

        with self._explained("written"):
            self._environment.become_writable()
            self._environment.write(work)

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        """Turn what LMDB and the file system raise into the one error of a store."""
        try:
            yield
        except (lmdb.Error, OSError) as error:
            raise RegionStoreError(f"{self.folder}: the region store cannot be {done} ({error})") from error


def merge_stores(target: RegionStore, sources: Sequence[RegionStore]) -> Iterator[int]:
    """Add all pictures of some stores to another, yielding now and then how many more were gone through.

    Raises:
        RegionStoreError: a store holds features of another kind than the target, or a damaged value.
    """
    for source in sources:
        if differences := source.header.differences(target.header, here=str(source.folder), there=str(target.folder)):
            raise RegionStoreError(f"{source.folder}: the store holds features of another kind: {differences}")
        for keys in chunked(source.keys(), _CHUNK):
            values, _ = source.get_many(keys)
            target.put_many(dict(zip(keys, values, strict=True)))
            yield len(keys)


def _keys_after(transaction: lmdb.Transaction, last: bytes) -> tuple[list[bytes], int]:
    """Return some of the keys that come after `last` in order, and the bytes of values read for it, which are none."""
    cursor = transaction.cursor()
    if not cursor.set_range(last + b"\0"):
        return [], 0
    return [bytes(key) for key in islice(cursor.iternext(values=False), 4096)], 0
