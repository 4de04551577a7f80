"""Gold and predicted entities of a test set, kept as JSON lines: tests between systems and pictures read them again.

A line is a post: `{"gold": [[start, end, type], ...], "predicted": [[start, end, type], ...]}`, `end` exclusive.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flair_espvr.data.bio import EntitySpan
from flair_espvr.io.atomic import atomic_write
from flair_espvr.io.lines import format_error, read_lines

_EXPECTED = '{"gold": [[start, end, type], ...], "predicted": [...]} with 0 <= start < end'


def write_predictions(
    path: str | Path, gold: Iterable[Iterable[EntitySpan]], predicted: Iterable[Iterable[EntitySpan]]
) -> None:
    """Writes the entities of each post; the file appears whole or not at all.

    Args:
        path: the file to write; its folder must exist.
        gold: for each post its entities.
        predicted: the same posts' predicted entities.

    Raises:
        ValueError: the two are not of one length.
        OSError: the file cannot be written.
    """
    with atomic_write(path) as file:
        for gold_entities, predicted_entities in zip(gold, predicted, strict=True):
            post = {"gold": list(gold_entities), "predicted": list(predicted_entities)}
            file.write(json.dumps(post, ensure_ascii=False).encode() + b"\n")


def read_predictions(path: str | Path) -> tuple[list[list[EntitySpan]], list[list[EntitySpan]]]:
    """Reads what `write_predictions` wrote.

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
                case {"gold": list(gold_entities), "predicted": list(predicted_entities), **rest} if not rest:
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
