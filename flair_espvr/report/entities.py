"""The entities of one post as a page shows them: their place in the text, the tagger's confidence, the gold verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

import numpy as np
from flair.data import Label, Sentence

from flair_espvr.data.metadata import GROUNDED, REGION, REGIONS, RELEVANCE
from flair_espvr.data.region import Region

HARDLY_MORE = 1.25
"""Times an even share: a region that holds less of a tagger's attention is shown faded."""


class Outcome(Enum):
    """How an entity compares with the gold labels; an entity counts as right only with the very words and the type."""

    RIGHT = "right"
    WRONG_TYPE = "wrong type"
    WRONG_WORDS = "wrong words"
    NOT_IN_GOLD = "not in gold"
    MISSED = "missed"

    @property
    def icon(self) -> str:
        """A sign that tells the outcomes apart without colour."""
        return {Outcome.RIGHT: "✓", Outcome.MISSED: "○"}.get(self, "✗")


@dataclass(frozen=True)
class Mention:
    """One labelled stretch of a post's text.

    Attributes:
        number: 1, 2, ... in text order, joining text and picture; `None` for a gold entity that was missed.
        type: the label's value.
        start, end: character offsets into the text of `text_and_offsets`.
        text: the words between them.
        score: the tagger's confidence in 0..1; `None` for a missed entity.
        region: where the picture shows the entity; `None` where it does not, or where no picture was used.
        grounded: how probable it is that the picture shows it, 0..1; `None` where the tagger does not say.
        relevance: how probable that is of each cell of the picture, (H, W), or of several pictures, (K, H, W); `None`
            where it was not asked for.
        gold_regions: where the gold says that it is, empty for "not in the picture"; `None` where it does not say.
        outcome: how it compares with the gold labels; `None` where there are none to compare with.
        gold_types: the types the gold gives to the same words, if it gives others.
    """

    number: int | None
    type: str
    start: int
    end: int
    text: str
    score: float | None = None
    region: Region | None = None
    grounded: float | None = None
    relevance: np.ndarray | None = field(default=None, compare=False)
    gold_regions: tuple[Region, ...] | None = None
    outcome: Outcome | None = None
    gold_types: tuple[str, ...] = ()

    @property
    def is_absent(self) -> bool:
        """Whether the tagger states that the picture does not show it."""
        return self.region is None and self.grounded is not None

    def map_of(self, picture: int) -> np.ndarray | None:
        """Return its map of one of the post's pictures, counted from 0, (H, W); `None` where there is none."""
        if self.relevance is None:
            return None
        maps = self.relevance.reshape(-1, *self.relevance.shape[-2:])
        return maps[picture] if picture < len(maps) and (picture == 0 or maps[picture].any()) else None

    @property
    def times_even(self) -> float | None:
        """How many times its share of an even look at the picture the region holds; `None` where its score is no share.

        That of a tagger which has learned no places, whose region is the rectangle that holds most of its attention.
        """
        return self.region.times_even if self.region is not None and self.grounded is None else None

    @property
    def is_even(self) -> bool:
        """Whether the region holds hardly more than chance would give it."""
        return self.times_even is not None and self.times_even < HARDLY_MORE

    @property
    def gold_overlap(self) -> float | None:
        """The IoU of the region with the gold one that fits it best; `None` where one of them is not there."""
        if self.region is None or not self.gold_regions:
            return None
        return max(map(self.region.iou, self.gold_regions))


@dataclass(frozen=True)
class Piece:
    """A stretch of text covered by the same entities from end to end; `entities` has the outermost first."""

    text: str
    start: int
    end: int
    entities: tuple[Mention, ...]


def text_and_offsets(sentence: Sentence) -> tuple[str, list[tuple[int, int]]]:
    """Return the sentence's text, with the whitespace Flair remembers, and each token's (start, end) in it.

    A pre-tokenised sentence has one space between tokens. `Token.start_position` is not used: it counts from the start
    of a document, and Flair leaves it at 0 in sentences that were put together from tokens.
    """
    text = ""
    offsets = []
    for token in sentence:
        offsets.append((len(text), len(text) + len(token.text)))
        text += token.text + " " * token.whitespace_after
    return text[: offsets[-1][1]] if offsets else "", offsets


def read_entities(sentence: Sentence, label_type: str, gold_label_type: str | None = None) -> list[Mention]:
    """Return the sentence's entities in text order, with the missed ones among them where gold labels are given.

    Args:
        sentence: a tagged post.
        label_type: where the tagger put its labels.
        gold_label_type: where the gold labels are; `None` compares with nothing.
    """
    text, offsets = text_and_offsets(sentence)
    predicted = _labels_by_place(sentence, label_type, offsets)
    gold = _labels_by_place(sentence, gold_label_type, offsets) if gold_label_type is not None else []
    predicted_places = {place for place, _ in predicted}
    entities = [
        Mention(
            number=number,
            type=label.value,
            start=place[0],
            end=place[1],
            text=text[slice(*place)],
            score=label.score,
            region=label.metadata.get(REGION),
            grounded=label.metadata.get(GROUNDED),
            relevance=label.metadata.get(RELEVANCE),
            gold_regions=_gold_regions([label, *(other for where, other in gold if where == place)]),
            outcome=_outcome(place, label.value, gold) if gold_label_type is not None else None,
            gold_types=tuple(other.value for where, other in gold if where == place and other.value != label.value),
        )
        for number, (place, label) in enumerate(predicted, start=1)
    ]
    missed = [
        Mention(
            number=None,
            type=label.value,
            start=place[0],
            end=place[1],
            text=text[slice(*place)],
            gold_regions=_gold_regions([label]),
            outcome=Outcome.MISSED,
        )
        for place, label in gold
        # Other types on the same words are shown on the predicted entity itself.
        if place not in predicted_places
    ]
    return sorted(entities + missed, key=lambda entity: (entity.start, -entity.end, entity.number or 0))


def split_text(text: str, entities: Sequence[Mention]) -> list[Piece]:
    """Return the text cut wherever an entity begins or ends, so that entities which nest or cross can all be marked.

    The pieces put together give the text again.
    """
    cuts = sorted({0, len(text), *(cut for entity in entities for cut in (entity.start, entity.end))})
    return [
        Piece(text[start:end], start, end, tuple(e for e in entities if e.start <= start and end <= e.end))
        for start, end in pairwise(cuts)
    ]


def _labels_by_place(
    sentence: Sentence, label_type: str, offsets: list[tuple[int, int]]
) -> list[tuple[tuple[int, int], Label]]:
    """Every span label with its (start, end) in the text, in text order, an outer span before those inside it."""
    labels = [
        ((offsets[span[0].idx - 1][0], offsets[span[-1].idx - 1][1]), label)
        for span in sentence.get_spans(label_type)
        for label in span.get_labels(label_type)
    ]
    return sorted(labels, key=lambda item: (item[0][0], -item[0][1]))


def _gold_regions(labels: Iterable[Label]) -> tuple[Region, ...] | None:
    """Return what the first of the labels that says where says."""
    return next((tuple(label.metadata[REGIONS]) for label in labels if REGIONS in label.metadata), None)


def _outcome(place: tuple[int, int], value: str, gold: Sequence[tuple[tuple[int, int], Label]]) -> Outcome:
    if any(where == place and label.value == value for where, label in gold):
        return Outcome.RIGHT
    if any(where == place for where, _ in gold):
        return Outcome.WRONG_TYPE
    if any(where[0] < place[1] and place[0] < where[1] for where, _ in gold):
        return Outcome.WRONG_WORDS
    return Outcome.NOT_IN_GOLD
