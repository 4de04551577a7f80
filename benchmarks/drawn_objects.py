"""What a detector of mediocre eyesight would say of drawn pictures: the subject's box, and its label or a wrong one."""

from collections.abc import Mapping, Sequence

import numpy as np
from flair.data import Sentence

from flair_espvr import PictureObject
from flair_espvr.data.metadata import IMAGE_ID, OBJECTS
from synthetic.drawing import Box

TYPE_WORDS = {"PER": "person", "LOC": "location", "ORG": "organization", "MISC": "miscellaneous"}
"""What an object is called that a name of this type stands for."""

MISSING, WRONG = 1 / 6, 1 / 6
"""Shares of subjects that are not found, and of those that are given the label of another type: a third together."""


def add_noisy_objects(sentences: Sequence[Sentence], boxes: Mapping[str, Box], *, seed: int = 1) -> None:
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
        fate, other = rng.random(), int(rng.integers(1, len(words)))
        box = boxes[sentence.get_metadata(IMAGE_ID)]
        spans = sentence.get_spans("ner")
        right = words.index(TYPE_WORDS[spans[0].get_label("ner").value]) if spans else int(rng.integers(len(words)))
        label = words[(right + other) % len(words)] if fate < MISSING + WRONG else words[right]
        found = PictureObject(label, 0.9, (box.left, box.top, box.right, box.bottom))
        sentence.add_metadata(OBJECTS, [] if fate < MISSING else [found])
