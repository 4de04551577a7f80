"""One's own posts as JSONL: one object per line.

    {"id": "7", "text": "Kevin Durant enters Oracle Arena", "image": "pictures/7.jpg", "caption": "a man in a suit",
     "entities": [{"start": 0, "end": 12, "type": "PER"}, {"start": 20, "end": 32, "type": "LOC"}]}

Offsets count characters of `"text"`, or words where a post gives `"tokens"` instead; `end` is exclusive. Every field
but `"text"` or `"tokens"` may be missing. `"image"` is relative to the file's folder. An encoder may also read
`"tags"`, `"ocr"` and `"knowledge"`, where they are strings. `"objects"` are those in the picture, in the form of
`flair_espvr.data.formats.objects`. Further fields are kept.

A gold entity may say where the picture shows it: `"regions": [[left, top, right, bottom], ...]` in fractions of the
picture, `[]` where the picture does not show it, nothing or `null` where nobody has looked.

A post may have several pictures: `"image": ["a.jpg", "b.jpg"]`, or `"images"` in its place; `"caption"` may be a list
too. What is on another picture than the first says on which, counted from 0: a gold region as `{"image": 1, "box":
[left, top, right, bottom]}`, a predicted one and an object by a field `"image"`.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from flair_espvr.data.formats.overlaps import Keep, overlapping, without_overlaps
from flair_espvr.data.formats.records import (
    RecordError,
    image_id_of,
    parse_record,
    record_contexts,
    record_images,
    record_line,
)
from flair_espvr.data.post import Post, one_or_several
from flair_espvr.errors import PostFormatError
from flair_espvr.images.loading import is_web_address
from flair_espvr.io.lines import format_error, read_lines

log = logging.getLogger("flair.espvr.data")

Made = TypeVar("Made")


def read_jsonl_posts(path: str | Path) -> Iterator[Post]:
    """Return the posts of a JSONL file, one at a time; `post_sentence` gives each with its entities.

    Args:
        path: the file; pictures are relative to its folder.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is no post; the posts before it have been given.
    """
    return parse_jsonl(read_lines(path), source=path, folder=Path(path).parent)


def parse_jsonl(
    lines: Iterable[tuple[int, str]],
    *,
    source: str | Path,
    folder: Path,
    on_error: Callable[[PostFormatError], None] | None = None,
) -> Iterator[Post]:
    """Yield the posts of numbered lines of JSON.

    Args:
        lines: `(number, line)`, as `read_lines` gives them.
        source: what messages call the place they are from.
        folder: what the pictures that posts name are relative to.
        on_error: called with the error of each malformed post, which is then left out. Without it, the first is raised.

    Raises:
        PostFormatError: a line is no post.
    """
    for number, line in lines:
        if not line.strip(" \t"):
            continue
        try:
            record = parse_record(line)
            contexts = record_contexts(record)
        except RecordError as reason:
            error = format_error(source, number, line, f"a post as JSON ({reason})")
            if on_error is None:
                raise error from None
            on_error(error)
            continue
        yield Post(
            image_id=image_id_of(record, number),
            tokens=tuple(record["tokens"]) if "tokens" in record else None,
            line=number,
            record=record,
            image=one_or_several([_place(folder, image) for image in record_images(record)]),
            contexts=contexts,
            source=source,
        )


def made_of_jsonl(
    lines: Iterable[tuple[int, str]],
    make: Callable[[Post], Made],
    *,
    source: str | Path,
    folder: Path,
    flatten: Keep | None = None,
    keep_missing: bool = False,
    on_error: Callable[[PostFormatError], None] | None = None,
) -> Iterator[Made]:
    """Yield what is made of each post in numbered lines of JSON, without a picture that is not there.

    Of several pictures those that are not there stay, so that the others keep their places, unless none is there.
    Warnings at the end count such pictures, and the entities that were left out.

    Args:
        lines, source, folder, on_error: see `parse_jsonl`.
        make: makes something of a post, or raises a `PostFormatError` about it.
        flatten: which of overlapping entities stay.
        keep_missing: whether posts keep the name of a picture that is not there.

    Raises:
        PostFormatError: a post is malformed, as are its entities; where these overlap, the error counts them.
    """
    missing: list[str] = []
    addresses = dropped = 0
    posts = parse_jsonl(lines, source=source, folder=folder, on_error=on_error)
    for post in posts:
        absent = [] if keep_missing else _absent(post)
        if absent:
            named = [image for image in absent if not is_web_address(image)]
            missing += named
            addresses += len(absent) - len(named)
            if len(absent) == len(post.images):
                post = replace(post, image=None)
        if flatten is not None and post.record is not None and (entities := post.record.get("entities")):
            kept = without_overlaps(entities, flatten)
            dropped += len(entities) - len(kept)
            post = replace(post, record={**post.record, "entities": kept})
        try:
            made = make(post)
        except PostFormatError as error:
            if on_error is None and _overlapping(post):
                raise _with_count(error, post, posts) from None
            if on_error is None:
                raise
            on_error(error)
            continue
        yield made
    if addresses:
        log.warning("%s: %d of the pictures it names are web addresses, which are not fetched", source, addresses)
    if missing:
        log.warning("%s: %d of the pictures it names are not there, the first is %s", source, len(missing), missing[0])
    if dropped:
        log.warning("%s: %d entities that overlap others were left out (%s stay)", source, dropped, flatten)


def write_records(records: Iterable[Mapping[str, Any]], file: BinaryIO) -> int:
    """Write JSON objects a line each; returns how many.

    Raises:
        PostFormatError: one has what JSON cannot represent, as a score that is NaN.
    """
    count = 0
    for record in records:
        file.write(record_line(record))
        count += 1
    return count


def _overlapping(post: Post) -> int:
    return overlapping((post.record or {}).get("entities") or [])


def _with_count(error: PostFormatError, first: Post, others: Iterator[Post]) -> PostFormatError:
    """Return the error of the first post with overlapping entities, with the count of these from there on."""
    counts = [_overlapping(first)]
    with suppress(PostFormatError):
        counts += filter(None, map(_overlapping, others))
    return PostFormatError(
        f"{error}; {sum(counts)} entities of {len(counts)} posts overlap others, and none can be nested here: "
        "flair-espvr convert --flatten outermost (or innermost) keeps one of each"
    )


def _absent(post: Post) -> list[str]:
    """Return the pictures that a post names and that are not there."""
    return [image for image in post.images if isinstance(image, str) and not os.path.isfile(image)]


def _place(folder: Path, image: str) -> str:
    return image if is_web_address(image) else str(folder / image)
