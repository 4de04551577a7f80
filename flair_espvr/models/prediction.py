"""What a tagger says of a batch, before it becomes labels on Flair's sentences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from flair.data import Label, Sentence
from torch import Tensor

from flair_espvr.data.metadata import GROUNDED, REGION, RELEVANCE
from flair_espvr.data.region import Region
from flair_espvr.nn.grounding.reading import Grounding
from flair_espvr.nn.layers.spans import Spans


@dataclass(frozen=True)
class PredictedEntity:
    """An entity that was found.

    Attributes:
        start: Its first word.
        end: The word after its last.
        type: Its type.
        score: Posterior probability of words and type.
        region: Where the image shows it; None where it does not, where there is none, or where nothing is known.
        grounded: How probable it is that the image shows it; None where there is none, or where nothing is known.
        relevance: (H, W) how probable it is that a region of the grid is part of what it names, of several images
            (K, H, W); None where there is no image, or where it was not asked for.
    """

    start: int
    end: int
    type: str
    score: float
    region: Region | None = None
    grounded: float | None = None
    relevance: np.ndarray | None = None

    def metadata(self) -> dict[str, Any]:
        """Return what its label carries: that which is known."""
        known = {REGION: self.region, GROUNDED: self.grounded, RELEVANCE: self.relevance}
        return {key: value for key, value in known.items() if value is not None}


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


def predicted_entities(
    spans: Spans,
    scores: Tensor,
    types: Sequence[str],
    *,
    grounding: Grounding | None = None,
    pictured: Tensor | None = None,
    with_relevance: bool = False,
) -> list[list[PredictedEntity]]:
    """Return the entities of B posts, fetched from the device in one piece.

    Args:
        spans: M entities a post.
        scores: (B, M) their posterior probabilities.
        types: Names of the types.
        grounding: Where they are; None where that is not known.
        pictured: (B,) bool, posts with an image; needed with `grounding`.
        with_relevance: Keep the maps.
    """
    fields = [torch.stack([spans.mask, spans.start, spans.end, spans.type, scores], dim=2)]
    if grounding is not None and pictured is not None:
        place = torch.cat([grounding.places, grounding.score.unsqueeze(2)], dim=2)
        place = place.masked_fill(~grounding.shown.unsqueeze(2), torch.nan)
        said = [place, grounding.image.unsqueeze(2), grounding.grounded.unsqueeze(2)]
        if with_relevance:
            said.append(grounding.relevance.flatten(2))
        fields.append(torch.cat(said, dim=2).masked_fill(~pictured[:, None, None], torch.nan))
    rows = torch.cat(fields, dim=2).cpu().numpy()
    grid = grounding.relevance.shape[2:] if grounding is not None else (0, 0)
    return [[_entity(entity, types, grid) for entity in row if entity[0]] for row in rows]


def add_labels(sentence: Sentence, entities: Sequence[PredictedEntity], label_name: str) -> None:
    """Put the entities on the sentence, in place of older labels of that name."""
    sentence.remove_labels(label_name)
    for entity in entities:
        sentence[entity.start : entity.end].add_label(label_name, entity.type, entity.score, **entity.metadata())


def _entity(fields: np.ndarray, types: Sequence[str], grid: tuple[int, ...]) -> PredictedEntity:
    _, start, end, type_, score, *said = fields[:12].tolist()
    region, grounded = None, None
    if said:
        left, top, right, bottom, right_chance, image, chance = said
        region = None if math.isnan(left) else Region(left, top, right, bottom, right_chance, int(image))
        grounded = None if math.isnan(chance) else chance
    relevance = _map(fields[12:].reshape(grid)) if len(fields) > 12 else None
    return PredictedEntity(int(start), int(end), types[int(type_)], score, region, grounded, relevance)


def _map(cells: np.ndarray) -> np.ndarray | None:
    """Return a map (H, W), or the maps (K, H, W) up to the last image that is there, of which the others have zeros."""
    if cells.ndim == 2:
        return None if np.isnan(cells[0, 0]) else cells
    (there,) = np.nonzero(~np.isnan(cells[:, 0, 0]))
    if not len(there):
        return None
    maps = np.nan_to_num(cells[: there[-1] + 1], nan=0.0)
    return maps if len(maps) > 1 else maps[0]
