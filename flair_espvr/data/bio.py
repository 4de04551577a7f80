"""BIO2 tags and the entities they stand for; BIOES tags as BIO2.

`B-X` opens an entity of type X, `I-X` goes on with it, `O` is outside. An `I-X` that follows neither `B-X` nor `I-X` is
invalid, and the field disagrees about it: read *leniently* (seqeval's default, Flair, the published MNER scores) it
opens an entity; read as *strict* IOB2 it belongs to none. The lenient reading is also that of IOB1, where entities open
with `I-X`, and with `B-X` only right after another of their type.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_TAG = re.compile(r"O|[BIES]-\S(.*\S)?")


class EntitySpan(NamedTuple):
    """Words `start` to `end` (exclusive) of a post, and their type."""

    start: int
    end: int
    type: str


def is_tag(tag: str) -> bool:
    """Whether `tag` is `O`, `B-TYPE` or `I-TYPE` or, in BIOES, `E-TYPE` or `S-TYPE`."""
    return _TAG.fullmatch(tag) is not None


def bio_from_bioes(tags: Iterable[str]) -> list[str]:
    """Return the BIO2 tags of BIOES (IOBES) tags; BIO tags stay what they are.

    What goes on after `E-X` or `S-X`, which close an entity, opens another, as in seqeval's default mode.

    >>> bio_from_bioes(["B-PER", "E-PER", "O", "S-LOC"])
    ['B-PER', 'I-PER', 'O', 'B-LOC']
    """
    converted, closed = [], False
    for tag in tags:
        prefix, type = tag[:1], tag[1:]
        if prefix == "S" or (closed and prefix in {"I", "E"}):
            converted.append("B" + type)
        else:
            converted.append("I" + type if prefix == "E" else tag)
        closed = prefix in {"E", "S"}
    return converted


def invalid_positions(tags: Sequence[str]) -> list[int]:
    """Where an `I-` tag has no predecessor of its own type.

    >>> invalid_positions(["I-PER", "I-PER", "B-LOC", "I-PER"])
    [0, 3]
    """
    return [
        position
        for position, tag in enumerate(tags)
        if tag.startswith("I-") and (position == 0 or tags[position - 1] not in {tag, "B-" + tag[2:]})
    ]


def lenient_entities(tags: Sequence[str]) -> list[EntitySpan]:
    """Return the entities as seqeval's default mode and Flair read them: an invalid `I-` opens one.

    >>> lenient_entities(["B-PER", "I-PER", "O", "I-LOC"])
    [EntitySpan(start=0, end=2, type='PER'), EntitySpan(start=3, end=4, type='LOC')]
    """
    return list(_entities(tags, invalid_positions(tags)))


def strict_entities(tags: Sequence[str]) -> list[EntitySpan]:
    """Return the entities as strict IOB2: what an invalid `I-` opens is none.

    >>> strict_entities(["B-PER", "I-PER", "O", "I-LOC"])
    [EntitySpan(start=0, end=2, type='PER')]
    """
    invalid = set(invalid_positions(tags))
    return [entity for entity in _entities(tags, invalid) if entity.start not in invalid]


def _entities(tags: Sequence[str], invalid: Iterable[int]) -> Iterator[EntitySpan]:
    opening = set(invalid).union(position for position, tag in enumerate(tags) if tag.startswith("B-"))
    for start in sorted(opening):
        end = start + 1
        while end < len(tags) and tags[end] != "O" and end not in opening:
            end += 1
        yield EntitySpan(start, end, tags[start][2:])


def bio_tags(length: int, entities: Iterable[EntitySpan]) -> list[str]:
    """Return the `length` tags that stand for `entities`, which must not overlap.

    >>> bio_tags(4, [EntitySpan(1, 3, "PER")])
    ['O', 'B-PER', 'I-PER', 'O']
    """
    tags = ["O"] * length
    for start, end, type in entities:
        tags[start:end] = ["B-" + type] + ["I-" + type] * (end - start - 1)
    return tags
