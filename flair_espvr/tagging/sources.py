"""Posts to be tagged, one at a time: from JSONL, from column files with tags or without, from standard input."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from flair_espvr.data.formats.columns import parse_columns
from flair_espvr.data.formats.conll2003 import words_and_tags
from flair_espvr.data.formats.contexts import read_contexts
from flair_espvr.data.formats.detect import format_of_line, post_files
from flair_espvr.data.formats.jsonl import parse_jsonl
from flair_espvr.data.formats.records import image_id_of
from flair_espvr.data.metadata import CAPTION
from flair_espvr.data.post import Context, Post
from flair_espvr.data.post_folder import context_files, image_folder
from flair_espvr.images.folder import ImageFolder
from flair_espvr.images.loading import PathBelow
from flair_espvr.io.lines import read_lines

STDIN = Path("/dev/stdin")


def single_post(
    text: str, *, image: str | None = None, caption: str | None = None, images_below: Path | None = None
) -> Iterator[Post]:
    """A text, its picture's path and its caption as a stream of one post; the picture may be anywhere by default."""
    fields = {"text": text, "image": image, CAPTION: caption}
    line = json.dumps({name: value for name, value in fields.items() if value is not None})
    return parse_untagged_posts([(1, line)], source="--text", folder=Path(), named_below=images_below)


def posts_from(
    inputs: Sequence[str],
    *,
    images: Path | None = None,
    contexts: Mapping[str, Path] | None = None,
    images_below: Path | None = None,
) -> tuple[Iterator[Post], list[ImageFolder]]:
    """The posts of files, folders and standard input, not read yet.

    Args:
        inputs: files; folders, whose files of posts are taken by name, with pictures in their folder `images` or, where
            that is missing, beside the posts, and captions and other contexts in their `CONTEXT_FILES`; `-` for
            standard input.
        images: pictures by image id, in place of those of folders.
        contexts: files of captions and other contexts by metadata key, in place of those of folders.
        images_below: no picture outside of this folder is read, links followed. By default, pictures that posts name
            and those of folders are read below the posts' own folder (for standard input, the working directory), and
            those of `images` anywhere.

    Returns:
        the posts, and the folders in which their pictures are looked up.

    Raises:
        OSError: a file of posts is not there.
        ConfigurationError: a folder has no posts, or is no folder of pictures, or a file of contexts is not there.
        PostFormatError: a file of contexts cannot be read.
    """
    given = None if images is None else ImageFolder(images)
    told = read_contexts(contexts or {})
    folders = [] if given is None else [given]
    streams = []
    for name in inputs:
        path = STDIN if name == "-" else Path(name)
        if not path.is_dir():
            path.stat()
            below = images_below or _folder_of(path)
            streams.append(
                read_untagged_posts(path, images=given, contexts=told, named_below=below, found_below=images_below)
            )
            continue
        files = post_files(path)
        beside = given
        if beside is None:
            beside = ImageFolder(image_folder(path))
            folders.append(beside)
        own = {key: file for key, file in context_files(path).items() if key not in told}
        known = {**read_contexts(own), **told}
        below = images_below or path
        found_below = below if given is None else images_below
        streams += [
            read_untagged_posts(file, images=beside, contexts=known, named_below=below, found_below=found_below)
            for file in files
        ]
    return chain.from_iterable(streams), folders


def read_untagged_posts(
    path: Path,
    *,
    images: ImageFolder | None = None,
    contexts: Mapping[str, Mapping[str, Context]] | None = None,
    named_below: Path | None = None,
    found_below: Path | None = None,
) -> Iterator[Post]:
    """The posts of a file, or of standard input for the path `STDIN`, one at a time.

    The first line tells the format, see `format_of_line`. Tags and entities in the file are ignored. See
    `parse_untagged_posts` for the other arguments.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is not what it should be; the posts before it have been given.
    """
    yield from parse_untagged_posts(
        read_lines(path),
        source=path,
        folder=_folder_of(path),
        images=images,
        contexts=contexts,
        named_below=named_below,
        found_below=found_below,
    )


def parse_untagged_posts(
    lines: Iterable[tuple[int, str]],
    *,
    source: str | Path,
    folder: Path,
    images: ImageFolder | None = None,
    contexts: Mapping[str, Mapping[str, Context]] | None = None,
    named_below: Path | None = None,
    found_below: Path | None = None,
) -> Iterator[Post]:
    """The posts of numbered lines, each with its JSON object in `Post.record`.

    Args:
        lines: `(number, line)`, as `read_lines` gives them.
        source: what messages call the place they are from.
        folder: what the pictures that JSONL posts name are relative to.
        images: pictures of the posts that name none or one that is not there, by image id.
        contexts: captions, objects and the like of the posts that have none of their own, by metadata key and image id.
        named_below: what the pictures that posts name are refused outside of, when they are read; None for nothing.
        found_below: the same for those found in `images`.

    Raises:
        PostFormatError: a line is not what it should be.
    """
    known = contexts or {}
    numbered = iter(lines)
    first = next(((number, line) for number, line in numbered if line.strip(" \t")), (0, ""))
    for post in _bare_posts(chain([first], numbered), source, folder, first[1]):
        assert post.image_id is not None
        picture = _bounded(post.image, named_below)
        if images is not None and (picture is None or not os.path.isfile(picture)):
            found = images.find(post.image_id)
            picture = _bounded(str(found), found_below) if found is not None else picture
        found_contexts = {key: values[post.image_id] for key, values in known.items() if post.image_id in values}
        yield replace(post, image=picture, contexts={**found_contexts, **post.contexts})


def _folder_of(path: Path) -> Path:
    """The folder of a file of posts."""
    return Path() if path == STDIN else path.parent


def _bounded(picture: str | None, below: Path | None) -> str | None:
    return picture if picture is None or below is None else PathBelow(picture, below)


def _bare_posts(lines: Iterator[tuple[int, str]], source: str | Path, folder: Path, first: str) -> Iterator[Post]:
    """Posts without tags and entities, each with an image id and its JSON object."""
    kind = format_of_line(first)
    if kind == "jsonl":
        for post in parse_jsonl(lines, source=source, folder=folder):
            assert post.record is not None
            post.record.pop("entities", None)
            yield post
        return
    if kind == "conll2003":
        lines = words_and_tags(lines, source=source)
    posts = parse_columns(lines, source=source, image_ids=kind == "imgid", tagged=False)
    for number, post in enumerate(posts, start=1):
        named = {} if post.image_id is None else {"id": post.image_id}
        record = {**named, "tokens": list(post.tokens or ())}
        yield replace(post, image_id=image_id_of(record, number), record=record)
