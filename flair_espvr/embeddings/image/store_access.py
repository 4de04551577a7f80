"""A region store as embeddings use it: made when the first features are added, opened for writing no sooner."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from flair_espvr.images.store.header import RegionHeader
from flair_espvr.images.store.region_store import RegionStore
from flair_espvr.io.thread_lock import ThreadLock

_opening = ThreadLock()
"""Held while a store is opened for writing; not an attribute, which could not be pickled."""


class StoreAccess:
    """Reads and adds features in a folder that may hold no store yet.

    Args:
        folder: the store's folder.
        read_only: add nothing; the store must exist.
        header: what its features depend on, where that is known; a store of other features is refused.

    Attributes:
        store: the opened store; None until there is one.

    Raises:
        RegionStoreError: it is read-only and absent, is damaged, or holds features of another kind.
    """

    def __init__(self, folder: Path, *, read_only: bool, header: RegionHeader | None = None) -> None:
        self.folder = folder
        self.read_only = read_only
        self.store = RegionStore(folder, header=header) if read_only or RegionStore.exists(folder) else None

    def fill(self, rows: np.ndarray, keys: Sequence[bytes]) -> np.ndarray:
        """Fill row n with the features under `keys[n]`; returns which are here, bool (N,)."""
        if self.store is None:
            return np.zeros(len(keys), dtype=bool)
        return self.store.get_many(keys, out=rows)[1]

    def add(self, features: Mapping[bytes, np.ndarray], header: RegionHeader) -> None:
        """Add features, unless the access is read-only; `header` says what they depend on.

        Raises:
            RegionStoreError: the store cannot be added to, or holds features of another kind.
        """
        if self.read_only or not features:
            return
        with _opening.held():
            if self.store is None or not self.store.writable:
                self.store = RegionStore(self.folder, header=header, writable=True)
        self.store.put_many(features)


def fill_rows(
    rows: np.ndarray,
    keys: Sequence[bytes],
    compute: Callable[[Sequence[bytes]], Mapping[bytes, np.ndarray]],
    *,
    access: StoreAccess | None,
    header: RegionHeader,
    at_once: int,
) -> np.ndarray:
    """Fill row n with the features under `keys[n]`, from a store or else computed and added to it.

    Args:
        rows: float16 (N, 1+R, Dv), to be filled.
        keys: N different keys.
        compute: gives the features under some keys, without those that cannot be computed.
        access: the store; None for none.
        header: what the features depend on.
        at_once: how many keys `compute` is given at most.

    Returns:
        Which rows are filled, bool (N,).
    """
    usable = np.zeros(len(keys), dtype=bool) if access is None else access.fill(rows, keys)
    missing = [row for row in range(len(keys)) if not usable[row]]
    for start in range(0, len(missing), at_once):
        chunk = {keys[row]: row for row in missing[start : start + at_once]}
        computed = compute(list(chunk))
        if access is not None:
            access.add(computed, header)
        for key, features in computed.items():
            rows[chunk[key]] = features
            usable[chunk[key]] = True
    return usable
