"""Which types a system takes for which."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from flair_espvr.data.bio import EntitySpan
from flair_espvr.errors import ConfigurationError


def count_confusions(
    gold: Sequence[Iterable[EntitySpan]], predicted: Sequence[Iterable[EntitySpan]], types: Sequence[str]
) -> NDArray[np.int64]:
    """Count how often an entity of one type was given another; only entities of the same words are compared.

    Args:
        gold: for each post its entities.
        predicted: the same posts' predicted entities.
        types: the K types, in the order of rows and columns.

    Returns:
        (K + 1, K + 1), gold types down, predicted ones across. The last column counts gold entities whose words were
        not predicted as an entity, the last row predictions whose words are no gold entity; an entity predicted a word
        too long is in both.

    Raises:
        ConfigurationError: an entity's type is not among `types`.
        ValueError: `gold` and `predicted` are not of one length.
    """
    index: dict[str | None, int] = {**{name: position for position, name in enumerate(types)}, None: len(types)}
    counts = np.zeros((len(index), len(index)), dtype=np.int64)
    for gold_entities, predicted_entities in zip(gold, predicted, strict=True):
        for pair in _aligned(set(gold_entities), set(predicted_entities)):
            if unknown := set(pair) - index.keys():
                raise ConfigurationError(f"an entity has the type {unknown.pop()!r}, which is not among {list(types)}")
            counts[index[pair[0]], index[pair[1]]] += 1
    return counts


def _aligned(gold: set[EntitySpan], predicted: set[EntitySpan]) -> Iterator[tuple[str | None, str | None]]:
    """Gold and predicted type of each entity; where words have several types, equal ones belong together."""
    for entity in gold & predicted:
        yield entity.type, entity.type
    missed, wrong = gold - predicted, predicted - gold
    for words in {entity[:2] for entity in missed | wrong}:
        yield from zip_longest(*(sorted(e.type for e in side if e[:2] == words) for side in (missed, wrong)))
