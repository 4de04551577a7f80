"""Files of posts cut into blocks that anybody can tag by themselves, and get what one process would have got.

A block is some whole windows of the stream that one process reads, over the ends of files: so the posts share their
batches with the same others, and scores are the same to the last bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby, islice
from typing import NamedTuple

from more_itertools import chunked

from flair_espvr.data.formats.detect import Format
from flair_espvr.data.formats.parquet import SUFFIX, row_count
from flair_espvr.data.post import BadPost, Post
from flair_espvr.tagging.raw_posts import START, Place, raw_posts, with_format
from flair_espvr.tagging.sources import PostFile


@dataclass(frozen=True)
class Piece:
    """Consecutive posts of one file.

    Attributes:
        file: Its place among the files.
        start: Where the first begins.
        posts: How many, malformed ones included.
        kind: The format of text; None in Parquet.
    """

    file: int
    start: Place
    posts: int
    kind: Format | None


@dataclass(frozen=True)
class Block:
    """Consecutive posts of some files.

    Attributes:
        number: Of the block, from 0.
        pieces: What it consists of.
        digest: Of where its posts are and, in text, of their bytes.
    """

    number: int
    pieces: tuple[Piece, ...]
    digest: str

    @property
    def name(self) -> str:
        """A name that no other block has, nor the same one when its posts have changed; in the order of posts."""
        return f"{self.number:08}-{self.digest}"

    @property
    def posts(self) -> int:
        """How many, malformed ones included."""
        return sum(piece.posts for piece in self.pieces)


def blocks_of(files: Sequence[PostFile], size: int) -> Iterator[Block]:
    """Cut files into blocks. Text is read, not parsed; of Parquet only the number of rows.

    Args:
        files: Files, none of them standard input.
        size: Posts of each block but the last.

    Raises:
        OSError: A file cannot be opened.
    """
    slots = (slot for place, file in enumerate(files) for slot in _slots(place, file))
    for number, own in enumerate(chunked(slots, size)):
        digest = blake2b(digest_size=8)
        pieces = []
        for place, group in groupby(own, key=lambda slot: slot.file):
            of_file = list(group)
            piece = Piece(place, of_file[0].start, len(of_file), of_file[0].kind)
            pieces.append(piece)
            digest.update(repr((str(files[place].path), piece)).encode())
            for slot in of_file:
                digest.update(slot.content)
        yield Block(number, tuple(pieces), digest.hexdigest())


def block_posts(block: Block, files: Sequence[PostFile], *, keep_bad: bool = False) -> Iterator[Post | BadPost]:
    """Yield the posts of a block of these files; see `PostFile.posts`."""
    for piece in block.pieces:
        posts = files[piece.file].posts(piece.start, piece.kind, keep_bad=keep_bad)
        yield from islice(posts, piece.posts)


class _Slot(NamedTuple):
    """A post or what should be one, where it begins, and what tells it from others."""

    file: int
    kind: Format | None
    start: Place
    content: bytes


def _slots(place: int, file: PostFile) -> Iterator[_Slot]:
    if file.path.suffix == SUFFIX:
        status = file.path.stat()
        edition = f"{status.st_size} {status.st_mtime_ns}".encode()
        for row in range(row_count(file.path)):
            yield _Slot(place, None, Place(0, row, row), edition)
        return
    with open(file.path, "rb") as stream:
        kind, lines = with_format(stream, file.path)
        start = START
        for raw in raw_posts(lines, kind):
            yield _Slot(place, kind, start, b"".join(raw.lines))
            start = raw.end
