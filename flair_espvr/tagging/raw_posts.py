"""Text files of posts as the lines of one post after the other, not parsed yet: what is read, and cut into blocks."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from flair_espvr.data.formats.columns import parse_columns
from flair_espvr.data.formats.conll2003 import words_and_tags
from flair_espvr.data.formats.detect import DOCUMENT_START, Format, format_of_line
from flair_espvr.data.formats.jsonl import parse_jsonl
from flair_espvr.data.formats.records import image_id_of
from flair_espvr.data.post import Post
from flair_espvr.io.lines import bare_line, decoded_line, shown_bytes


class Place(NamedTuple):
    """A place in a file, between two posts.

    Attributes:
        offset: Bytes before it.
        lines: Lines before it; rows, in Parquet.
        posts: Posts before it.
    """

    offset: int = 0
    lines: int = 0
    posts: int = 0


START = Place()

_DOCUMENT_START = DOCUMENT_START.encode()


class RawPost(NamedTuple):
    """The lines of a post, with their ends, and the place after them."""

    lines: tuple[bytes, ...]
    end: Place

    @property
    def first_line(self) -> int:
        """The number of its first line, from 1."""
        return self.end.lines - len(self.lines) + 1

    @property
    def text(self) -> str:
        """Its lines as text, whatever their bytes."""
        bare = (bare_line(number, line) for number, line in enumerate(self.lines, start=self.first_line))
        return "\n".join(map(shown_bytes, bare))


def with_format(lines: Iterable[bytes], source: str | Path) -> tuple[Format, Iterator[bytes]]:
    """Return the format of a file's lines, told by the first with anything in it, and all of these lines.

    A file named `.jsonl` is JSONL, whatever its first line has come to.
    """
    numbered, read, first = enumerate(lines, start=1), [], b""
    for number, line in numbered:
        read.append(line)
        first = bare_line(number, line)
        if first.strip(b" \t"):
            break
    kind: Format = "jsonl" if Path(source).suffix == ".jsonl" else format_of_line(shown_bytes(first))
    return kind, chain(read, (line for _, line in numbered))


def raw_posts(lines: Iterable[bytes], kind: Format, *, start: Place = START) -> Iterator[RawPost]:
    """Cut lines into posts: a line each in JSONL, what stands between blank lines in columns.

    Args:
        lines: Those of a file, with their ends.
        kind: Its format.
        start: The place of the first.
    """
    offset, number, posts = start
    own: list[bytes] = []
    end = offset  # after the last of its own lines
    for line in lines:
        is_blank = _is_between_posts(bare_line(number + 1, line), kind)
        if is_blank and own:
            posts += 1
            yield RawPost(tuple(own), Place(end, number, posts))
            own = []
        offset += len(line)
        number += 1
        if is_blank:
            continue
        if kind == "jsonl":
            posts += 1
            yield RawPost((line,), Place(offset, number, posts))
        else:
            own.append(line)
            end = offset
    if own:
        yield RawPost(tuple(own), Place(end, number, posts + 1))


def _is_between_posts(line: bytes, kind: Format) -> bool:
    text = line.strip(b" \t")
    return not text or (kind == "conll2003" and text.replace(b"\t", b" ").split(b" ", 1)[0] == _DOCUMENT_START)


def parsed_post(raw: RawPost, kind: Format, *, source: str | Path, folder: Path) -> Post:
    """Return the post in some lines, without tags and entities, with an image id and its JSON object.

    Args:
        raw: The lines.
        kind: Their format.
        source: What messages call the place they are from.
        folder: What a picture that it names is relative to.

    Raises:
        PostFormatError: A line is not what it should be.
    """
    numbered = [(number, decoded_line(source, number, line)) for number, line in enumerate(raw.lines, raw.first_line)]
    if kind == "jsonl":
        (post,) = parse_jsonl(numbered, source=source, folder=folder)
        assert post.record is not None
        post.record.pop("entities", None)
        return post
    columns = words_and_tags(numbered, source=source) if kind == "conll2003" else numbered
    (post,) = parse_columns(columns, source=source, image_ids=kind == "imgid", tagged=False)
    named = {} if post.image_id is None else {"id": post.image_id}
    record = {**named, "tokens": list(post.tokens or ())}
    return Post(image_id_of(record, raw.end.posts), post.tokens, line=post.line, record=record, source=source)
