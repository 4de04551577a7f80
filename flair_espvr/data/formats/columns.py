"""Posts in column files: one word and its tag per line, as UMT's authors publish Twitter-2015 and Twitter-2017.

    IMGID:17_06_12483
    Blackburn<TAB>B-MISC
    Festival<TAB>I-MISC
    rocks<TAB>O
    <blank line>

The separator is a TAB or, on a line without one, a single space. Nothing else separates: words of U+200B, U+00A0 and
the like occur in real posts and are words. Plain two-column CoNLL is the same without the `IMGID:` lines. Tags are BIO
or BIOES, which posts have as BIO.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from flair_espvr.data.bio import bio_from_bioes, is_tag
from flair_espvr.data.formats.detect import IMAGE_ID_PREFIX
from flair_espvr.data.post import Post
from flair_espvr.errors import PostFormatError
from flair_espvr.io.lines import format_error, read_lines


def read_posts(path: str | Path, *, image_ids: bool = True, spaces: bool = True) -> Iterator[Post]:
    """Return the tagged posts of a column file, one at a time.

    Args:
        path: UTF-8, lines ending in LF or CRLF, with or without a byte order mark and a last blank line.
        image_ids: whether every post opens with an `IMGID:` line; False reads plain CoNLL.
        spaces: whether texts have spaces between words; False for Chinese, say, so that entities and pages show the
            text as it was written.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is not what it should be; the message names file, line and what was expected.
    """
    posts = parse_columns(read_lines(path), source=path, image_ids=image_ids, tagged=True)
    return posts if spaces else (replace(post, spaces=False) for post in posts)


def parse_columns(
    lines: Iterable[tuple[int, str]], *, source: str | Path, image_ids: bool, tagged: bool
) -> Iterator[Post]:
    """Yield the posts of numbered lines in columns.

    Args:
        lines: `(number, line)`, as `read_lines` gives them.
        source: what messages call the place they are from.
        image_ids: whether every post opens with an `IMGID:` line.
        tagged: whether every word has its tag; otherwise tags may be missing, and are ignored.

    Raises:
        PostFormatError: a line is not what it should be; the posts before it have been given.
    """
    image_id: str | None = None
    words: list[str] = []
    tags: list[str] = []
    first_line = 0  # of the post being read; 0 between posts
    for number, line in chain(lines, [(0, "")]):
        if not line.strip(" \t"):
            if first_line:
                bio = tuple(bio_from_bioes(tags)) if tagged else None
                yield Post(image_id, tuple(words), bio, first_line, source=source)
            image_id, words, tags, first_line = None, [], [], 0
        elif image_ids and not first_line:
            image_id, first_line = _image_id(source, number, line), number
        else:
            word, tag = _word_and_tag(source, number, line, tagged=tagged)
            words.append(word)
            tags.append(tag)
            first_line = first_line or number


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
        if post.tokens is None or post.tags is None:
            raise _unwritable(post, "it has no tags")
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
    start = " ".join((post.tokens or ())[:5])
    return PostFormatError(
        f"image id {post.image_id!r}, {start!r}...: {reason}, so a column file cannot hold this post"
    )


def _image_id(path: str | Path, number: int, line: str) -> str:
    image_id = line.removeprefix(IMAGE_ID_PREFIX).strip(" \t")
    if not line.startswith(IMAGE_ID_PREFIX) or not image_id:
        raise format_error(path, number, line, f"'{IMAGE_ID_PREFIX}<id>', the first line of a post")
    return image_id


def _word_and_tag(path: str | Path, number: int, line: str, *, tagged: bool) -> tuple[str, str]:
    word, *tags = line.split("\t" if "\t" in line else " ")
    if not word or len(tags) > 1 or (tagged and not tags) or not all(map(is_tag, tags)):
        fields = "'word<TAB>tag'" if tagged else "'word' or 'word<TAB>tag'"
        tag = "O, B-TYPE or I-TYPE (in BIOES also E-TYPE or S-TYPE)"
        raise format_error(path, number, line, f"{fields} with a tag {tag}, or a blank line after a post")
    return word, tags[0] if tags else "O"
