"""What is wrong between and inside the splits of a corpus: leakage, duplicates, contradicting labels, invalid tags."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flair_espvr.data.bio import invalid_positions, lenient_entities
from flair_espvr.data.post import Post

SHOWN_EXAMPLES = 5


class Place(NamedTuple):
    """Where a post stands; `line` is 0 where the format has no lines to name."""

    split: str
    line: int
    image_id: str | None

    def __str__(self) -> str:
        line = f" line {self.line}" if self.line else ""
        return f"{self.split}{line} ({self.image_id})"


Group = tuple[Place, ...]
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class HygieneReport:
    """What `check_splits` found; a group is all the places that share a picture or a text.

    Attributes:
        posts: posts per split.
        shared_image_ids: the same image id in several splits.
        shared_texts: the same text in several splits.
        repeated_texts: the same text again in one split, whatever its picture.
        contradicting_labels: the same text with other entities.
        invalid_tags: for each `I-` tag without a predecessor of its type, the place of its post.
    """

    posts: dict[str, int]
    shared_image_ids: list[Group]
    shared_texts: list[Group]
    repeated_texts: list[Group]
    contradicting_labels: list[Group]
    invalid_tags: list[Place]

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not any(found for _, found in self._findings())

    def __str__(self) -> str:
        lines = [", ".join(f"{split}: {count} posts" for split, count in self.posts.items())]
        for title, found in self._findings():
            lines.append(f"{title}: {len(found)}")
            lines += [f"    {' = '.join(map(str, group))}" for group in found[:SHOWN_EXAMPLES]]
            if len(found) > SHOWN_EXAMPLES:
                lines.append(f"    and {len(found) - SHOWN_EXAMPLES} more")
        counts = Counter(place.split for place in self.invalid_tags)
        per_split = ", ".join(f"{split} {counts[split]}" for split in self.posts if counts[split])
        if per_split:
            lines.append(f"invalid tags by split: {per_split}")
        return "\n".join(lines)

    def _findings(self) -> list[tuple[str, Sequence[Group]]]:
        return [
            ("image ids in several splits", self.shared_image_ids),
            ("texts in several splits", self.shared_texts),
            ("texts repeated in one split", self.repeated_texts),
            ("texts with contradicting labels", self.contradicting_labels),
            ("invalid I- tags", [(place,) for place in self.invalid_tags]),
        ]


def check_splits(splits: Mapping[str, Iterable[Post]]) -> HygieneReport:
    """Look for leakage between splits and for label noise inside them.

    Two texts are the same when their words are, apart from case and links: a retweet has a link of its own.

    Args:
        splits: the posts of each split, by its name; read once.
    """
    counts: dict[str, int] = {}
    by_image: defaultdict[str, list[Place]] = defaultdict(list)
    by_text: defaultdict[tuple[str, ...], list[Place]] = defaultdict(list)
    labels: defaultdict[tuple[str, ...], set[Labels]] = defaultdict(set)
    invalid: list[Place] = []
    for split, posts in splits.items():
        counts[split] = 0
        for post in posts:
            counts[split] += 1
            place = Place(split, post.line, post.image_id)
            if post.image_id is not None:
                by_image[post.image_id].append(place)
            if text := _comparable(post.tokens or ()):
                by_text[text].append(place)
                labels[text].add(_labels(post))
            invalid += [place] * len(invalid_positions(post.tags or ()))
    return HygieneReport(
        posts=counts,
        shared_image_ids=_across_splits(by_image.values()),
        shared_texts=_across_splits(by_text.values()),
        repeated_texts=_inside_splits(by_text.values()),
        contradicting_labels=[tuple(by_text[text]) for text, found in labels.items() if len(found) > 1],
        invalid_tags=invalid,
    )


def _comparable(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word.casefold() for word in words if not word.startswith(("http://", "https://")))


def _labels(post: Post) -> Labels:
    """The entities by their words, not their places, which links would shift."""
    words, entities = post.tokens or (), lenient_entities(post.tags or ())
    return tuple((" ".join(_comparable(words[start:end])), type_) for start, end, type_ in entities)


def _across_splits(groups: Iterable[Sequence[Place]]) -> list[Group]:
    return [tuple(group) for group in groups if len({place.split for place in group}) > 1]


def _inside_splits(groups: Iterable[Sequence[Place]]) -> list[Group]:
    repeated = []
    for group in groups:
        by_split: defaultdict[str, list[Place]] = defaultdict(list)
        for place in group:
            by_split[place.split].append(place)
        repeated += [tuple(places) for places in by_split.values() if len(places) > 1]
    return repeated
