"""One post, wherever it was read: words or a text, with tags or without, and what belongs to it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from flair_espvr.data.metadata import CAPTION
from flair_espvr.data.picture_object import PictureObject, object_to_json
from flair_espvr.errors import PostFormatError
from flair_espvr.images.loading import content_key

Context: TypeAlias = str | list[str] | list[PictureObject]
"""A text about a post or its picture, or several, or the objects in the picture."""

Picture: TypeAlias = str | bytes
"""Where a picture should be, or the bytes of its file, which may turn out not to be one."""


@dataclass(frozen=True)
class Post:
    """One post as its file has it; `flair_espvr.data.sentences.post_sentence` makes a sentence of it.

    Attributes:
        image_id: the name of its picture; `None` where the format has none.
        tokens: its words, never empty strings; `None` where there is only the text in `record`.
        tags: one BIO2 tag per word, possibly invalid (see `flair_espvr.data.bio`); `None` for a post without tags.
        line: the line number, from 1, at which it begins; 0 where it is from no file.
        record: it as a JSON object (see `flair_espvr.data.formats.jsonl`), which its sentence keeps; `None` for a post
            that is to be known by its words alone.
        image: its picture, or several, in their order; `None` for none.
        contexts: what else is known about it, by metadata key, of `CONTEXTS`.
        source: where it was read, for messages.
        spaces: whether there are spaces between its words, where it has no text of its own.
    """

    image_id: str | None
    tokens: tuple[str, ...] | None
    tags: tuple[str, ...] | None = None
    line: int = 0
    record: dict[str, Any] | None = None
    image: Picture | tuple[Picture, ...] | None = None
    contexts: Mapping[str, Context] = field(default_factory=dict)
    source: str | Path = field(default="", compare=False)
    spaces: bool = True

    @property
    def images(self) -> tuple[Picture, ...]:
        """Its pictures, in their order."""
        if self.image is None:
            return ()
        return self.image if isinstance(self.image, tuple) else (self.image,)

    @property
    def picture_ids(self) -> list[str | None]:
        """The image ids of its pictures, one at least, its own first, then the names of the others' files."""
        return picture_ids(self.image_id, self.images)

    def fingerprint(self) -> bytes:
        """Bytes that tell whether a post is the same as one before: its content, and where its picture is."""
        others = dict(self.contexts)
        named = [content_key(image).hex() if isinstance(image, bytes) else image for image in self.images]
        image = named if len(named) > 1 else next(iter(named), None)
        values = [self.record, self.image_id, image, others.pop(CAPTION, None)]
        return json.dumps([*values, others] if others else values, default=object_to_json).encode() + b"\n"


def one_or_several(images: Sequence[Picture]) -> Picture | tuple[Picture, ...] | None:
    """Return pictures as `Post.image` has them."""
    return tuple(images) if len(images) > 1 else next(iter(images), None)


def picture_ids(image_id: str | None, images: Sequence[Any]) -> list[str | None]:
    """Return the image id of each of a post's pictures: the post's own for the first, else the name of its file.

    Args:
        image_id: the post's.
        images: its pictures; what is not a path has no name.
    """
    others = [Path(image).stem if isinstance(image, str | Path) else None for image in images[1:]]
    return [image_id, *others]


@dataclass(frozen=True)
class BadPost:
    """What should be a post and is none, put aside in its place.

    Attributes:
        file: where it was read.
        line: the number of the line that is wrong, from 1; of the row, in Parquet.
        reason: what is wrong with it.
        raw: its line as it was read; in column files all of its lines.
    """

    file: str
    line: int
    reason: str
    raw: str

    @classmethod
    def of(cls, error: PostFormatError, *, source: str | Path, raw: str) -> "BadPost":
        """Return what was read as `raw` and refused with an error."""
        reason = f"expected {error.expected}" if error.expected else str(error)
        return cls(str(source), error.line, reason, raw)

    def fingerprint(self) -> bytes:
        """Bytes that tell whether it is the same as one before, see `Post.fingerprint`."""
        return json.dumps([self.line, self.raw]).encode() + b"\n"
