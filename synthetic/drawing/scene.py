"""One picture: a subject of a known type at a known place on cluttered ground."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


def draw_scene(
    entity_type: str,
    rng: np.random.Generator,
    *,
    side: int = 256,
    size: tuple[float, float] = (0.15, 0.4),
    clutter: tuple[int, int] = (12, 30),
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
    canvas = Canvas(round(side * rng.uniform(*size)))
    drawing(canvas, rng)
    subject = canvas.image(turn=rng.uniform(-8, 8), mirror=rng.random() < 0.5)
    left = int(rng.integers(side - subject.width + 1))
    top = int(rng.integers(side - subject.height + 1))
    picture.paste(subject, (left, top), subject)
    box = Box(left / side, top / side, (left + subject.width) / side, (top + subject.height) / side)
    return Scene(_grained(picture, rng), drawing.__name__, box)


def _grained(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture with a little film grain, so that no area is perfectly flat."""
    grain = rng.normal(0.0, 3.0, (picture.height, picture.width, 1))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
