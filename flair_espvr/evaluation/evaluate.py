"""A model's entities beside the gold ones, and the scores that follow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import flair
from flair.data import Sentence
from flair.nn import Classifier

from flair_espvr.data.bio import EntitySpan
from flair_espvr.data.sentences import sentence_entities
from flair_espvr.evaluation.scores import Scores, score_entities
from flair_espvr.models.inference import mixed_precision

PREDICTED = "predicted"
"""The annotation layer that an evaluation leaves its predictions in."""


@dataclass(frozen=True)
class Evaluation:
    """A model on a set of posts.

    Attributes:
        gold: each post's entities, tags read leniently.
        predicted: each post's predicted entities.
        lenient: scores against `gold`, as Flair and seqeval read tags by default.
        strict: scores against the entities whose tags are valid IOB2.
    """

    gold: list[list[EntitySpan]]
    predicted: list[list[EntitySpan]]
    lenient: Scores
    strict: Scores


def evaluate(
    model: Classifier[Sentence],
    sentences: Iterable[Sentence],
    *,
    gold_label_type: str,
    mini_batch_size: int = 32,
    amp: bool = False,
    edition: str | None = None,
    verbose: bool = False,
) -> Evaluation:
    """Tags posts and scores the tags.

    Args:
        model: any Flair model that labels spans.
        sentences: the posts; the predictions stay on them, under `PREDICTED`.
        gold_label_type: the layer of the gold labels.
        mini_batch_size: posts per forward pass.
        amp: mixed precision, see `mixed_precision`.
        edition: the corpus's edition; only named in the scores.
        verbose: show a progress bar.
    """
    posts = list(sentences)
    with mixed_precision(flair.device, enabled=amp):
        model.predict(posts, mini_batch_size=mini_batch_size, label_name=PREDICTED, verbose=verbose)
    gold = _entities(posts, gold_label_type)
    predicted = _entities(posts, PREDICTED)
    valid = [sentence_entities(post, gold_label_type, strict=True) for post in posts]
    return Evaluation(
        gold=gold,
        predicted=predicted,
        lenient=score_entities(gold, predicted, reading="lenient", edition=edition),
        strict=score_entities(valid, predicted, reading="strict", edition=edition),
    )


def _entities(posts: Sequence[Sentence], label_type: str) -> list[list[EntitySpan]]:
    return [list(sentence_entities(post, label_type)) for post in posts]
