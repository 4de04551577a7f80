"""The objects of a sentence that a model looks at, and the vocabulary of their labels."""

from collections import Counter
from collections.abc import Iterable, Sequence

from flair.data import Sentence

from flair_espvr.data.metadata import OBJECTS, metadata_or_none
from flair_espvr.data.picture_object import PictureObject

UNKNOWN_LABEL = 0
"""Id of every label that is not in a vocabulary."""


class ObjectLabels:
    """Ids of object labels: `UNKNOWN_LABEL`, then 1, 2, ... in the order given.

    Args:
        labels: the known ones; a model keeps them among its hyperparameters.

    Raises:
        ValueError: a label is given twice.
    """

    def __init__(self, labels: Iterable[str]) -> None:
        self.labels = tuple(labels)
        self._ids = {label: number for number, label in enumerate(self.labels, start=UNKNOWN_LABEL + 1)}
        if len(self._ids) < len(self.labels):
            raise ValueError("an object label is given twice")

    def __len__(self) -> int:
        """Return the number of ids, that of unknown labels included."""
        return len(self.labels) + 1

    def id_of(self, label: str) -> int:
        """Return the id of a label."""
        return self._ids.get(label, UNKNOWN_LABEL)


def object_labels(sentences: Iterable[Sentence], *, at_least: int = 1) -> tuple[str, ...]:
    """Return the labels of a corpus's objects, the most frequent first, those of equal count in alphabetical order.

    Args:
        sentences: the training posts.
        at_least: how often a label has to occur.
    """
    counts = Counter(found.label for sentence in sentences for found in metadata_or_none(sentence, OBJECTS) or ())
    frequent = [(-count, label) for label, count in counts.items() if count >= at_least]
    return tuple(label for _, label in sorted(frequent))


def sentence_objects(sentence: Sentence, *, most: int | None = None) -> list[PictureObject]:
    """Return the objects of a sentence, the surest first; no more than `most` of them where it is given."""
    objects: list[PictureObject] = metadata_or_none(sentence, OBJECTS) or []
    return sorted(objects, key=lambda found: -found.score)[:most]


def one_of_each(sentence: Sentence, labels: Sequence[str]) -> list[PictureObject | None]:
    """For each label the surest object of a sentence that bears it, or None."""
    surest: dict[str, PictureObject] = {}
    for found in sentence_objects(sentence):
        surest.setdefault(found.label, found)
    return [surest.get(label) for label in labels]
