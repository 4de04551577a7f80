"""Gold and predicted entities of a test set, kept as JSON lines: tests between systems and pictures read them again.

A line is a post: `{"id": ..., "text": ..., "words": [...], "gold": [[start, end, type], ...], "predicted": [...]}`,
where `start` and `end` (exclusive) count words. What says which post it is may be missing; other fields are ignored.
"""

import json
from collections.abc import Iterable, Mapping
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flair_espvr.data.bio import EntitySpan
from flair_espvr.data.metadata import IMAGE_ID, RECORD, metadata_or_none
from flair_espvr.io.atomic import atomic_write
from flair_espvr.io.lines import format_error, read_lines

if TYPE_CHECKING:
    from flair.data import Sentence

_EXPECTED = '{"gold": [[start, end, type], ...], "predicted": [...]} with 0 <= start < end'


def write_predictions(
    path: str | Path,
    gold: Iterable[Iterable[EntitySpan]],
    predicted: Iterable[Iterable[EntitySpan]],
    posts: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Write the entities of each post; the file appears whole or not at all.

    Args:
        path: the file to write; its folder must exist.
        gold: for each post its entities.
        predicted: the same posts' predicted entities.
        posts: which posts they are, as `describe_post` says it; none where nobody knows.

    Raises:
        ValueError: they are not of one length.
        OSError: the file cannot be written.
    """
    pairs = zip(gold, predicted, strict=True)
    named = list(posts)
    with atomic_write(path) as file:
        for (found, guessed), post in zip(pairs, named or repeat({}), strict=bool(named)):
            line = {**post, "gold": list(found), "predicted": list(guessed)}
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def describe_post(sentence: "Sentence") -> dict[str, Any]:
    """Which post a sentence is: its id, where it has one, its text and its words."""
    record = metadata_or_none(sentence, RECORD) or {}
    identity = record.get("id", metadata_or_none(sentence, IMAGE_ID))
    words = [token.text for token in sentence]
    text = record.get("text", " ".join(words))
    return {**({} if identity is None else {"id": identity}), "text": text, "words": words}


def read_predictions(path: str | Path) -> tuple[list[list[EntitySpan]], list[list[EntitySpan]]]:
    """Read what `write_predictions` wrote.

    Returns:
        For each post its gold entities, and for each its predicted ones.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is damaged.
    """
    gold, predicted = [], []
    for number, line in read_lines(path):
        try:
            match json.loads(line):
                case {"gold": list(gold_entities), "predicted": list(predicted_entities)}:
                    gold.append([_entity(entity) for entity in gold_entities])
                    predicted.append([_entity(entity) for entity in predicted_entities])
                case _:
                    raise ValueError
        except (ValueError, RecursionError):
            raise format_error(path, number, line, _EXPECTED) from None
    return gold, predicted


def _entity(values: Any) -> EntitySpan:
    match values:
        case [start, end, str(name)] if type(start) is type(end) is int and 0 <= start < end and name:
            return EntitySpan(start, end, name)
        case _:
            raise ValueError
