"""What is wrong between and inside the splits of a corpus: leakage, duplicates, label noise, and what is missing."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flair_espvr.data.bio import invalid_positions, lenient_entities
from flair_espvr.data.encoder_fit import MANY, EncoderFit, EncoderTokenizer, sum_of
from flair_espvr.data.formats.records import record_images
from flair_espvr.data.metadata import REGIONS
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
        pictures: posts with a picture per split; empty where nobody has looked.
        types: entities by type and split, in order of frequency.
        regions: how many entities are shown, are not in the picture, or are not known to be; empty where no post says.
        longest: words of the longest post, and its place.
        fit: what the encoder makes of all posts; None where none was named.
        missing_pictures: posts one of whose pictures is not there, though they name it or others of their ids have one.
        unseen_types: types that the first split does not have, of which nothing can be learned there.
        long_posts: posts that are longer than the encoder reads.
        shared_image_ids: the same image id in several splits.
        shared_texts: the same text in several splits.
        repeated_texts: the same text again in one split, whatever its picture.
        contradicting_labels: the same text with other entities.
        invalid_tags: for each `I-` tag without a predecessor of its type, the place of its post.
    """

    posts: dict[str, int]
    pictures: dict[str, int]
    types: dict[str, dict[str, int]]
    regions: dict[str, int]
    longest: tuple[int, Place] | None
    fit: EncoderFit | None
    missing_pictures: list[Place]
    unseen_types: list[str]
    long_posts: list[Place]
    shared_image_ids: list[Group]
    shared_texts: list[Group]
    repeated_texts: list[Group]
    contradicting_labels: list[Group]
    invalid_tags: list[Place]

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        hardly_known = self.fit is not None and self.fit.unknown_share >= MANY
        return not hardly_known and not any(found for _, found in self._findings())

    def __str__(self) -> str:
        return self.to_text(SHOWN_EXAMPLES)

    def to_text(self, examples: int | None) -> str:
        """Return the report, with so many examples of each finding, or with all."""
        lines = [", ".join(f"{split}: {count} posts" for split, count in self.posts.items())]
        if self.pictures:
            lines.append(f"posts with a picture: {', '.join(f'{split} {n}' for split, n in self.pictures.items())}")
        for type_, counts in self.types.items():
            lines.append(f"entities of type {type_}: {', '.join(f'{split} {n}' for split, n in counts.items())}")
        if self.regions:
            shown = ", ".join(f"{count} {what}" for what, count in self.regions.items())
            lines.append(f"entities in the pictures: {shown}")
        if self.longest is not None:
            lines.append(f"longest post: {self.longest[0]} words, {self.longest[1]}")
        if self.fit is not None:
            lines.append(f"words unknown to the encoder: {self.fit.unknown} of {self.fit.words}")
            lines += [f"    {problem}" for problem in self.fit.problems()]
        for title, found in self._findings():
            lines.append(f"{title}: {len(found)}")
            lines += [f"    {example}" for example in found[:examples]]
            if examples is not None and len(found) > examples:
                lines.append(f"    and {len(found) - examples} more (--all shows them)")
        counts = Counter(place.split for place in self.invalid_tags)
        per_split = ", ".join(f"{split} {counts[split]}" for split in self.posts if counts[split])
        if per_split:
            lines.append(f"invalid tags by split: {per_split}")
        return "\n".join(lines)

    def _findings(self) -> list[tuple[str, Sequence[str]]]:
        found: dict[str, Sequence[Group]] = {
            "image ids in several splits": self.shared_image_ids,
            "texts in several splits": self.shared_texts,
            "texts repeated in one split": self.repeated_texts,
            "texts with contradicting labels": self.contradicting_labels,
            "invalid I- tags": [(place,) for place in self.invalid_tags],
        }
        if self.pictures:
            found["pictures that are not there"] = [(place,) for place in self.missing_pictures]
        if self.fit is not None:
            found["posts longer than the encoder reads"] = [(place,) for place in self.long_posts]
        shown: list[tuple[str, Sequence[str]]]
        shown = [(title, [" = ".join(map(str, group)) for group in groups]) for title, groups in found.items()]
        if len(self.posts) > 1:
            shown.append((f"types that {next(iter(self.posts))} does not have", self.unseen_types))
        return shown


