"""Posts with their entities, whatever their format, without Flair: what is converted and checked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from flair_espvr.data.bio import EntitySpan, bio_tags, invalid_positions, lenient_entities
from flair_espvr.data.formats.offsets import WordOffsets
from flair_espvr.data.formats.records import RecordEntity, RecordError, read_entities, unsplittable, with_entities
from flair_espvr.data.metadata import CAPTION
from flair_espvr.data.post import Post
from flair_espvr.data.words import split_text
from flair_espvr.io.lines import format_error


@dataclass(frozen=True)
class LabelledPost:
    """A post, its words and its entities.

    Attributes:
        post: as it was read.
        words: they are Flair's, where the post has a text.
        offsets: between the words and the offsets of the post's record.
        entities: tags are read leniently, as Flair reads them.
    """

    post: Post
    words: tuple[str, ...]
    offsets: WordOffsets
    entities: Sequence[RecordEntity]

    @property
    def repaired_tags(self) -> int:
        """How many entities open with an invalid tag in the post's file."""
        return len(invalid_positions(self.post.tags or ()))

    def to_post(self) -> Post:
        """Return the post with its words and valid BIO2 tags, and without its record."""
        spans = [EntitySpan(one.start, one.end, one.type) for one in self.entities]
        return replace(self.post, tokens=self.words, tags=tuple(bio_tags(len(self.words), spans)), record=None)

    def to_record(self) -> dict[str, Any]:
        """Return the post as a JSON object, its entities without scores: gold labels have none worth writing."""
        record = self.post.record or self._new_record()
        return with_entities(record, self.entities, self.offsets, scores=False)

    def _new_record(self) -> dict[str, Any]:
        named = {"id": self.post.image_id, "tokens": list(self.words), CAPTION: self.post.contexts.get(CAPTION)}
        return {field: value for field, value in named.items() if value is not None}


def labelled_post(post: Post) -> LabelledPost:
    """Return a post with its entities.

    Raises:
        PostFormatError: Flair cannot split its text, or an entity cuts a word, overlaps another or runs out of it.
    """
    if post.record is None:
        words = post.tokens or ()
        entities = [RecordEntity(*entity) for entity in lenient_entities(post.tags or ())]
        return LabelledPost(post, words, WordOffsets([(0, 0)] * len(words), None), entities)
    try:
        words, offsets = _words(post.record)
        return LabelledPost(post, words, offsets, read_entities(post.record, offsets))
    except RecordError as reason:
        raise format_error(post.source, post.line, json.dumps(post.record), f"a post as JSON ({reason})") from None


def _words(record: dict[str, Any]) -> tuple[tuple[str, ...], WordOffsets]:
    if "text" not in record:
        return tuple(record["tokens"]), WordOffsets([(0, 0)] * len(record["tokens"]), None)
    try:
        words = split_text(record["text"])
    except ValueError:
        raise unsplittable(record) from None
    return tuple(word.text for word in words), WordOffsets([word[1:] for word in words], record["text"])
