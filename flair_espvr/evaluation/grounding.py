"""Scores of grounded entities: words, type and place in the picture, and whether there is a place at all.

The task is that of Twitter-GMNER (Yu et al., ACL 2023). A region is right where the picture shows the entity and the
answer's IoU with at least one of its gold boxes is above .5, or where neither gold nor answer has one. The published
scorers disagree with each other; ours matches entities by their place in the text, not by their string, takes any gold
box of several, asks for more than .5, and scores free boxes, not the indices of proposals.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from flair_espvr.data.metadata import GROUNDED, INVALID_TAG, REGION, REGIONS
from flair_espvr.data.region import Region
from flair_espvr.evaluation.scores import READ, Reading, Score

if TYPE_CHECKING:
    from flair.data import Sentence

THRESHOLD = 0.5
"""What the IoU of a right answer is above."""


class GoldEntity(NamedTuple):
    """An entity and where the picture shows it.

    Attributes:
        start: its first word.
        end: the word after its last.
        type: its type.
        regions: each place that shows it; none where the picture does not.
    """

    start: int
    end: int
    type: str
    regions: tuple[Region, ...]


class GroundedEntity(NamedTuple):
    """An entity as a system finds it.

    Attributes:
        start: its first word.
        end: the word after its last.
        type: its type.
        region: where the picture shows it; None for the answer that it does not.
        grounded: how probable it is that the picture does, 0..1; None where the system does not say.
    """

    start: int
    end: int
    type: str
    region: Region | None = None
    grounded: float | None = None


Entity = TypeVar("Entity", GoldEntity, GroundedEntity)


class PlaceScores(NamedTuple):
    """How right the answered places are, over the entities that were found and that the picture shows.

    Attributes:
        entities: how many those are. An answer that the picture does not show one is a miss with an IoU of 0.
        pointing: share of them with the middle of the answer in a gold box.
        above_half: share with an IoU above .5 with a gold box.
        mean_iou: mean of the IoU with the gold box that fits best.
    """

    entities: int
    pointing: float
    above_half: float
    mean_iou: float


class PresenceScores(NamedTuple):
    """Whether a system knows which entities the picture shows, over those that it found.

    Attributes:
        score: answers that have a place, against gold entities that have one.
        average_precision: of the probabilities `grounded`, as scikit-learn computes it; None where there are none, or
            where the picture shows all entities or none.
    """

    score: Score
    average_precision: float | None


@dataclass(frozen=True)
class GroundingScores:
    """The scores of one set of posts.

    Attributes:
        mner: words and type are right.
        eeg: words and region are right, whatever the type (entity extraction and grounding).
        gmner: words, type and region are right.
        types: `gmner` of each type.
        places: how right the places are.
        presence: how right it is that there is one.
        posts: how many were scored.
        reading: how invalid gold tags were read.
    """

    mner: Score
    eeg: Score
    gmner: Score
    types: Mapping[str, Score]
    places: PlaceScores
    presence: PresenceScores
    posts: int
    reading: Reading = "lenient"

    def to_markdown(self) -> str:
        """Return the scores in percent, as Markdown, with their conventions."""
        rows = {"MNER": self.mner, "EEG": self.eeg, "GMNER": self.gmner}
        rows |= {f"GMNER {name}": score for name, score in self.types.items()}
        places, presence = self.places, self.presence.score
        precision = self.presence.average_precision
        ranked = "not known, as none or all are shown" if precision is None else _percent(precision)
        return "\n".join(
            [
                "| | P | R | F1 | gold | predicted | correct |",
                "|---|---|---|---|---|---|---|",
                *(
                    f"| {name} | {_percent(s.precision)} | {_percent(s.recall)} | {_percent(s.f1)} "
                    f"| {s.gold} | {s.predicted} | {s.correct} |"
                    for name, s in rows.items()
                ),
                "",
                f"Of {places.entities} entities found and shown: middle of the answer in a gold box "
                f"{_percent(places.pointing)}, IoU above .5 {_percent(places.above_half)}, "
                f"mean IoU {_percent(places.mean_iou)}.",
                f"Shown or not, of all found: P {_percent(presence.precision)}, R {_percent(presence.recall)}, "
                f"average precision {ranked}.",
                f"{self.posts} posts, tags read {READ[self.reading]}; entities are matched by their words' places, and "
                "any gold box counts.",
                "",
            ]
        )


def score_grounding(
    gold: Sequence[Iterable[GoldEntity]],
    predicted: Sequence[Iterable[GroundedEntity]],
    *,
    reading: Reading = "lenient",
) -> GroundingScores:
    """Return the scores of predicted entities against gold ones, post by post.

    Args:
        gold: each post's entities.
        predicted: the same posts'; of two entities with the same words in one post the first counts.
        reading: how invalid gold tags were read; only named in the scores.

    Raises:
        ValueError: `gold` and `predicted` are not of one length.
    """
    named, placed, both = _Counts(), _Counts(), _Counts()
    found: list[tuple[GoldEntity, GroundedEntity]] = []
    for gold_entities, predicted_entities in zip(gold, predicted, strict=True):
        golds, answers = _by_words(gold_entities), _by_words(predicted_entities)
        for entity in golds.values():
            for counts in (named, placed, both):
                counts.gold[entity.type] += 1
        for words, answer in answers.items():
            for counts in (named, placed, both):
                counts.predicted[answer.type] += 1
            if words not in golds:
                continue
            found.append((golds[words], answer))
            right_type = golds[words].type == answer.type
            right_place = is_right(golds[words].regions, answer.region)
            named.correct[answer.type] += right_type
            placed.correct[answer.type] += right_place
            both.correct[answer.type] += right_type and right_place
    return GroundingScores(
        mner=named.total(),
        eeg=placed.total(),
        gmner=both.total(),
        types=both.by_type(),
        places=_places(found),
        presence=_presence(found),
        posts=len(gold),
        reading=reading,
    )


def is_right(regions: Sequence[Region], answer: Region | None) -> bool:
    """Whether an answer is right: a box whose IoU with a gold one is above .5, or none where there is none.

    >>> is_right([Region(0, 0, 1, 1)], Region(0, 0, 1, 0.5)), is_right([], None)
    (False, True)
    """
    if answer is None:
        return not regions
    return any(answer.iou(region) > THRESHOLD for region in regions)


def gold_entities(sentence: "Sentence", label_type: str, *, strict: bool = False) -> list[GoldEntity] | None:
    """Return the gold entities of a sentence; None where it is not known of each where the picture shows it.

    Args:
        sentence: any.
        label_type: the layer of its gold labels.
        strict: whether to leave out entities that open with an invalid tag in their file.
    """
    entities = []
    for span in sentence.get_spans(label_type):
        label = span.get_label(label_type)
        if strict and INVALID_TAG in label.metadata:
            continue
        if REGIONS not in label.metadata:
            return None
        entities.append(GoldEntity(span[0].idx - 1, span[-1].idx, label.value, tuple(label.metadata[REGIONS])))
    return entities


def predicted_entities(sentence: "Sentence", label_type: str) -> list[GroundedEntity]:
    """Return the entities that a model has left on a sentence."""
    return [
        GroundedEntity(
            span[0].idx - 1, span[-1].idx, label.value, label.metadata.get(REGION), label.metadata.get(GROUNDED)
        )
        for span in sentence.get_spans(label_type)
        for label in [span.get_label(label_type)]
    ]


def score_grounded_sentences(
    labelled: "Iterable[Sentence]",
    tagged: "Iterable[Sentence]",
    *,
    gold_label_type: str,
    label_type: str,
    reading: Reading = "lenient",
) -> GroundingScores | None:
    """Return the scores of predicted labels against gold ones; None where no gold label says where.

    A post counts where the regions of all its gold entities are known, also where it has no entity.

    Args:
        labelled: the sentences with their gold labels.
        tagged: the same with the predicted ones; they may be the same objects.
        gold_label_type: the layer of the gold labels.
        label_type: the layer of the predicted ones.
        reading: `"strict"` leaves out gold entities that open with an invalid tag.
    """
    gold: list[list[GoldEntity]] = []
    predicted: list[list[GroundedEntity]] = []
    for post, found in zip(labelled, tagged, strict=True):
        entities = gold_entities(post, gold_label_type, strict=reading == "strict")
        if entities is not None:
            gold.append(entities)
            predicted.append(predicted_entities(found, label_type))
    return score_grounding(gold, predicted, reading=reading) if any(gold) else None


class _Counts:
    """Gold, predicted and right entities by type."""

    def __init__(self) -> None:
        self.gold: Counter[str] = Counter()
        self.predicted: Counter[str] = Counter()
        self.correct: Counter[str] = Counter()

    def by_type(self) -> dict[str, Score]:
        """Return a score for each type, in alphabetical order."""
        names = sorted({*self.gold, *self.predicted})
        return {name: Score(self.gold[name], self.predicted[name], self.correct[name]) for name in names}

    def total(self) -> Score:
        """Return the score over all types."""
        return Score(self.gold.total(), self.predicted.total(), self.correct.total())


def _by_words(entities: Iterable[Entity]) -> dict[tuple[int, int], Entity]:
    places: dict[tuple[int, int], Entity] = {}
    for entity in entities:
        places.setdefault((entity.start, entity.end), entity)
    return places


def _places(found: Sequence[tuple[GoldEntity, GroundedEntity]]) -> PlaceScores:
    shown = [(gold.regions, answer.region) for gold, answer in found if gold.regions]
    if not shown:
        return PlaceScores(0, 0.0, 0.0, 0.0)
    overlaps = [0.0 if answer is None else max(map(answer.iou, regions)) for regions, answer in shown]
    return PlaceScores(
        entities=len(shown),
        pointing=fmean(
            answer is not None
            and any(region.image == answer.image and region.holds(*answer.middle) for region in regions)
            for regions, answer in shown
        ),
        above_half=fmean(overlap > THRESHOLD for overlap in overlaps),
        mean_iou=fmean(overlaps),
    )


def _presence(found: Sequence[tuple[GoldEntity, GroundedEntity]]) -> PresenceScores:
    answers = [(bool(gold.regions), answer.region is not None) for gold, answer in found]
    score = Score(*(sum(map(counted, answers)) for counted in (itemgetter(0), itemgetter(1), all)))
    likely = [(bool(gold.regions), answer.grounded) for gold, answer in found if answer.grounded is not None]
    if len({shown for shown, _ in likely}) < 2:
        return PresenceScores(score, None)
    from sklearn.metrics import average_precision_score  # takes a second; scores that are kept need none

    return PresenceScores(score, float(average_precision_score(*zip(*likely, strict=True))))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
