"""From a post in a column file to a labelled Flair sentence, and from a sentence to a post."""

from collections.abc import Mapping

from flair.data import Sentence

from flair_espvr.data.bio import Entity, bio_tags, invalid_positions, lenient_entities
from flair_espvr.data.formats.columns import Post
from flair_espvr.data.metadata import IMAGE_ID, metadata_or_none

INVALID_TAG = "invalid_tag"
"""Metadata of a gold label whose entity opens with an invalid `I-` tag: strict IOB2 does not count it."""


def post_sentence(post: Post, *, label_type: str = "ner", label_name_map: Mapping[str, str] | None = None) -> Sentence:
    """The sentence of a post: exactly its words, invisible ones included, and a span label for each entity.

    Args:
        post: its tags are read leniently, as Flair reads them; the label of an entity that opens with an invalid tag is
            marked with `INVALID_TAG`.
        label_type: the annotation layer that gets the labels.
        label_name_map: other names for some types.
    """
    names = label_name_map or {}
    sentence = Sentence(list(post.tokens))
    invalid = set(invalid_positions(post.tags))
    for start, end, type_ in lenient_entities(post.tags):
        marks = {INVALID_TAG: True} if start in invalid else {}
        sentence[start:end].add_label(label_type, names.get(type_, type_), **marks)
    if post.image_id is not None:
        sentence.add_metadata(IMAGE_ID, post.image_id)
    return sentence


def sentence_post(sentence: Sentence, *, label_type: str = "ner") -> Post:
    """The post of a sentence: its words, its entities under `label_type` as valid BIO2 tags, its image id if any."""
    entities = sentence_entities(sentence, label_type)
    return Post(
        image_id=metadata_or_none(sentence, IMAGE_ID),
        tokens=tuple(token.text for token in sentence),
        tags=tuple(bio_tags(len(sentence), entities)),
        line=0,
    )


def sentence_entities(sentence: Sentence, label_type: str, *, strict: bool = False) -> list[Entity]:
    """The entities that a sentence has under `label_type`, in order.

    Args:
        sentence: any sentence with span labels.
        label_type: the annotation layer.
        strict: whether to leave out entities that open with an invalid tag in their file.
    """
    entities = []
    for span in sentence.get_spans(label_type):
        label = span.get_label(label_type)
        if not (strict and INVALID_TAG in label.metadata):
            entities.append(Entity(span[0].idx - 1, span[-1].idx, label.value))
    return entities
