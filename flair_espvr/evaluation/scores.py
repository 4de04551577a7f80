"""Precision, recall and F1 over entities, as papers on named entity recognition print them.

An entity counts as found when its words and its type are both right. Gold tags may be invalid BIO2 (Twitter-2015 has
374 such), so every score says how they were read: *lenient* is seqeval's default and Flair's way, *strict* is seqeval's
`mode="strict", scheme=IOB2`; see `flair_espvr.data.bio`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from flair_espvr.data.bio import EntitySpan, lenient_entities, strict_entities

if TYPE_CHECKING:
    from flair.data import Sentence

Reading = Literal["lenient", "strict"]


class Score(NamedTuple):
    """Counts of entities, and the three figures that follow from them; a figure with nothing to divide by is 0."""

    gold: int
    predicted: int
    correct: int

    @property
    def precision(self) -> float:
        """Share of the predicted entities that are right, 0..1."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold entities that were found, 0..1."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0..1."""
        return 2 * self.correct / (self.gold + self.predicted) if self.gold + self.predicted else 0.0


class MacroAverage(NamedTuple):
    """Unweighted means over the types, 0..1."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Scores:
    """The scores of one set of sentences.

    Attributes:
        types: a score for each type that occurs in gold or prediction, in alphabetical order.
        sentences: how many sentences were scored.
        reading: how invalid tags were read.
        edition: which edition of the corpus this is, where that is known.
    """

    types: dict[str, Score]
    sentences: int
    reading: Reading
    edition: str | None = None

    @property
    def micro(self) -> Score:
        """The score over all entities of all types, the one that papers call F1."""
        counts = self.types.values()
        return Score(sum(s.gold for s in counts), sum(s.predicted for s in counts), sum(s.correct for s in counts))

    @property
    def macro(self) -> MacroAverage:
        """The mean over the types."""
        scores = self.types.values()
        number = len(scores) or 1
        return MacroAverage(
            sum(s.precision for s in scores) / number,
            sum(s.recall for s in scores) / number,
            sum(s.f1 for s in scores) / number,
        )

    def to_markdown(self) -> str:
        """Return a table in percent, one row per type and two of averages, under a line that says what was scored."""
        edition = f", edition: {self.edition}" if self.edition else ""
        lines = [
            f"{self.sentences} sentences, {self.micro.gold} gold entities, tags read {READ[self.reading]}{edition}",
            "",
            "| type | precision | recall | F1 | gold | predicted | correct |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for name, score in [*self.types.items(), ("**micro**", self.micro)]:
            lines.append(f"| {name} | {_percent(score)} | {score.gold} | {score.predicted} | {score.correct} |")
        lines.append(f"| **macro** | {_percent(self.macro)} | | | |")
        return "\n".join(lines) + "\n"


READ: dict[Reading, str] = {"lenient": "leniently (as seqeval's default and Flair)", "strict": "as strict IOB2"}
"""The readings of invalid tags, in words."""


def score_entities(
    gold: Sequence[Iterable[EntitySpan]],
    predicted: Sequence[Iterable[EntitySpan]],
    *,
    reading: Reading = "lenient",
    edition: str | None = None,
) -> Scores:
    """Score predicted entities, given for each sentence, against gold ones.

    Args:
        gold: for each sentence its entities, already read as `reading` says.
        predicted: the same sentences' predicted entities.
        reading: how invalid tags were read; only named in the result.
        edition: the corpus's edition; only named in the result.

    Raises:
        ValueError: the two are not of one length.
    """
    counts: dict[str, Counter[str]] = {"gold": Counter(), "predicted": Counter(), "correct": Counter()}
    for gold_entities, predicted_entities in zip(map(set, gold), map(set, predicted), strict=True):
        counts["gold"].update(entity.type for entity in gold_entities)
        counts["predicted"].update(entity.type for entity in predicted_entities)
        counts["correct"].update(entity.type for entity in gold_entities & predicted_entities)
    types = sorted(counts["gold"] | counts["predicted"])
    return Scores(
        types={name: Score(*(counts[kind][name] for kind in ("gold", "predicted", "correct"))) for name in types},
        sentences=len(gold),
        reading=reading,
        edition=edition,
    )


def score_tags(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    *,
    reading: Reading = "lenient",
    edition: str | None = None,
) -> Scores:
    """Score predicted BIO2 tag sequences against gold ones, both read as `reading` says.

    Args:
        gold: for each sentence its tags, `O`, `B-TYPE` or `I-TYPE`.
        predicted: the same sentences' predicted tags, one for each gold tag.
        reading: how invalid tags are read.
        edition: the corpus's edition; only named in the result.

    Raises:
        ValueError: the two are not of one length, or two sequences are not.

    >>> score_tags([["B-PER", "I-PER", "O"]], [["B-PER", "O", "B-LOC"]]).types
    {'LOC': Score(gold=0, predicted=1, correct=0), 'PER': Score(gold=1, predicted=1, correct=0)}
    """
    for number, (gold_tags, predicted_tags) in enumerate(zip(gold, predicted, strict=True)):
        if len(gold_tags) != len(predicted_tags):
            raise ValueError(
                f"sentence {number} has {len(gold_tags)} gold tags but {len(predicted_tags)} predicted ones"
            )
    read = lenient_entities if reading == "lenient" else strict_entities
    return score_entities(
        [read(tags) for tags in gold], [read(tags) for tags in predicted], reading=reading, edition=edition
    )


def score_sentences(
    sentences: "Iterable[Sentence]",
    *,
    gold_label_type: str,
    predicted_label_type: str,
    reading: Reading = "lenient",
    edition: str | None = None,
) -> Scores:
    """Score the labels that sentences carry in two annotation layers.

    Args:
        sentences: from a corpus of ours, so that gold labels know whether their tags were invalid; predicted on.
        gold_label_type: the layer of the gold labels.
        predicted_label_type: the layer of the predictions; the spans of a tagger are valid in both readings.
        reading: how invalid gold tags are read.
        edition: the corpus's edition, for instance `corpus.edition`; only named in the result.
    """
    from flair_espvr.data.sentences import sentence_entities  # which imports Flair; scores that are kept need none

    gold, predicted = [], []
    for sentence in sentences:
        gold.append(sentence_entities(sentence, gold_label_type, strict=reading == "strict"))
        predicted.append(sentence_entities(sentence, predicted_label_type))
    return score_entities(gold, predicted, reading=reading, edition=edition)


def _percent(score: Score | MacroAverage) -> str:
    return f"{100 * score.precision:.2f} | {100 * score.recall:.2f} | {100 * score.f1:.2f}"
