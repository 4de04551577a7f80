"""What a tagger says of a batch, before it becomes labels on Flair's sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from flair.data import Label, Sentence
from torch import Tensor

from flair_espvr.data.region import Region


@dataclass(frozen=True)
class PredictedEntity:
    """Words `start` to `end` (exclusive), type, posterior probability, and the region of the image if there is one."""

    start: int
    end: int
    type: str
    score: float
    region: Region | None


@dataclass(frozen=True)
class Prediction:
    """What a tagger says of B sentences.

    Attributes:
        entities: One list per sentence, left to right.
        loss: () weighted and summed over the sentences, against the gold labels; None where it was not asked for.
        tag_probabilities: (B, T, L) posterior of every tag of every word; None where not asked for.
    """

    entities: list[list[PredictedEntity]]
    loss: Tensor | None = None
    tag_probabilities: Tensor | None = None


def add_distributions(
    sentences: Sequence[Sentence], probabilities: Tensor, tags: Sequence[str], label_name: str
) -> None:
    """Put every tag's posterior on each token.

    Args:
        sentences: B sentences.
        probabilities: (B, T, L) posteriors.
        tags: The L tags.
        label_name: Name of the labels.
    """
    for sentence, rows in zip(sentences, probabilities.tolist(), strict=True):
        for token, row in zip(sentence, rows, strict=False):  # rows run on into padding
            labels = [Label(token, tag, score) for tag, score in zip(tags, row, strict=True)]
            token.add_tags_proba_dist(label_name, labels)
