"""Posts to be tagged, one at a time: from JSONL, Parquet, column files with tags or without, standard input."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, overload

from flair_espvr.data.formats.contexts import contexts_of, read_contexts
from flair_espvr.data.formats.detect import Format, post_files
from flair_espvr.data.formats.parquet import SUFFIX, parsed_row, read_rows, row_count
from flair_espvr.data.metadata import CAPTION
from flair_espvr.data.post import BadPost, Context, Picture, Post, one_or_several
from flair_espvr.data.post_folder import context_files, image_folder
from flair_espvr.errors import PostFormatError
from flair_espvr.images.folder import ImageFolder
from flair_espvr.images.loading import PathBelow
from flair_espvr.tagging.raw_posts import START, Place, parsed_post, raw_posts, with_format

STDIN = Path("/dev/stdin")


@dataclass(frozen=True)
class PostFile:
    """A file of posts, or standard input for the path `STDIN`, and where to look for what its posts do not bring along.

    Attributes:
        path: The file; named `.parquet`, it is Parquet, else its first line tells the format.
        images: Pictures of the posts that name none or one that is not there, by image id.
        contexts: Captions, objects and the like of the posts that have none of their own, by metadata key and image id.
        named_below: What the pictures that posts name are refused outside of, when they are read; None for nothing.
        found_below: The same for those found in `images`.
    """

    path: Path
    images: ImageFolder | None = None
    contexts: Mapping[str, Mapping[str, Context]] = field(default_factory=dict)
    named_below: Path | None = None
    found_below: Path | None = None

    def posts(
        self, start: Place = START, kind: Format | None = None, *, keep_bad: bool = False
    ) -> Iterator[Post | BadPost]:
        """Yield the posts from a place on, one at a time, each with its JSON object. Tags and entities are ignored.

        Args:
            start: The first post's place.
            kind: The format of text; None where it is told by the first line, with which `start` is the beginning.
            keep_bad: Give a malformed post as a `BadPost`, and go on.

        Raises:
            OSError: The file cannot be opened.
            PostFormatError: A post is malformed; those before it have been given.
        """
        if self.path.suffix == SUFFIX:
            yield from self._rows(start, keep_bad)
            return
        with open(self.path, "rb") as file:
            if start.offset:
                file.seek(start.offset)
            yield from self.parsed(file, start, kind, keep_bad=keep_bad)

    def count(self) -> int | None:
        """How many posts there are, malformed ones included; None for what can be read once only, as a pipe.

        Raises:
            OSError: the file cannot be opened.
            PostFormatError: it is no Parquet, whatever its name says.
        """
        if not self.path.is_file():
            return None
        if self.path.suffix == SUFFIX:
            return row_count(self.path)
        with open(self.path, "rb") as file:
            kind, lines = with_format(file, self.path)
            return sum(1 for _ in raw_posts(lines, kind))

    def parsed(
        self, lines: Iterable[bytes], start: Place = START, kind: Format | None = None, *, keep_bad: bool = False
    ) -> Iterator[Post | BadPost]:
        """Yield the posts of the file's lines from a place on; arguments and errors are those of `posts`."""
        if kind is None:
            kind, lines = with_format(lines, self.path)
        for raw in raw_posts(lines, kind, start=start):
            try:
                yield self._completed(parsed_post(raw, kind, source=self.path, folder=self.folder))
            except PostFormatError as error:
                if not keep_bad:
                    raise
                yield BadPost.of(error, source=self.path, raw=raw.text)

    @property
    def folder(self) -> Path:
        """What the pictures that posts name are relative to."""
        return folder_of(self.path)

    def _rows(self, start: Place, keep_bad: bool) -> Iterator[Post | BadPost]:
        for number, row in read_rows(self.path, start=start.lines):
            try:
                yield self._completed(parsed_row(number, row, source=self.path, folder=self.folder))
            except PostFormatError as error:
                if not keep_bad:
                    raise
                hidden: dict[str, Any] = {name: "..." for name in ("image", "images") if name in row}
                yield BadPost.of(error, source=self.path, raw=repr({**row, **hidden}))

    def _completed(self, post: Post) -> Post:
        """Return a post with its picture and contexts from where they are looked up."""
        assert post.image_id is not None
        known = contexts_of(self.contexts, post.picture_ids)
        pictures = [_bounded(picture, self.named_below) for picture in post.images]
        if self.images is not None and not any(map(_is_there, pictures)):
            found = self.images.find(post.image_id)
            pictures = [_bounded(str(found), self.found_below)] if found is not None else pictures
        return replace(post, image=one_or_several(pictures), contexts={**known, **post.contexts})


