"""One post as a JSON object, and the entities in it; `flair_espvr.data.formats.jsonl` describes the format."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

from flair_espvr.data.formats.objects import parse_objects
from flair_espvr.data.formats.offsets import WordOffsets
from flair_espvr.data.metadata import CONTEXTS, GROUNDED, OBJECTS, REGION, REGIONS
from flair_espvr.data.post import Context
from flair_espvr.data.region import Region, checked_box
from flair_espvr.errors import PostFormatError


class RecordError(Exception):
    """What is wrong with one post; the reader adds where it stands."""


class RecordEntity(NamedTuple):
    """An entity of a post: words `start` to `end` (exclusive), its type and score, and metadata as a label has it."""

    start: int
    end: int
    type: str
    score: float = 1.0
    metadata: Mapping[str, Any] = {}


def parse_record(line: str) -> dict[str, Any]:
    """Return the JSON object of a line, checked but for its entities.

    Raises:
        RecordError: it is no such object.
    """
    try:
        record = json.loads(line)
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeEncodeError:
        raise RecordError("it has half of a surrogate pair, which is no character") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"it is no JSON ({error})") from None
    if isinstance(record, list):
        raise RecordError("it is an array; put each post on a line of its own")
    if not isinstance(record, dict):
        raise RecordError("it is no object")
    name = _name(record)
    match record:
        case {"text": _, "tokens": _}:
            raise RecordError(f"{name} has both 'text' and 'tokens'")
        case {"text": str()}:
            pass
        case {"tokens": list(tokens)} if all(isinstance(token, str) and token for token in tokens):
            pass
        case _:
            raise RecordError(f"{name} has neither 'text', a string, nor 'tokens', a list of non-empty strings")
    for field in ("image", "caption"):
        if not isinstance(record.get(field), str | None):
            raise RecordError(f"the {field!r} of {name} is no string")
    for field in ("entities", OBJECTS):
        if not isinstance(record.get(field), list | None):
            raise RecordError(f"the {field!r} of {name} are no list")
    return record


def record_contexts(record: Mapping[str, Any]) -> dict[str, Context]:
    """Return the texts and objects of a record that an encoder may read, by metadata key.

    Raises:
        RecordError: an object is malformed.
    """
    contexts: dict[str, Context] = {
        key: record[key] for key in CONTEXTS if isinstance(record.get(key), str) and record[key]
    }
    if record.get(OBJECTS) is not None:
        try:
            contexts[OBJECTS] = parse_objects(record[OBJECTS])
        except ValueError as error:
            raise RecordError(f"of the 'objects' of {_name(record)}, {error}") from None
    return contexts


def record_line(record: Mapping[str, Any]) -> bytes:
    """Return a record as a line of a JSONL file.

    Raises:
        PostFormatError: it has what JSON cannot represent: NaN, an infinite number or half of a surrogate pair.
    """
    try:
        return json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
    except ValueError as error:
        raise PostFormatError(f"{_name(record)} cannot be written as JSON ({error})") from error


def image_id_of(record: Mapping[str, Any], number: int) -> str:
    """Return the id of a post's picture: its file name without suffix, else the post's id, else its number in the file.

    A `data:` address is a whole picture, and has no name.
    """
    image = record.get("image")
    return Path(image).stem if image and not image.startswith("data:") else str(record.get("id", number))


def read_entities(record: Mapping[str, Any], offsets: WordOffsets) -> list[RecordEntity]:
    """Return the entities of a record, in its order.

    Raises:
        RecordError: one is malformed, cuts a word, overlaps another or runs out of the post.
    """
    entities = []
    taken: set[int] = set()
    for entity in record.get("entities") or []:
        try:
            words = _words(entity, offsets, record)
            if not taken.isdisjoint(words):
                raise RecordError("overlaps another")
            taken.update(words)
            score = _share(entity, "score", 1.0)
            entities.append(RecordEntity(words.start, words.stop, entity["type"], score, _evidence(entity)))
        except RecordError as error:
            shown = json.dumps(entity, ensure_ascii=False)
            raise RecordError(f"{_name(record)} has an entity {shown} that {error}") from None
    return entities


def with_entities(
    record: Mapping[str, Any], entities: Iterable[RecordEntity], offsets: WordOffsets, *, scores: bool
) -> dict[str, Any]:
    """Return a record with other entities, in its kind of offsets.

    Args:
        record: the post's.
        entities: those that it is to have.
        offsets: of its words.
        scores: whether to write each entity's `"score"`.
    """
    written = []
    for one in entities:
        start, end = offsets.span(one.start, one.end)
        entity: dict[str, Any] = {"start": start, "end": end, "type": one.type}
        if scores:
            entity["score"] = one.score
        if REGION in one.metadata:
            entity[REGION] = asdict(one.metadata[REGION])
        if GROUNDED in one.metadata:
            entity[GROUNDED] = one.metadata[GROUNDED]
        if REGIONS in one.metadata:
            entity[REGIONS] = [[box.left, box.top, box.right, box.bottom] for box in one.metadata[REGIONS]]
        written.append(entity)
    return {**record, "entities": written}


def unsplittable(record: Mapping[str, Any]) -> RecordError:
    """Return the error for a post whose text Flair's splitter changes."""
    return RecordError(f"Flair cannot find the words of {_name(record)} in its text; give its 'tokens'")


def _name(record: Mapping[str, Any]) -> str:
    return f"post {record['id']!r}" if "id" in record else "the post"


def _words(entity: Any, offsets: WordOffsets, record: Mapping[str, Any]) -> range:
    match entity:
        case {"start": int(start), "end": int(end), "type": str(type_)} if type_ and type_ == type_.strip():
            pass
        case _:
            raise RecordError("needs a 'start' and an 'end', whole numbers, and a 'type', a string")
    if not 0 <= start < end <= offsets.length:
        raise RecordError(f"runs out of the post's {offsets.length} {offsets.unit}, or is empty")
    words = offsets.words(start, end)
    if words is None:
        raise RecordError(f"covers {record['text'][start:end]!r}, which does not begin and end with a word")
    return words


def _share(entity: Mapping[str, Any], name: str, default: float) -> float:
    share = entity.get(name, default)
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise RecordError(f"has a {name!r} that is no number in 0..1")
    return float(share)


def _evidence(entity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the entity says of the picture: the region of a prediction, or the regions of a gold entity."""
    evidence: dict[str, Any] = {}
    if entity.get(REGION) is not None:
        try:
            numbers = {field.name: float(entity[REGION][field.name]) for field in fields(Region)}
        except (KeyError, TypeError, ValueError):
            names = ", ".join(field.name for field in fields(Region))
            raise RecordError(f"has a 'region' that is not made of the numbers {names}") from None
        evidence[REGION] = Region(**numbers)
    if entity.get(GROUNDED) is not None:
        evidence[GROUNDED] = _share(entity, GROUNDED, 0.0)
    if entity.get(REGIONS) is not None:
        evidence[REGIONS] = gold_regions(entity[REGIONS])
    return evidence


def gold_regions(boxes: Any) -> tuple[Region, ...]:
    """Return the regions of a JSON list of boxes.

    Raises:
        RecordError: one is no box; the message is what an entity "has".
    """
    regions = []
    for box in boxes if isinstance(boxes, list) else [boxes]:
        try:
            regions.append(Region(*checked_box(box)))
        except ValueError as error:
            raise RecordError(f"has 'regions' that are not right: {error}") from None
    return tuple(regions)
