"""Names that nobody bears: they say nothing about what they name."""

import numpy as np

from synthetic.chance import pick

ONSETS = (
    "b",
    "br",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gl",
    "j",
    "k",
    "kl",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "z",
)
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "io", "ou")
CODAS = ("", "", "", "l", "m", "n", "r", "s", "x", "nd", "lt")


def made_up_names(rng: np.random.Generator, count: int) -> list[tuple[str, ...]]:
    """`count` names of one or two capitalised words each; no word occurs twice, so no two names share one."""
    names: list[tuple[str, ...]] = []
    used: set[str] = set()
    while len(names) < count:
        words = tuple(_word(rng) for _ in range(rng.integers(1, 3)))
        if len(set(words)) == len(words) and used.isdisjoint(words):
            used.update(words)
            names.append(words)
    return names


def _word(rng: np.random.Generator) -> str:
    """Two or three syllables, such as "Veltora"."""
    syllables = (pick(rng, ONSETS) + pick(rng, VOWELS) for _ in range(rng.integers(2, 4)))
    return ("".join(syllables) + pick(rng, CODAS)).capitalize()
