"""Organisations, as one meets them in a picture: badges, crests, shop fronts, signs, flags."""

import math

import numpy as np

from synthetic.drawing.canvas import Canvas, Colour, Point, shade, vivid

PAPER = (250, 248, 242)


def star(x: float, y: float, radius: float, points: int = 5) -> list[Point]:
    """Return the corners of a star that stands on two of its points."""
    corners = []
    for corner in range(2 * points):
        reach = radius * (0.45 if corner % 2 else 1.0)
        angle = math.pi * (corner / points - 0.5)
        corners.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    return corners


def _emblem(canvas: Canvas, rng: np.random.Generator, x: float, y: float, radius: float, colour: Colour) -> None:
    """Draw what a logo shows: a star, a swoosh of bars, a split disc or a chevron."""
    design = rng.integers(4)
    if design == 0:
        canvas.polygon(star(x, y, radius, int(rng.integers(4, 8))), colour)
    elif design == 1:
        for bar in range(3):
            left = x - radius * 0.8 + bar * radius * 0.58
            canvas.rectangle(left, y + radius * (0.4 - 0.55 * bar), left + radius * 0.42, y + radius * 0.8, colour)
    elif design == 2:
        canvas.half_disc(x - 0.06 * radius, y, 0.85 * radius, colour, start=90, end=270)
        canvas.half_disc(x + 0.06 * radius, y, 0.85 * radius, shade(colour, 0.7), start=270, end=450)
    else:
        for lift in (0.0, 0.5):
            upper = y - radius * (0.75 - lift)
            tip, foot = (x, upper), upper + radius * 0.75
            canvas.line([(x - 0.7 * radius, foot), tip, (x + 0.7 * radius, foot)], colour, 0.22 * radius)


def badge(canvas: Canvas, rng: np.random.Generator) -> None:
    colour = vivid(rng)
    canvas.disc(0.5, 0.5, 0.48, colour)
    canvas.disc(0.5, 0.5, 0.4, PAPER)
    canvas.disc(0.5, 0.5, 0.36, shade(colour, 0.8))
    _emblem(canvas, rng, 0.5, 0.5, 0.26, PAPER)


def crest(canvas: Canvas, rng: np.random.Generator) -> None:
    colour, other = vivid(rng), vivid(rng)
    outline = [(0.12, 0.08), (0.88, 0.08), (0.88, 0.5), (0.78, 0.72), (0.5, 0.95), (0.22, 0.72), (0.12, 0.5)]
    canvas.polygon(outline, PAPER)
    inner = [(0.5 + (x - 0.5) * 0.86, 0.49 + (y - 0.49) * 0.88) for x, y in outline]
    canvas.polygon(inner, colour)
    canvas.polygon([(0.5, inner[0][1]), inner[1], inner[2], inner[3], inner[4]], other)
    canvas.rectangle(0.12, 0.2, 0.88, 0.3, PAPER)
    _emblem(canvas, rng, 0.5, 0.55, 0.19, PAPER)


def shop(canvas: Canvas, rng: np.random.Generator) -> None:
    wall, awning = vivid(rng), vivid(rng)
    canvas.rectangle(0.05, 0.1, 0.95, 0.95, shade(wall, 0.8))
    canvas.rectangle(0.1, 0.14, 0.9, 0.34, PAPER, radius=0.03)
    _emblem(canvas, rng, 0.24, 0.24, 0.08, awning)
    canvas.rectangle(0.38, 0.2, 0.82, 0.28, awning, radius=0.03)
    canvas.rectangle(0.12, 0.5, 0.58, 0.84, (188, 222, 240))
    canvas.rectangle(0.66, 0.5, 0.88, 0.95, (92, 66, 52))
    stripes = 6
    for stripe in range(stripes):
        left = 0.02 + stripe * 0.16
        colour = awning if stripe % 2 else PAPER
        canvas.rectangle(left, 0.38, left + 0.16, 0.5, colour)
        canvas.disc(left + 0.08, 0.5, 0.08, colour)


def sign(canvas: Canvas, rng: np.random.Generator) -> None:
    colour = vivid(rng)
    for x in (0.22, 0.78):
        canvas.rectangle(x - 0.03, 0.5, x + 0.03, 0.95, (90, 86, 90))
    canvas.rectangle(0.02, 0.14, 0.98, 0.66, PAPER, radius=0.06)
    canvas.rectangle(0.05, 0.17, 0.95, 0.63, colour, radius=0.05)
    _emblem(canvas, rng, 0.25, 0.4, 0.15, PAPER)
    canvas.rectangle(0.46, 0.3, 0.88, 0.38, PAPER, radius=0.03)
    canvas.rectangle(0.46, 0.45, 0.76, 0.5, shade(colour, 0.65), radius=0.02)


def flag(canvas: Canvas, rng: np.random.Generator) -> None:
    colour = vivid(rng)
    across = np.linspace(0, 1, 20)
    upper = [(0.12 + 0.85 * t, 0.12 + 0.05 * math.sin(2 * math.pi * t)) for t in across.tolist()]
    canvas.polygon([*upper, *[(x, y + 0.5) for x, y in reversed(upper)]], colour)
    canvas.disc(0.54, 0.37, 0.19, PAPER)
    _emblem(canvas, rng, 0.54, 0.37, 0.14, shade(colour, 0.75))
    canvas.rectangle(0.08, 0.04, 0.13, 0.98, (120, 96, 70), radius=0.02)
    canvas.disc(0.105, 0.05, 0.04, (226, 190, 90))


DRAWINGS = (badge, crest, shop, sign, flag)
