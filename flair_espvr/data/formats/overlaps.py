"""Entities of a JSON post that overlap, which no tagger here can learn: how many there are, and which to keep."""

from collections.abc import Sequence
from typing import Any, Literal

Keep = Literal["outermost", "innermost"]
"""Which of overlapping entities stay: the longest or the shortest, of equally long ones the first."""


def without_overlaps(entities: Sequence[Any], keep: Keep) -> list[Any]:
    """Return the entities that stay, in their order, so that no two overlap.

    Those without a place are not looked at.
    """
    sign = -1 if keep == "outermost" else 1
    kept: list[int] = []
    for index in sorted(range(len(entities)), key=lambda index: sign * len(_place(entities[index]))):
        if not any(_overlap(entities[index], entities[other]) for other in kept):
            kept.append(index)
    return [entities[index] for index in sorted(kept)]


def overlapping(entities: Sequence[Any]) -> int:
    """How many of the entities overlap one before them."""
    return sum(any(_overlap(entity, earlier) for earlier in entities[:index]) for index, entity in enumerate(entities))


def _place(entity: Any) -> range:
    match entity:
        case {"start": int(start), "end": int(end)}:
            return range(start, end)
        case _:
            return range(0)


def _overlap(first: Any, second: Any) -> bool:
    one, other = _place(first), _place(second)
    return max(one.start, other.start) < min(one.stop, other.stop)
