"""Whether the pages of an LMDB file hang together, found out without LMDB.

LMDB trusts its file: a page number or an offset that damage (or a stranger) changed makes it read outside of its map,
and the process dies. This walks the trees of one transaction's state as LMDB 0.9 lays them out on a 64-bit machine of
little-endian byte order, and never leaves the file. Values themselves are not read.
"""

import os
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn

import lmdb
import numpy as np

_PAGE_HEADER = struct.Struct("<QHHHH")
"""Page number, unused, flags, end of the table of nodes (lower), start of the nodes (upper)."""

_META = struct.Struct("<II16x" + 2 * "IHHQQQQQ" + "QQ")
"""Magic, version, the trees of free pages and of values, last page, transaction."""

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _META_PAGE = 0x01, 0x02, 0x08
_NODE_BYTES = 8
_ELSEWHERE = 0x01
"""Flag of a node whose value lies on pages of its own."""

_INTEGER_KEYS = 0x08
_NO_ROOT = 2**64 - 1
_DEEPEST = 32


@dataclass(frozen=True)
class _Tree:
    flags: int
    depth: int
    entries: int
    root: int


@dataclass(frozen=True)
class _MetaPage:
    page_size: int
    free: _Tree
    values: _Tree
    last_page: int
    transaction: int


def check_header(file: int) -> None:
    """Makes sure that a file may be given to LMDB to open.

    Args:
        file: descriptor of `data.mdb`.

    Raises:
        lmdb.CorruptedError: it is no LMDB file, its first pages are damaged, or it is shorter than they say.
    """
    pages = _read_meta_pages(file)
    size = os.fstat(file).st_size
    used = max((page.last_page + 1) * page.page_size for page in pages)
    if size < used:
        raise lmdb.CorruptedError(f"the file is cut off: {size:,} of {used:,} bytes")


def check_pages(file: int, transaction: int) -> bool:
    """Makes sure that LMDB can read every value of a transaction without leaving its map.

    Args:
        file: descriptor of `data.mdb`.
        transaction: its id; it has to stay open meanwhile, so that no writer uses its pages again.

    Returns:
        False where a writer was faster: the file has two later transactions by now and no longer says where this one's
        pages are.

    Raises:
        lmdb.CorruptedError: a page of it is damaged.
    """
    meta = _read_meta_pages(file)[transaction & 1]
    if meta.transaction != transaction:
        return False
    for tree, flags in ((meta.free, _INTEGER_KEYS), (meta.values, 0)):
        if tree.flags != flags:
            _damaged("a tree is of another kind")
        _Walk(file, meta, tree).run()
    return True


def _read_meta_pages(file: int) -> tuple[_MetaPage, _MetaPage]:
    first = _read_meta_page(file, 0, 0)
    return first, _read_meta_page(file, 1, first.page_size)


def _read_meta_page(file: int, number: int, offset: int) -> _MetaPage:
    content = os.pread(file, _PAGE_HEADER.size + _META.size, offset)
    if len(content) < _PAGE_HEADER.size + _META.size:
        _damaged("it is cut off in its first pages")
    own_number, _, flags, _, _ = _PAGE_HEADER.unpack_from(content)
    magic, version, *fields, last_page, transaction = _META.unpack_from(content, _PAGE_HEADER.size)
    if (own_number, flags & _META_PAGE, magic, version) != (number, _META_PAGE, _MAGIC, _VERSION):
        _damaged("it does not begin as LMDB's files do")
    page_size = fields[0]
    if page_size not in (1 << power for power in range(9, 17)) or (number and page_size != offset):
        _damaged(f"a page size of {page_size} bytes")
    free, values = (_Tree(fields[at + 1], fields[at + 2], fields[at + 6], fields[at + 7]) for at in (0, 8))
    return _MetaPage(page_size, free, values, last_page, transaction)


