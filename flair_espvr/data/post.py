"""One post, wherever it was read: words or a text, with tags or without, and what belongs to it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from flair_espvr.data.metadata import CAPTION
from flair_espvr.data.picture_object import PictureObject, object_to_json

Context: TypeAlias = str | list[PictureObject]
"""A text about a post or its picture, or the objects in the picture."""


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
        image: where its picture should be, which may turn out not to be one; `None` for no picture.
        contexts: what else is known about it, by metadata key, of `CONTEXTS`.
        source: where it was read, for messages.
    """

    image_id: str | None
    tokens: tuple[str, ...] | None
    tags: tuple[str, ...] | None = None
    line: int = 0
    record: dict[str, Any] | None = None
    image: str | None = None
    contexts: Mapping[str, Context] = field(default_factory=dict)
    source: str | Path = field(default="", compare=False)

    def fingerprint(self) -> bytes:
        """Bytes that tell whether a post is the same as one before: its content, and where its picture is."""
        others = dict(self.contexts)
        values = [self.record, self.image_id, self.image, others.pop(CAPTION, None)]
        return json.dumps([*values, others] if others else values, default=object_to_json).encode() + b"\n"
