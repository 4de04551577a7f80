"""A model's entities beside the gold ones, and the scores that follow."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_args

import flair
from flair.data import Sentence
from flair.nn import Classifier

from flair_espvr.data.bio import EntitySpan
from flair_espvr.data.formats.jsonl_sentences import read_jsonl_sentences
from flair_espvr.data.sentences import sentence_entities
from flair_espvr.errors import ConfigurationError
from flair_espvr.evaluation.grounding import GroundingScores, score_grounded_sentences
from flair_espvr.evaluation.predictions_file import describe_post
from flair_espvr.evaluation.scores import Reading, Scores, score_entities
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
        grounding: scores of their places in the pictures, by reading; empty where no gold label says where.
        posts: which posts they are, see `describe_post`.
    """

    gold: list[list[EntitySpan]]
    predicted: list[list[EntitySpan]]
    lenient: Scores
    strict: Scores
    grounding: Mapping[Reading, GroundingScores] = field(default_factory=dict)
    posts: Sequence[Mapping[str, Any]] = ()


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
    return evaluation(posts, posts, gold_label_type=gold_label_type, label_type=PREDICTED, edition=edition)


def evaluation(
    labelled: Sequence[Sentence],
    tagged: Sequence[Sentence],
    *,
    gold_label_type: str,
    label_type: str,
    edition: str | None = None,
) -> Evaluation:
    """Scores what some system has found.

    Args:
        labelled: the posts with their gold labels.
        tagged: the same posts as the system left them.
        gold_label_type: the layer of the gold labels.
        label_type: the layer of the predicted ones.
        edition: the corpus's edition; only named in the scores.
    """
    gold = _entities(labelled, gold_label_type)
    predicted = _entities(tagged, label_type)
    valid = [sentence_entities(post, gold_label_type, strict=True) for post in labelled]
    layers = {"gold_label_type": gold_label_type, "label_type": label_type}
    readings: tuple[Reading, ...] = get_args(Reading)
    grounding = {name: score_grounded_sentences(labelled, tagged, **layers, reading=name) for name in readings}
    return Evaluation(
        gold=gold,
        predicted=predicted,
        lenient=score_entities(gold, predicted, reading="lenient", edition=edition),
        strict=score_entities(valid, predicted, reading="strict", edition=edition),
        grounding={reading: scores for reading, scores in grounding.items() if scores is not None},
        posts=[describe_post(post) for post in labelled],
    )


def read_tagged(path: str | Path, posts: Sequence[Sentence], *, label_type: str = PREDICTED) -> list[Sentence]:
    """Return the entities that somebody's system has found, for these posts, from JSONL.

    Args:
        path: a file as `flair-espvr predict` writes it: the same posts in the same order.
        posts: what it should be about.
        label_type: the layer that gets the entities.

    Raises:
        OSError: the file cannot be opened.
        PostFormatError: a line is no post.
        ConfigurationError: it has other posts.
    """
    tagged = []
    for number, (post, found) in enumerate(zip_longest(posts, read_jsonl_sentences(path, label_type=label_type)), 1):
        if post is None or found is None or [token.text for token in post] != [token.text for token in found]:
            expected, there = (f"{one.text[:60]!r}" if one is not None else "no more" for one in (post, found))
            raise ConfigurationError(f"{path}: post {number} should be {expected}, and is {there}")
        tagged.append(found)
    return tagged


def put_predictions(posts: Sequence[Sentence], tagged: Sequence[Sentence]) -> None:
    """Put what `read_tagged` gave on the posts themselves, under `PREDICTED`, beside their gold labels."""
    for post, found in zip(posts, tagged, strict=True):
        for span in found.get_spans(PREDICTED):
            label = span.get_label(PREDICTED)
            post[span[0].idx - 1 : span[-1].idx].add_label(PREDICTED, label.value, label.score, **label.metadata)


def _entities(posts: Sequence[Sentence], label_type: str) -> list[list[EntitySpan]]:
    return [list(sentence_entities(post, label_type)) for post in posts]
