"""From a post in a column file to a labelled Flair sentence, and from a sentence to a post."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from flair.data import Sentence

from flair_espvr.data.bio import EntitySpan, bio_tags, invalid_positions, lenient_entities
from flair_espvr.data.formats.record_sentences import record_sentence
from flair_espvr.data.formats.records import RecordError
from flair_espvr.data.metadata import IMAGE, IMAGE_ID, INVALID_TAG, metadata_or_none, sentence_images
from flair_espvr.data.post import Post
from flair_espvr.images.loading import PathBelow
from flair_espvr.io.lines import format_error


def post_sentence(post: Post, *, label_type: str = "ner", label_name_map: Mapping[str, str] | None = None) -> Sentence:
    """Return the sentence of a post, with a span label for each entity, and what belongs to the post as metadata.

    Args:
        post: one with words has exactly these, invisible ones included; a text is split as `Sentence(text)` does. Tags
            are read leniently, as Flair reads them; the label of an entity that opens with an invalid tag is marked
            with `INVALID_TAG`.
        label_type: the annotation layer that gets the labels.
        label_name_map: other names for some types.

    Raises:
        PostFormatError: Flair cannot split the text, or an entity cuts a word, overlaps another or runs out of it.
    """
    names = label_name_map or {}
    if post.record is None:
        sentence = _tagged_sentence(post, label_type, names)
    else:
        try:
            sentence = record_sentence(post.record, label_type=label_type, label_name_map=names)
        except RecordError as reason:
            raise format_error(post.source, post.line, json.dumps(post.record), f"a post as JSON ({reason})") from None
    if not post.spaces and "text" not in (post.record or {}):
        _join(sentence)
    image = list(post.image) if isinstance(post.image, tuple) else post.image
    for key, value in {IMAGE_ID: post.image_id, IMAGE: image, **post.contexts}.items():
        if value is not None:
            sentence.add_metadata(key, value)
    return sentence


def _join(sentence: Sentence) -> None:
    """Let no spaces stand between the words."""
    place = 0
    for token in sentence:
        token.whitespace_after, token.start_position = 0, place
        place += len(token.text)


def _tagged_sentence(post: Post, label_type: str, names: Mapping[str, str]) -> Sentence:
    sentence = Sentence(list(post.tokens or ()))
    tags = post.tags or ()
    invalid = set(invalid_positions(tags))
    for start, end, type_ in lenient_entities(tags):
        marks = {INVALID_TAG: True} if start in invalid else {}
        sentence[start:end].add_label(label_type, names.get(type_, type_), **marks)
    return sentence


def bound_images(sentences: Iterable[Sentence], folder: Path, *, found_in: Path | None = None) -> None:
    """Let the pictures that sentences name be read from now on only where they are below a folder.

    Args:
        sentences: Their metadata is changed.
        folder: What pictures have to be below, links followed.
        found_in: A folder of pictures whose own files are left as they are.
    """
    for sentence in sentences:
        images = sentence_images(sentence)
        for place, image in enumerate(images):
            if isinstance(image, str | Path) and (found_in is None or Path(image).parent != found_in):
                images[place] = PathBelow(str(image), folder)
        if images:
            sentence.add_metadata(IMAGE, images if len(images) > 1 else images[0])


def sentence_post(sentence: Sentence, *, label_type: str = "ner") -> Post:
    """Return the post of a sentence: words, valid BIO2 tags of its entities under `label_type`, any image id."""
    entities = sentence_entities(sentence, label_type)
    return Post(
        image_id=metadata_or_none(sentence, IMAGE_ID),
        tokens=tuple(token.text for token in sentence),
        tags=tuple(bio_tags(len(sentence), entities)),
        line=0,
    )


def sentence_entities(sentence: Sentence, label_type: str, *, strict: bool = False) -> list[EntitySpan]:
    """Return the entities that a sentence has under `label_type`, in order.

    Args:
        sentence: any sentence with span labels.
        label_type: the annotation layer.
        strict: whether to leave out entities that open with an invalid tag in their file.
    """
    entities = []
    for span in sentence.get_spans(label_type):
        label = span.get_label(label_type)
        if not (strict and INVALID_TAG in label.metadata):
            entities.append(EntitySpan(span[0].idx - 1, span[-1].idx, label.value))
    return entities
