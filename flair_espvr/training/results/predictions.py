"""Gold and predicted entities of a set of posts, kept as one JSON line a post."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from flair_espvr.data.bio import Entity
from flair_espvr.files import atomic_write


def write_predictions(
    path: str | Path, gold: Sequence[Iterable[Entity]], predicted: Sequence[Iterable[Entity]]
) -> None:
    """Writes `{"gold": [[start, end, type], ...], "predicted": [...]}` lines, atomically.

    Args:
        path: where to.
        gold: each post's entities.
        predicted: the same posts' predicted entities.

    Raises:
        ValueError: the two are not of one length.
        OSError: the file cannot be written.
    """
    with atomic_write(path) as file:
        for entities, found in zip(gold, predicted, strict=True):
            line = json.dumps({"gold": list(entities), "predicted": list(found)}, ensure_ascii=False)
            file.write(line.encode() + b"\n")
