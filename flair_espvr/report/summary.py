"""What the head of a page counts, gathered post by post."""

from collections import Counter
from dataclasses import dataclass, field

from flair_espvr.report.card import Card
from flair_espvr.report.entities import Outcome

COLOURS = 8
"""How many type colours page.css has."""

_USUAL_COLOURS = {"PER": 0, "LOC": 1, "ORG": 2, "MISC": 3, "OTHER": 3}


@dataclass
class Summary:
    """Counts over the posts added so far.

    Attributes:
        posts, pictures, several: posts, those with a picture, readable or not, and those with more than one.
        most_entities: the largest entity number of any post.
        predicted, located, absent: entities by type, those of them with a region, and those that are said not to be in
            the picture.
        maps, gold_boxes: how many maps and gold regions there are to show.
        right, wrong, missed: by type, as span scores count them: an entity of the wrong type is wrong for the type
            it was given and missed for the type it has.
    """

    posts: int = 0
    pictures: int = 0
    several: int = 0
    most_entities: int = 0
    predicted: Counter[str] = field(default_factory=Counter)
    located: Counter[str] = field(default_factory=Counter)
    absent: Counter[str] = field(default_factory=Counter)
    maps: int = 0
    gold_boxes: int = 0
    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    _unreadable: set[str] = field(default_factory=set)
    _colours: dict[str, int] = field(default_factory=dict)

    def add(self, card: Card) -> None:
        """Count one post."""
        self.posts += 1
        self.pictures += bool(card.pictures)
        self.several += len(card.pictures) > 1
        for picture in card.pictures:
            if picture.problem is not None:
                self._unreadable.add(picture.name)
            self.maps += len(picture.heats)
            self.gold_boxes += len(picture.gold_boxes)
        for entity in card.entities:
            if entity.outcome is Outcome.MISSED:
                self.missed[entity.type] += 1
                continue
            self.predicted[entity.type] += 1
            self.located[entity.type] += entity.region is not None
            self.absent[entity.type] += entity.is_absent
            self.most_entities = max(self.most_entities, entity.number or 0)
            if entity.outcome is Outcome.RIGHT:
                self.right[entity.type] += 1
            elif entity.outcome is not None:
                self.wrong[entity.type] += 1
        # Sets, for words may have several labels: of a gold type that one of them found nothing was missed.
        found = {(e.start, e.end, e.type) for e in card.entities if e.outcome is Outcome.RIGHT}
        mistyped = {(e.start, e.end, gold_type) for e in card.entities for gold_type in e.gold_types}
        self.missed.update(gold_type for _, _, gold_type in mistyped - found)

    @property
    def unreadable(self) -> int:
        """How many different pictures could not be read, as a command's report counts them."""
        return len(self._unreadable)

    @property
    def types(self) -> list[str]:
        """Every type seen, the most frequent first."""
        seen = self.predicted + self.missed
        return sorted(seen, key=lambda name: (-seen[name], name))

    def colour(self, name: str) -> int:
        """Return the colour, 0..COLOURS-1, of a type: fixed for the usual ones, in order of first sight for any other.

        Past the last colour they come round again; a type is always named beside its colour.
        """
        return self._place(name) % COLOURS

    def classes(self, name: str) -> str:
        """Return the style of a type: its colour and, where that has come round, which line is below the words."""
        again = self._place(name) // COLOURS
        return f"type-{self.colour(name)}" + (f" again-{(again - 1) % 2 + 1}" if again else "")

    def _place(self, name: str) -> int:
        if name in _USUAL_COLOURS:
            return _USUAL_COLOURS[name]
        first = max(_USUAL_COLOURS.values()) + 1
        return self._colours.setdefault(name, first + len(self._colours))
