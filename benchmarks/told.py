"""Scores of entities whose type the words tell, apart from those whose names are made up, so that only looking does."""

from collections.abc import Iterable

from flair.data import Sentence

from flair_espvr.data.bio import EntitySpan
from flair_espvr.data.metadata import metadata_or_none
from flair_espvr.data.sentences import sentence_entities
from flair_espvr.evaluation.scores import score_entities

MADE_UP = "made_up"
"""Of a sentence: how many of its gold entities, from the first on, are made-up names."""


def f1_of_parts(sentences: Iterable[Sentence], *, gold: str, predicted: str) -> dict[str, float]:
    """Return span-F1 in percent: `f1` of all entities, `made_up` of names that are made up, `told` of the others.

    A part is scored on the posts that have such an entity, and a predicted entity that overlaps one of the other part
    is left out. A part that no post has is left out too.

    Args:
        sentences: those with their gold and predicted labels.
        gold: the layer of the gold labels.
        predicted: the layer of the predictions.
    """
    pairs: dict[str, list[tuple[list[EntitySpan], list[EntitySpan]]]] = {"f1": [], "made_up": [], "told": []}
    for sentence in sentences:
        right, found = (sentence_entities(sentence, layer) for layer in (gold, predicted))
        count = metadata_or_none(sentence, MADE_UP) or 0
        pairs["f1"].append((right, found))
        for part, own, others in (("made_up", right[:count], right[count:]), ("told", right[count:], right[:count])):
            if own:
                pairs[part].append((own, [span for span in found if not any(_overlap(span, one) for one in others)]))
    return {
        part: 100 * score_entities(*zip(*both, strict=True)).micro.f1  # gold entities, predicted ones
        for part, both in pairs.items()
        if both
    }


def _overlap(span: EntitySpan, other: EntitySpan) -> bool:
    return span.start < other.end and other.start < span.end
