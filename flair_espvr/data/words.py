"""The words of a text as Flair's `Sentence(text)` has them, by the same library, for what should not wait for Flair.

`tests/test_flair_compat.py` compares both.
"""

import re
from typing import NamedTuple

from segtok.segmenter import split_single
from segtok.tokenizer import split_contractions, word_tokenizer

_DROPPED = dict.fromkeys(map(ord, "\u200c\u200b\ufe0f\ufeff\u2028\u2029"))
_WINDOWS_1252 = re.compile("[\u0080-\u0099]")


class Word(NamedTuple):
    """A word, and where it begins and ends in `readable_text`."""

    text: str
    start: int
    end: int


def readable_text(text: str) -> str:
    """Return what Flair makes of a text before it splits it: characters are dropped, or replaced one by one."""
    return _WINDOWS_1252.sub(_restored, text.translate(_DROPPED))


def split_text(text: str) -> list[Word]:
    """Return the words of a text.

    Raises:
        ValueError: the splitter changes the text, so that its words are not there.
    """
    text = readable_text(text)
    words, place = [], 0
    for sentence in split_single(text):
        for word in filter(None, split_contractions(word_tokenizer(sentence))):
            start = text.index(word, place)
            place = start + len(word)
            words.append(Word(word, start, place))
    return words


def _restored(match: re.Match[str]) -> str:
    return bytes([ord(match[0])]).decode("windows-1252", errors="ignore")