def check_splits(
    splits: Mapping[str, Iterable[Post]],
    *,
    pictures_there: Callable[[Post], int] | None = None,
    tokenizer: EncoderTokenizer | None = None,
) -> HygieneReport:
    """Look for leakage between splits, for label noise inside them, and for what is not there.

    Two texts are the same when their words are, apart from case and links: a retweet has a link of its own.

    Args:
        splits: the posts of each split, by its name; read once.
        pictures_there: how many of a post's pictures are there; None to look for none.
        tokenizer: of the encoder that is to read the posts; None for none.
    """
    seen = _Seen(pictures_there, tokenizer)
    for split, posts in splits.items():
        seen.posts[split] = 0
        for post in posts:
            seen.add(split, post)
    return seen.report()


class _Seen:
    """What has been seen of the posts so far."""

    def __init__(self, pictures_there: Callable[[Post], int] | None, tokenizer: EncoderTokenizer | None) -> None:
        self._pictures_there = pictures_there
        self._tokenizer = tokenizer
        self._fits: list[EncoderFit] = []
        self._by_image: defaultdict[str, list[Place]] = defaultdict(list)
        self._by_text: defaultdict[tuple[str, ...], list[Place]] = defaultdict(list)
        self._labels: defaultdict[tuple[str, ...], set[Labels]] = defaultdict(set)
        self._invalid: list[Place] = []
        self._long: list[Place] = []
        self._unnamed: list[Place] = []
        self._missing: list[Place] = []
        self._pictures: Counter[str] = Counter()
        self._types: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._regions: Counter[str] = Counter()
        self._longest: tuple[int, Place] | None = None
        self.posts: dict[str, int] = {}

    def add(self, split: str, post: Post) -> None:
        """Look at one more post."""
        self.posts[split] += 1
        words, tags = post.tokens or (), post.tags or ()
        place = Place(split, post.line, post.image_id)
        if post.image_id is not None and _has_name(post):
            self._by_image[post.image_id].append(place)
        if text := _comparable(words):
            self._by_text[text].append(place)
            self._labels[text].add(_labels(post))
        self._invalid += [place] * len(invalid_positions(tags))
        self._types[split].update(entity.type for entity in lenient_entities(tags))
        for entity in (post.record or {}).get("entities") or ():
            boxes = entity.get(REGIONS)
            self._regions["not known" if boxes is None else "shown" if boxes else "not shown"] += 1
        if words and (self._longest is None or len(words) > self._longest[0]):
            self._longest = (len(words), place)
        if self._pictures_there is not None:
            there = self._pictures_there(post)
            if there:
                self._pictures[split] += 1
            if there < max(1, len(post.images)):
                (self._missing if post.image is not None else self._unnamed).append(place)
        if self._tokenizer is not None:
            self._fits.append(self._tokenizer.fit([words]))
            self._long += [place] * self._fits[-1].longer

    def report(self) -> HygieneReport:
        """All that was found."""
        first, *others = self.posts
        types = sum(self._types.values(), Counter[str]())
        # Posts that name no picture, as in columns, lack one only where others have one.
        unnamed = self._unnamed if self._pictures else []
        return HygieneReport(
            posts=self.posts,
            pictures={split: self._pictures[split] for split in self.posts if self._pictures or self._missing},
            types={
                type_: {split: self._types[split][type_] for split in self.posts} for type_, _ in types.most_common()
            },
            regions=dict(self._regions) if self._regions.keys() - {"not known"} else {},
            longest=self._longest,
            fit=None if self._tokenizer is None else sum_of(self._fits, self._tokenizer.limit),
            missing_pictures=sorted([*self._missing, *unnamed], key=lambda place: list(self.posts).index(place.split)),
            unseen_types=[
                f"{type_} ({', '.join(f'{split} {self._types[split][type_]}' for split in others)})"
                for type_ in types
                if type_ not in self._types[first]
            ],
            long_posts=self._long,
            shared_image_ids=_across_splits(self._by_image.values()),
            shared_texts=_across_splits(self._by_text.values()),
            repeated_texts=_inside_splits(self._by_text.values()),
            contradicting_labels=[tuple(self._by_text[text]) for text, found in self._labels.items() if len(found) > 1],
            invalid_tags=self._invalid,
        )


def _has_name(post: Post) -> bool:
    """Whether its image id is more than its number in its file."""
    return post.record is None or bool(record_images(post.record) or "id" in post.record)


def _comparable(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word.casefold() for word in words if not word.startswith(("http://", "https://")))


def _labels(post: Post) -> Labels:
    """Return the entities by their words, not their places, which links would shift."""
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
