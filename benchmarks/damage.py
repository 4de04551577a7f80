"""Pictures that are not there, or another post's: what that does to a tagger, whatever it learned from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from flair.data import Sentence

from benchmarks.told import f1_of_parts
from flair_espvr.data.metadata import CAPTION, IMAGE, IMAGE_ID, OBJECTS, OCR, TAGS
from flair_espvr.flair_compat import remove_metadata

SEEN = (IMAGE, CAPTION, TAGS, OCR, OBJECTS)
"""What a post has of its picture, beside the picture's id."""


@dataclass(frozen=True)
class Damage:
    """What is done to the pictures of posts.

    Attributes:
        missing: share of the posts that have none.
        shuffled: whether every post has that of another.
    """

    missing: float = 0.0
    shuffled: bool = False


WHOLE = Damage()
ALL_MISSING = "100 % missing"

DAMAGES: Mapping[str, Damage] = MappingProxyType(
    {
        "25 % missing": Damage(missing=0.25),
        "50 % missing": Damage(missing=0.5),
        "75 % missing": Damage(missing=0.75),
        ALL_MISSING: Damage(missing=1.0),
        "shuffled": Damage(shuffled=True),
    }
)


def damage_pictures(sentences: Sequence[Sentence], damage: Damage, *, seed: int) -> None:
    """Take pictures from sentences or give them those of others, in place.

    Which miss theirs is the seed's choice, and who does where few are missing also does where many are.
    """
    if damage.shuffled:
        shuffle_pictures(sentences, np.random.default_rng(seed))
    order = np.random.default_rng(seed).permutation(len(sentences))
    for place in order[: round(damage.missing * len(sentences))].tolist():
        for key in SEEN:
            remove_metadata(sentences[place], key)


def shuffle_pictures(sentences: Sequence[Sentence], rng: np.random.Generator) -> None:
    """Give every sentence the picture of another one, chosen at random, and what that one has of it, in place."""
    order = rng.permutation(len(sentences))
    seen = [_seen(sentence) for sentence in sentences]
    for receiver, giver in zip(order, np.roll(order, 1), strict=True):
        _show(sentences[receiver], seen[giver])


def f1_under_damage(
    predict: Callable[..., Any], sentences: Sequence[Sentence], *, gold: str, seed: int
) -> dict[str, dict[str, float]]:
    """Return what `f1_of_parts` gives under each of `DAMAGES`; the sentences have their pictures again afterwards.

    Args:
        predict: called with sentences and a `label_name`.
        sentences: those with their pictures.
        gold: the layer of the gold labels.
        seed: see `damage_pictures`.
    """
    whole = [_seen(sentence) for sentence in sentences]
    scores = {}
    for name, damage in DAMAGES.items():
        damage_pictures(sentences, damage, seed=seed)
        predict(sentences, label_name="damaged")
        scores[name] = f1_of_parts(sentences, gold=gold, predicted="damaged")
        for sentence, seen in zip(sentences, whole, strict=True):
            _show(sentence, seen)
            sentence.remove_labels("damaged")
    return scores


def _seen(sentence: Sentence) -> dict[str, Any]:
    return {key: sentence.get_metadata(key) for key in (IMAGE_ID, *SEEN) if sentence.has_metadata(key)}


def _show(sentence: Sentence, seen: Mapping[str, Any]) -> None:
    for key in (IMAGE_ID, *SEEN):
        remove_metadata(sentence, key)
    for key, value in seen.items():
        sentence.add_metadata(key, value)
