"""Between the words of a post and the offsets of the file it was read from."""

from collections.abc import Sequence

from flair_espvr.data.words import readable_text


class WordOffsets:
    """Where each word of a post begins and ends: in characters of the original text, or in words.

    Flair drops some characters of a text before it splits it (U+200B, U+FE0F, line separators), so a word's own offsets
    are not those of the text that was given. An entity may begin or end on either side of such a character.

    Args:
        words: where each word begins and ends in `flair_espvr.data.words.readable_text`.
        text: the text as it was given; `None` where offsets count words.

    Attributes:
        length: how many characters or words there are.
        unit: `"characters"` or `"words"`.
    """

    def __init__(self, words: Sequence[tuple[int, int]], text: str | None) -> None:
        if text is None:
            self.length, self.unit = len(words), "words"
            self._spans = [(word, word + 1) for word in range(len(words))]
            self._starts = self._ends = {offset: offset for offset in range(len(words) + 1)}
            return
        self.length, self.unit = len(text), "characters"
        kept = [*_kept_characters(text), len(text)]
        before = [0, *(offset + 1 for offset in kept)]  # the earliest place that is as good as kept[i]
        self._spans, self._starts, self._ends = [], {}, {}
        for word, (start, end) in enumerate(words):
            self._spans.append((kept[start], before[end]))
            self._starts.update(dict.fromkeys(range(before[start], kept[start] + 1), word))
            self._ends.update(dict.fromkeys(range(before[end], kept[end] + 1), word + 1))

    def words(self, start: int, end: int) -> range | None:
        """Return the words from offset `start` to `end`, or `None` where these are not the borders of words."""
        first, last = self._starts.get(start), self._ends.get(end)
        return None if first is None or last is None or first >= last else range(first, last)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Return the offsets of the words from `first` to `last` (exclusive)."""
        return self._spans[first][0], self._spans[last - 1][1]


def _kept_characters(text: str) -> Sequence[int]:
    """Where the characters stand that Flair keeps of `text`; it may replace, but never adds one."""
    if readable_text(text) == text:
        return range(len(text))
    return [offset for offset, character in enumerate(text) if readable_text(character)]