class _Walk:
    """A walk through all pages of a tree, from the root to its leaves."""

    def __init__(self, file: int, meta: _MetaPage, tree: _Tree) -> None:
        self._file = file
        self._meta = meta
        self._tree = tree
        self._seen: set[int] = set()
        self._entries = 0

    def run(self) -> None:
        if self._tree.root == _NO_ROOT:
            if self._tree.entries:
                _damaged("a tree without pages should be empty")
            return
        if not 1 <= self._tree.depth <= _DEEPEST:
            _damaged(f"a tree {self._tree.depth} pages deep")
        level = [self._tree.root]
        for depth in range(self._tree.depth, 0, -1):
            level = [below for page in level for below in self._page(page, is_leaf=depth == 1)]
        if self._entries != self._tree.entries:
            _damaged(f"a tree of {self._entries} entries, where {self._tree.entries} were counted")

    def _page(self, number: int, *, is_leaf: bool) -> list[int]:
        """Checks a page; gives the numbers of the pages below it."""
        if not 2 <= number <= self._meta.last_page or number in self._seen:
            _damaged(f"page {number} in the wrong place")
        self._seen.add(number)
        size = self._meta.page_size
        content = os.pread(self._file, size, number * size)
        if len(content) < size:
            _damaged(f"page {number} is cut off")
        own_number, _, flags, lower, upper = _PAGE_HEADER.unpack_from(content)
        expected = _LEAF if is_leaf else _BRANCH
        if own_number != number or flags != expected or not _PAGE_HEADER.size < lower <= upper <= size or lower % 2:
            _damaged(f"the header of page {number}")
        starts = np.frombuffer(content, "<u2", (lower - _PAGE_HEADER.size) // 2, _PAGE_HEADER.size).astype(np.int64)
        if (starts < upper).any() or (starts > size - _NODE_BYTES).any() or (starts % 2).any():
            _damaged(f"the table of page {number}")
        # A node's four words: low and high part of a size or page number, flags or its highest part, length of key.
        words = np.frombuffer(content, "<u2")[starts[:, None] // 2 + np.arange(4)].astype(np.int64)  # (N,4)
        low, high, third, key_bytes = words.T
        ends = starts + _NODE_BYTES + key_bytes
        self._check_keys(content, starts.tolist(), ends.tolist(), number, is_leaf=is_leaf)
        below = low | high << 16
        if not is_leaf:
            return (below | third << 32).tolist()
        self._entries += len(starts)
        self._check_values(content, ends, below, third, number)
        return []

    def _check_keys(self, content: bytes, starts: list[int], ends: list[int], number: int, *, is_leaf: bool) -> None:
        if max(ends) > len(content):
            _damaged(f"a key of page {number}")
        keys = [content[start + _NODE_BYTES : end] for start, end in zip(starts, ends, strict=True)]
        if not is_leaf:
            keys = keys[1:]  # the first page below holds all that comes before the second
        if self._tree.flags & _INTEGER_KEYS:
            if any(len(key) != 8 for key in keys):
                _damaged(f"a key of page {number}")
            keys = [key[::-1] for key in keys]
        if any(one >= next_one for one, next_one in pairwise(keys)) or (is_leaf and b"" in keys):
            _damaged(f"the order of page {number}")

    def _check_values(
        self, content: bytes, starts: np.ndarray, sizes: np.ndarray, flags: np.ndarray, number: int
    ) -> None:
        elsewhere = flags == _ELSEWHERE
        ends = starts + np.where(elsewhere, 8, sizes)
        if (flags & ~_ELSEWHERE).any() or (ends > len(content)).any():
            _damaged(f"a value of page {number}")
        pages = self._meta.page_size
        for start, size in zip(starts[elsewhere].tolist(), sizes[elsewhere].tolist(), strict=True):
            (first,) = struct.unpack_from("<Q", content, start)
            last = first + (_PAGE_HEADER.size + size - 1) // pages
            if not 2 <= first <= last <= self._meta.last_page:
                _damaged(f"a value of page {number}")


def _damaged(what: str) -> NoReturn:
    raise lmdb.CorruptedError(f"the file is damaged: {what}")
