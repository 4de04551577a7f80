"""Posts in column files: one word and its tag per line, as UMT's authors publish Twitter-2015 and Twitter-2017.

    IMGID:17_06_12483
    Blackburn<TAB>B-MISC
    Festival<TAB>I-MISC
    rocks<TAB>O
    <blank line>

The separator is a TAB or, on a line without one, a single space. Nothing else separates: words of U+200B, U+00A0 and
the like occur in real posts and are words. Plain two-column CoNLL is the same without the `IMGID:` lines.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from flair_espvr.data.bio import is_bio_tag
from flair_espvr.errors import PostFormatError
from flair_espvr.io.lines import format_error, read_lines

IMAGE_ID_PREFIX = "IMGID:"


@dataclass(frozen=True)
class Post:
    """One post as its file has it.

    Attributes:
        image_id: the name of its picture; `None` where the format has none.
        tokens: its words, never empty strings.
        tags: one BIO2 tag per word, possibly invalid (see `flair_espvr.data.bio`).
        line: the line number, from 1, at which it begins; 0 where it is not from a column file.
    """

    image_id: str | None
    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    line: int


def read_posts(path: str | Path, *, image_ids: bool = True) -> Iterator[Post]:
    """The posts of a column file, one at a time.

    Args:
        path: UTF-8, lines ending in LF or CRLF, with or without a byte order mark and a last blank line.
        image_ids: whether every post opens with an `IMGID:` line; False reads plain CoNLL.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is not what it should be; the message names file, line and what was expected.
    """
    image_id: str | None = None
    words: list[tuple[str, str]] = []
    first_line = 0  # of the post being read; 0 between posts
    for number, line in read_lines(path):
        if not line.strip(" \t"):
            if first_line:
                yield _post(image_id, words, first_line)
            image_id, words, first_line = None, [], 0
        elif image_ids and not first_line:
            image_id, first_line = _image_id(path, number, line), number
        else:
            words.append(_word_and_tag(path, number, line))
            first_line = first_line or number
    if first_line:
        yield _post(image_id, words, first_line)


def write_posts(posts: Iterable[Post], file: BinaryIO, *, image_ids: bool = True) -> int:
    """Write posts as a column file that `read_posts` reads back unchanged; returns how many.

    Args:
        posts: what to write.
        file: a binary file, for instance from `flair_espvr.io.atomic.atomic_write`.
        image_ids: whether to open each post with its `IMGID:` line; False writes plain CoNLL.

    Raises:
        PostFormatError: a post cannot be said in this format: no image id, no words (in plain CoNLL), or a TAB or
            line end inside a word.
    """
    count = 0
    for post in posts:
        if image_ids and not (post.image_id or "").strip(" \t"):
            raise _unwritable(post, "it has no image id")
        if not image_ids and not post.tokens:
            raise _unwritable(post, "it has no words")
        if any(separator in word for word in (*post.tokens, post.image_id or "") for separator in "\t\r\n"):
            raise _unwritable(post, "its image id or a word of it has a TAB or a line end inside")
        opening = f"{IMAGE_ID_PREFIX}{post.image_id}\n" if image_ids else ""
        words = "".join(f"{word}\t{tag}\n" for word, tag in zip(post.tokens, post.tags, strict=True))
        file.write(f"{opening}{words}\n".encode())
        count += 1
    return count


def _unwritable(post: Post, reason: str) -> PostFormatError:
    start = " ".join(post.tokens[:5])
    return PostFormatError(
        f"image id {post.image_id!r}, {start!r}...: {reason}, so a column file cannot hold this post"
    )


def _image_id(path: str | Path, number: int, line: str) -> str:
    image_id = line.removeprefix(IMAGE_ID_PREFIX).strip(" \t")
    if not line.startswith(IMAGE_ID_PREFIX) or not image_id:
        raise format_error(path, number, line, f"'{IMAGE_ID_PREFIX}<id>', the first line of a post")
    return image_id


def _word_and_tag(path: str | Path, number: int, line: str) -> tuple[str, str]:
    fields = line.split("\t" if "\t" in line else " ")
    if len(fields) != 2 or not fields[0] or not is_bio_tag(fields[1]):
        raise format_error(
            path, number, line, "'word<TAB>tag' with a tag O, B-TYPE or I-TYPE, or a blank line after a post"
        )
    return fields[0], fields[1]


def _post(image_id: str | None, words: list[tuple[str, str]], line: int) -> Post:
    return Post(image_id, tuple(word for word, _ in words), tuple(tag for _, tag in words), line)
