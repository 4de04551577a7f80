"""Between a post's JSON object and Flair's sentence of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flair.data import Sentence

from flair_espvr.data.formats.offsets import WordOffsets
from flair_espvr.data.formats.records import RecordEntity, read_entities, unsplittable, with_entities
from flair_espvr.data.metadata import CONTEXTS, IMAGE_ID, OBJECTS, RECORD, metadata_or_none, sentence_images
from flair_espvr.data.picture_object import object_to_json


def record_sentence(record: dict[str, Any], *, label_type: str, label_name_map: Mapping[str, str]) -> Sentence:
    """Return the labelled sentence of a record, which it keeps as metadata.

    Raises:
        RecordError: an entity is malformed, cuts a word, overlaps another or runs out of the post.
    """
    try:
        sentence = Sentence(record["text"] if "text" in record else record["tokens"])
    except ValueError:
        raise unsplittable(record) from None
    sentence.add_metadata(RECORD, record)
    for one in read_entities(record, _offsets(sentence, record)):
        type_ = label_name_map.get(one.type, one.type)
        sentence[one.start : one.end].add_label(label_type, type_, one.score, **one.metadata)
    return sentence


def sentence_record(sentence: Sentence, *, label_type: str, scores: bool) -> dict[str, Any]:
    """Return the record a sentence was read from, or a new one, with its present entities under `label_type`."""
    record = metadata_or_none(sentence, RECORD) or _new_record(sentence)
    entities = []
    for span in sentence.get_spans(label_type):
        label = span.get_label(label_type)
        entities.append(RecordEntity(span[0].idx - 1, span[-1].idx, label.value, label.score, label.metadata))
    return with_entities(record, entities, _offsets(sentence, record), scores=scores)


def _offsets(sentence: Sentence, record: Mapping[str, Any]) -> WordOffsets:
    return WordOffsets([(token.start_position, token.end_position) for token in sentence], record.get("text"))


def _new_record(sentence: Sentence) -> dict[str, Any]:
    images = sentence_images(sentence)
    named = [str(image) for image in images if isinstance(image, str | Path)]
    named = named if len(named) == len(images) else []  # all or none: regions count them
    values = {
        "id": metadata_or_none(sentence, IMAGE_ID),
        "tokens": [token.text for token in sentence],
        "image": named if len(named) > 1 else next(iter(named), None),
        **{key: metadata_or_none(sentence, key) for key in CONTEXTS},
    }
    if values[OBJECTS] is not None:
        values[OBJECTS] = [dict(object_to_json(found)) for found in values[OBJECTS]]
    return {field: value for field, value in values.items() if value is not None}
