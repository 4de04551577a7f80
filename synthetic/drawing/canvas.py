"""A square to draw on in unit coordinates, with smooth edges, and the colours to draw with."""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

SUPERSAMPLING = 3


class Canvas:
    """A transparent square whose coordinates run from (0, 0), upper left, to (1, 1).

    Everything is drawn at `SUPERSAMPLING` times the final size; `image` shrinks it, which is what smooths the edges.

    Args:
        side: side of the finished image in pixels.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._scale = side * SUPERSAMPLING
        self._layer = Image.new("RGBA", (self._scale, self._scale), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._layer)

    def ellipse(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self._draw.ellipse(self._box(left, top, right, bottom), fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        self.ellipse(x - radius, y - radius, x + radius, y + radius, colour)

    def half_disc(self, x: float, y: float, radius: float, colour: Colour, *, start: float, end: float) -> None:
        """Draw a slice of a disc from `start` to `end` degrees, clockwise from three o'clock, closed by a line."""
        self._draw.chord(self._box(x - radius, y - radius, x + radius, y + radius), start, end, fill=colour)

    def arc(self, x: float, y: float, radius: float, colour: Colour, *, start: float, end: float, width: float) -> None:
        box = self._box(x - radius, y - radius, x + radius, y + radius)
        self._draw.arc(box, start, end, fill=colour, width=self._pixels(width))

    def rectangle(
        self, left: float, top: float, right: float, bottom: float, colour: Colour, *, radius: float = 0.0
    ) -> None:
        self._draw.rounded_rectangle(self._box(left, top, right, bottom), radius * self._scale, fill=colour)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self._draw.polygon([(x * self._scale, y * self._scale) for x, y in points], fill=colour)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draw a line through `points` with round ends and round corners."""
        scaled = [(x * self._scale, y * self._scale) for x, y in points]
        self._draw.line(scaled, fill=colour, width=self._pixels(width), joint="curve")
        for x, y in points:
            self.disc(x, y, width / 2, colour)

    def image(self, *, turn: float = 0.0, mirror: bool = False) -> Image.Image:
        """Return what was drawn, cut to its own outline.

        Args:
            turn: degrees counter-clockwise.
            mirror: swap left and right.

        Returns:
            an RGBA image whose longer side is `side` pixels.
        """
        layer = self._layer.rotate(turn, Image.Resampling.BICUBIC, expand=True) if turn else self._layer
        layer = layer.crop(layer.getbbox())
        if mirror:
            layer = layer.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        ratio = self._side / max(layer.size)
        size = (max(1, round(layer.width * ratio)), max(1, round(layer.height * ratio)))
        return layer.resize(size, Image.Resampling.LANCZOS)

    def _box(self, left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        return left * self._scale, top * self._scale, right * self._scale, bottom * self._scale

    def _pixels(self, width: float) -> int:
        return max(1, round(width * self._scale))


def vivid(rng: np.random.Generator) -> Colour:
    """Return a strong colour of any hue: what subjects are painted with."""
    return from_hsv(rng.random(), rng.uniform(0.55, 0.9), rng.uniform(0.55, 0.95))


def muted(rng: np.random.Generator) -> Colour:
    """Return a quiet colour of any hue: what backgrounds are painted with."""
    return from_hsv(rng.random(), rng.uniform(0.08, 0.4), rng.uniform(0.5, 0.95))


def from_hsv(hue: float, saturation: float, value: float) -> Colour:
    """Return a colour from hue (any number, in turns of the colour wheel), saturation and value in 0..1."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def shade(colour: Colour, factor: float) -> Colour:
    """`colour` made darker (`factor` below 1) or lighter (above 1)."""
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue
