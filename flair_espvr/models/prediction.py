"""What a tagger says of a batch, before it becomes labels on Flair's sentences."""

from dataclasses import dataclass

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
