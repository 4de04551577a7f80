"""What a detector of mediocre eyesight would say of pictures: boxes, each with the right label or a wrong one."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from flair.data import Sentence

from flair_espvr import PictureObject
from flair_espvr.data.metadata import IMAGE_ID, OBJECTS, REGIONS
from flair_espvr.data.region import Box
from synthetic.drawing import Box as DrawnBox

TYPE_WORDS = {"PER": "person", "LOC": "location", "ORG": "organization", "MISC": "miscellaneous"}
"""What a drawn object is called that a name of this type stands for."""

MISSING, WRONG = 1 / 6, 1 / 6
"""Shares of things that are not found, and of those that are given the label of another type: a third together."""

Thing = tuple[str | None, Box]
"""What a picture shows: the label that is right, if any is known to be, and the place."""


def add_noisy_objects(sentences: Sequence[Sentence], boxes: Mapping[str, DrawnBox], *, seed: int = 1) -> None:
    """Give every sentence the object in its picture as such a detector finds it, in place.

    The subject of a post without a name, whose type no label tells, gets any label.

    Args:
        sentences: those of the drawn corpus, with their gold labels.
        boxes: the place of each picture's subject, by image id.
        seed: decides which are missing and which wrong.
    """
    rng = np.random.default_rng(seed)
    words = list(TYPE_WORDS.values())
    for sentence in sentences:
        box = boxes[sentence.get_metadata(IMAGE_ID)]
        spans = sentence.get_spans("ner")
        word = TYPE_WORDS[spans[0].get_label("ner").value] if spans else None
        thing = word, (box.left, box.top, box.right, box.bottom)
        sentence.add_metadata(OBJECTS, noisy_objects([thing], words, rng))


def add_noisy_phrases(sentences: Sequence[Sentence], words: Mapping[str, str], *, seed: int = 1) -> None:
    """Give every sentence an object for each gold region, from left to right, as such a detector finds it, in place.

    Args:
        sentences: those with gold regions.
        words: what the things of each type are called.
        seed: decides which are missing and which wrong.
    """
    rng = np.random.default_rng(seed)
    for sentence in sentences:
        things: list[Thing] = [
            (words[span.tag], (region.left, region.top, region.right, region.bottom))
            for span in sentence.get_spans("ner")
            for region in span.get_label("ner").metadata.get(REGIONS, ())
        ]
        things.sort(key=lambda thing: thing[1])  # the order of the phrases would tell which is whose
        sentence.add_metadata(OBJECTS, noisy_objects(things, list(words.values()), rng))


def noisy_objects(things: Iterable[Thing], words: Sequence[str], rng: np.random.Generator) -> list[PictureObject]:
    """Return what is found of the things that a picture shows; one without a label gets any of the words."""
    found = []
    for word, box in things:
        fate, other = rng.random(), int(rng.integers(1, len(words)))
        right = int(rng.integers(len(words))) if word is None else words.index(word)
        label = words[(right + other) % len(words)] if fate < MISSING + WRONG else words[right]
        if fate >= MISSING:
            found.append(PictureObject(label, 0.9, box))
    return found
