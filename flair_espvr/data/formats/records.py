"""One post as a JSON object, and the entities in it; `flair_espvr.data.formats.jsonl` describes the format."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from flair_espvr.data.formats.objects import parse_objects
from flair_espvr.data.formats.offsets import WordOffsets
from flair_espvr.data.metadata import CAPTION, CONTEXTS, GROUNDED, OBJECTS, REGION, REGIONS
from flair_espvr.data.post import Context
from flair_espvr.data.region import Region, is_image_index, region_from_box, region_to_box
from flair_espvr.errors import PostFormatError

MOST_IMAGES = 256
"""Pictures of a post beyond which it is refused: the vectors of so many may take a gigabyte."""


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
    for field in _ONE_OR_SEVERAL:
        if not _is_one_or_several(record.get(field)):
            raise RecordError(f"the {field!r} of {name} is no string, nor a list of strings that are not empty")
    if (count := len(record_images(record))) > MOST_IMAGES:
        raise RecordError(
            f"{name} has {count:,} pictures, more than {MOST_IMAGES}, and a model reads all of them at once"
        )
    if record.get("image") is not None and record.get("images") is not None:
        raise RecordError(f"{name} has both 'image' and 'images'; name all of its pictures in one of them")
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
    if isinstance(record.get(CAPTION), list) and record[CAPTION]:
        contexts[CAPTION] = list(record[CAPTION])
    if record.get(OBJECTS) is not None:
        try:
            contexts[OBJECTS] = objects = parse_objects(record[OBJECTS])
        except ValueError as error:
            raise RecordError(f"of the 'objects' of {_name(record)}, {error}") from None
        _check_pictures(f"{_name(record)} has 'objects'", (found.image for found in objects), record)
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
    image = next(iter(record_images(record)), "")
    return Path(image).stem if image and not image.startswith("data:") else str(record.get("id", number))


def record_images(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the pictures that a record names, in their order: its `"image"` or its `"images"`, one or a list."""
    named = record.get("images") if record.get("image") is None else record["image"]
    if not named:
        return ()
    return (named,) if isinstance(named, str) else tuple(named)


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
            evidence = _evidence(entity)
            _check_pictures("has 'regions'", (region.image for region in evidence.get(REGIONS, ())), record)
            entities.append(RecordEntity(words.start, words.stop, entity["type"], score, evidence))
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
            entity[REGION] = one.metadata[REGION].to_json()
        if GROUNDED in one.metadata:
            entity[GROUNDED] = one.metadata[GROUNDED]
        if REGIONS in one.metadata:
            entity[REGIONS] = list(map(region_to_box, one.metadata[REGIONS]))
        written.append(entity)
    return {**record, "entities": written}


def unsplittable(record: Mapping[str, Any]) -> RecordError:
    """Return the error for a post whose text Flair's splitter changes."""
    return RecordError(f"Flair cannot find the words of {_name(record)} in its text; give its 'tokens'")


_ONE_OR_SEVERAL = ("image", "images", CAPTION)


def _is_one_or_several(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) and item for item in value)
    return isinstance(value, str | None)


def _check_pictures(what: str, pictures: Iterable[int], record: Mapping[str, Any]) -> None:
    """Make sure that a post has the pictures that something is on.

    Raises:
        RecordError: it has not; the message begins with `what`.
    """
    count = len(record_images(record)) or 1  # that of its id
    if (last := max(pictures, default=0)) >= count:
        raise RecordError(f"{what} on picture {last}, counted from 0, of {count}")


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
        names = [field.name for field in fields(Region) if field.name != "image"]
        try:
            numbers = {name: float(entity[REGION][name]) for name in names}
            image = entity[REGION].get("image") or 0
        except (AttributeError, KeyError, TypeError, ValueError):
            raise RecordError(f"has a 'region' that is not made of the numbers {', '.join(names)}") from None
        if not is_image_index(image):
            raise RecordError(f"has a 'region' whose 'image' is no whole number from 0 on, but {image!r}")
        evidence[REGION] = Region(**numbers, image=image)
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
            regions.append(region_from_box(box))
        except ValueError as error:
            raise RecordError(f"has 'regions' that are not right: {error}") from None
    return tuple(regions)