def single_post(
    text: str,
    *,
    image: str | Sequence[str] | None = None,
    caption: str | None = None,
    contexts: Mapping[str, Path] | None = None,
    images_below: Path | None = None,
) -> Iterator[Post]:
    """Return a text, the paths of its pictures and its caption as a stream of one post.

    Args:
        text: what the post says.
        image: its picture, or several, anywhere by default.
        caption: what describes the picture.
        contexts: files of captions, objects and the like by metadata key, in which the pictures' names are looked up.
        images_below: the picture is not read outside of this folder.

    Raises:
        ConfigurationError: a file of contexts is not there.
        PostFormatError: a file of contexts cannot be read.
    """
    images = [image] if isinstance(image, str) else list(image or ())
    fields = {"text": text, "image": images if len(images) > 1 else next(iter(images), None), CAPTION: caption}
    line = json.dumps({name: value for name, value in fields.items() if value is not None})
    known = read_contexts(contexts or {})
    (post,) = PostFile(Path("--text"), contexts=known, named_below=images_below).parsed([line.encode()])
    assert isinstance(post, Post)
    return iter([post])


@overload
def posts_from(
    inputs: Sequence[str],
    *,
    images: Path | None = None,
    contexts: Mapping[str, Path] | None = None,
    images_below: Path | None = None,
) -> tuple[Iterator[Post], list[ImageFolder]]: ...


@overload
def posts_from(
    inputs: Sequence[str],
    *,
    images: Path | None = None,
    contexts: Mapping[str, Path] | None = None,
    images_below: Path | None = None,
    keep_bad: bool,
) -> tuple[Iterator[Post | BadPost], list[ImageFolder]]: ...


def posts_from(
    inputs: Sequence[str],
    *,
    images: Path | None = None,
    contexts: Mapping[str, Path] | None = None,
    images_below: Path | None = None,
    keep_bad: bool = False,
) -> tuple[Iterator[Any], list[ImageFolder]]:
    """Return the posts of files, folders and standard input, not read yet, and the folders of their pictures.

    Args:
        keep_bad: Give a malformed post as a `BadPost`, and go on.
        inputs, images, contexts, images_below: See `post_files_from`, which also says what is raised.
    """
    files, folders = post_files_from(inputs, images=images, contexts=contexts, images_below=images_below)
    return chain.from_iterable(file.posts(keep_bad=keep_bad) for file in files), folders


def post_files_from(
    inputs: Sequence[str],
    *,
    images: Path | None = None,
    contexts: Mapping[str, Path] | None = None,
    images_below: Path | None = None,
) -> tuple[list[PostFile], list[ImageFolder]]:
    """Return the files of posts that inputs stand for.

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
        the files, and the folders in which their pictures are looked up.

    Raises:
        OSError: a file of posts is not there.
        ConfigurationError: a folder has no posts, or is no folder of pictures, or a file of contexts is not there.
        PostFormatError: a file of contexts cannot be read.
    """
    given = None if images is None else ImageFolder(images)
    told = read_contexts(contexts or {})
    folders = [] if given is None else [given]
    found = []
    for name in inputs:
        path = STDIN if name == "-" else Path(name)
        if not path.is_dir():
            path.stat()
            below = images_below or folder_of(path)
            found.append(PostFile(path, given, told, named_below=below, found_below=images_below))
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
        found += [PostFile(file, beside, known, named_below=below, found_below=found_below) for file in files]
    return found, folders


def count_posts(inputs: Sequence[str]) -> int | None:
    """How many posts there are in inputs, see `post_files_from`; None where one can be read once only, as a pipe.

    Raises:
        OSError: a file cannot be opened.
        ConfigurationError: a folder has no posts.
        PostFormatError: a file is no Parquet, whatever its name says.
    """
    paths = [STDIN if name == "-" else Path(name) for name in inputs]
    files = [file for path in paths for file in (post_files(path) if path.is_dir() else [path])]
    counts = [PostFile(file).count() for file in files]
    return None if None in counts else sum(filter(None, counts))


def folder_of(path: Path) -> Path:
    """Return the folder of a file of posts."""
    return Path() if path == STDIN else path.parent


def _bounded(picture: Picture, below: Path | None) -> Picture:
    return picture if isinstance(picture, bytes) or below is None else PathBelow(picture, below)


def _is_there(picture: Picture) -> bool:
    return isinstance(picture, bytes) or os.path.isfile(picture)
