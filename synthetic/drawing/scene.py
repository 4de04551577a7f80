"""One picture: a subject of a known type, or several, at known places on cluttered ground."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType

import numpy as np
from PIL import Image

from synthetic.chance import pick
from synthetic.drawing import organisations, people, places, things
from synthetic.drawing.backgrounds import background
from synthetic.drawing.canvas import Canvas

Drawing = Callable[[Canvas, np.random.Generator], None]

DRAWINGS: Mapping[str, tuple[Drawing, ...]] = MappingProxyType(
    {
        "PER": people.DRAWINGS,
        "LOC": places.DRAWINGS,
        "ORG": organisations.DRAWINGS,
        "MISC": things.DRAWINGS,
    }
)
"""What a subject of each entity type may look like."""


@dataclass(frozen=True)
class Box:
    """A rectangle in fractions of the picture's width and height, from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    def holds(self, x: float, y: float) -> bool:
        return self.left <= x <= self.right and self.top <= y <= self.bottom

    def touches(self, other: "Box") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    @property
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


@dataclass(frozen=True)
class Scene:
    """A drawn picture.

    Attributes:
        picture: RGB.
        subject: name of the drawing, such as "lighthouse".
        box: the subject's outline.
    """

    picture: Image.Image
    subject: str
    box: Box


SIDE = 256
"""Width and height of a picture in pixels, unless another is asked for."""

CLUTTER = (12, 30)
"""Least and greatest number of small shapes on the ground, unless others are asked for."""

TRIES = 10
"""How often places are drawn for several subjects before one of them is made smaller."""


def draw_scene(
    entity_type: str,
    rng: np.random.Generator,
    *,
    side: int = SIDE,
    size: tuple[float, float] = (0.15, 0.4),
    clutter: tuple[int, int] = CLUTTER,
) -> Scene:
    """Draw a subject somewhere on a background.

    Args:
        entity_type: "PER", "LOC", "ORG" or "MISC".
        rng: decides everything else, so one seed is one picture.
        side: width and height of the picture in pixels.
        size: least and greatest length of the subject's longer side, as a share of the picture's.
        clutter: least and greatest number of small shapes around the subject.
    """
    picture = background(rng, side, clutter=int(rng.integers(clutter[0], clutter[1] + 1)))
    drawing = pick(rng, DRAWINGS[entity_type])
    subject = _subject(drawing, rng, round(side * rng.uniform(*size)))
    left = int(rng.integers(side - subject.width + 1))
    top = int(rng.integers(side - subject.height + 1))
    picture.paste(subject, (left, top), subject)
    box = Box(left / side, top / side, (left + subject.width) / side, (top + subject.height) / side)
    return Scene(_grained(picture, rng), drawing.__name__, box)


def draw_subjects(
    entity_types: Sequence[str],
    rng: np.random.Generator,
    *,
    side: int = SIDE,
    area: tuple[float, float] = (0.005, 0.6),
    clutter: tuple[int, int] = CLUTTER,
) -> tuple[Image.Image, list[Box]]:
    """Draw any number of subjects on a background, none before another.

    Args:
        entity_types: of the subjects; the same one may occur several times.
        rng: decides everything else, so one seed is one picture.
        side: width and height of the picture in pixels.
        area: least and greatest part of the picture that a subject's box covers; small and large ones are equally
            likely, on a logarithmic scale. A slender subject as long as the picture may fall short of the greatest.
        clutter: least and greatest number of small shapes around the subjects.

    Returns:
        The picture, RGB, and the box of each subject.
    """
    picture = background(rng, side, clutter=int(rng.integers(clutter[0], clutter[1] + 1)))
    subjects = [_subject_of(entity_type, rng, side, area) for entity_type in entity_types]
    boxes: list[Box] = []
    for subject, (left, top, right, bottom) in zip(subjects, _places(subjects, rng, side), strict=True):
        piece = subject.resize((right - left, bottom - top), Image.Resampling.LANCZOS)
        picture.paste(piece, (left, top), piece)
        boxes.append(Box(left / side, top / side, right / side, bottom / side))
    return _grained(picture, rng), boxes


def _subject(drawing: Drawing, rng: np.random.Generator, side: int) -> Image.Image:
    """One drawing, a little turned, perhaps mirrored, its longer side `side` pixels."""
    canvas = Canvas(side)
    drawing(canvas, rng)
    return canvas.image(turn=rng.uniform(-8, 8), mirror=rng.random() < 0.5)


def _subject_of(entity_type: str, rng: np.random.Generator, side: int, area: tuple[float, float]) -> Image.Image:
    """Return a drawing of this type whose outline covers a part within `area` of a picture of `side` pixels."""
    part = math.exp(rng.uniform(math.log(area[0]), math.log(area[1])))
    subject = _subject(pick(rng, DRAWINGS[entity_type]), rng, math.ceil(side * min(1.0, 1.5 * math.sqrt(part))))
    scale = min(side * math.sqrt(part / (subject.width * subject.height)), side / max(subject.size))
    width, height = (max(1, round(scale * length)) for length in subject.size)
    return subject.resize((width, height), Image.Resampling.LANCZOS)


def _places(subjects: Sequence[Image.Image], rng: np.random.Generator, side: int) -> list[tuple[int, int, int, int]]:
    """Edges in pixels of each subject so that no two overlap; where there is no room, the largest gets smaller."""
    sizes = [subject.size for subject in subjects]
    while True:
        for _ in range(TRIES):
            corners = [(int(rng.integers(side - w + 1)), int(rng.integers(side - h + 1))) for w, h in sizes]
            places = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sizes, strict=True)]
            if not any(_overlap(one, other) for one, other in combinations(places, 2)):
                return places
        width, height = largest = max(sizes, key=math.prod)
        sizes[sizes.index(largest)] = (max(1, round(0.9 * width)), max(1, round(0.9 * height)))


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _grained(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture with a little film grain, so that no area is perfectly flat."""
    grain = rng.normal(0.0, 3.0, (picture.height, picture.width, 1))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
