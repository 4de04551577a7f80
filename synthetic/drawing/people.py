"""People: standing, waving, running, and from the chest up."""

from dataclasses import dataclass

import numpy as np

from synthetic.chance import pick
from synthetic.drawing.canvas import Canvas, Colour, Point, shade, vivid

SKINS: tuple[Colour, ...] = ((255, 219, 189), (241, 194, 155), (205, 150, 108), (150, 98, 66), (98, 62, 44))
HAIRS: tuple[Colour, ...] = (
    (40, 30, 28),
    (92, 58, 36),
    (176, 122, 62),
    (226, 190, 110),
    (150, 62, 40),
    (188, 188, 192),
)
EYES: Colour = (35, 30, 35)


@dataclass(frozen=True)
class Look:
    """What makes one person differ from the next."""

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    long_hair: bool
    hat: bool
    glasses: bool


def _look(rng: np.random.Generator) -> Look:
    return Look(
        skin=pick(rng, SKINS),
        hair=pick(rng, HAIRS),
        shirt=vivid(rng),
        trousers=shade(vivid(rng), 0.6),
        long_hair=rng.random() < 0.5,
        hat=rng.random() < 0.25,
        glasses=rng.random() < 0.25,
    )


def _head(canvas: Canvas, look: Look, x: float, y: float, radius: float) -> None:
    if look.long_hair:
        canvas.rectangle(
            x - 1.1 * radius, y - 0.3 * radius, x + 1.1 * radius, y + 1.5 * radius, look.hair, radius=0.4 * radius
        )
    canvas.disc(x, y - 0.1 * radius, 1.1 * radius, look.hair)
    canvas.ellipse(x - 0.85 * radius, y - 0.75 * radius, x + 0.85 * radius, y + radius, look.skin)
    if look.hat:
        canvas.half_disc(x, y - 0.45 * radius, 1.1 * radius, look.shirt, start=180, end=360)
        canvas.rectangle(
            x - 1.5 * radius, y - 0.6 * radius, x + 1.5 * radius, y - 0.35 * radius, shade(look.shirt, 0.7)
        )
    for side in (-1, 1):
        eye = x + side * 0.35 * radius
        canvas.disc(eye, y + 0.05 * radius, 0.11 * radius, EYES)
        if look.glasses:
            canvas.arc(eye, y + 0.05 * radius, 0.3 * radius, EYES, start=0, end=360, width=0.08 * radius)
    canvas.arc(x, y + 0.35 * radius, 0.35 * radius, shade(look.skin, 0.6), start=20, end=160, width=0.1 * radius)


def _body(canvas: Canvas, look: Look, hands: tuple[Point, Point], feet: tuple[Point, Point]) -> None:
    """Draw a whole figure; `hands` and `feet` are (left, right) and give the pose."""
    for hip, foot in zip((0.44, 0.56), feet, strict=True):
        knee = ((hip + foot[0]) / 2 + 0.03, (0.6 + foot[1]) / 2)
        canvas.line([(hip, 0.6), knee, foot], look.trousers, 0.1)
        canvas.ellipse(foot[0] - 0.05, foot[1] - 0.02, foot[0] + 0.1, foot[1] + 0.05, shade(look.trousers, 0.5))
    for shoulder, hand in zip((0.38, 0.62), hands, strict=True):
        outwards = 0.05 if shoulder > 0.5 else -0.05
        elbow = ((shoulder + hand[0]) / 2 + outwards, (0.34 + hand[1]) / 2 + 0.03)
        canvas.line([(shoulder, 0.34), elbow, hand], shade(look.shirt, 0.85), 0.075)
        canvas.disc(*hand, 0.045, look.skin)
    canvas.rectangle(0.455, 0.24, 0.545, 0.34, shade(look.skin, 0.9))
    canvas.rectangle(0.35, 0.29, 0.65, 0.64, look.shirt, radius=0.07)
    _head(canvas, look, 0.5, 0.15, 0.125)


def standing(canvas: Canvas, rng: np.random.Generator) -> None:
    reach = rng.uniform(0.0, 0.08)
    _body(canvas, _look(rng), ((0.3 - reach, 0.62), (0.7 + reach, 0.62)), ((0.43, 0.93), (0.57, 0.93)))


def waving(canvas: Canvas, rng: np.random.Generator) -> None:
    raised = (rng.uniform(0.76, 0.84), rng.uniform(0.04, 0.14))
    other = (0.2, 0.1) if rng.random() < 0.3 else (0.28, 0.6)
    _body(canvas, _look(rng), (other, raised), ((0.4, 0.93), (0.6, 0.93)))


def running(canvas: Canvas, rng: np.random.Generator) -> None:
    stride = rng.uniform(0.18, 0.28)
    _body(canvas, _look(rng), ((0.22, 0.5), (0.8, 0.42)), ((0.4 - stride, 0.8), (0.55 + stride, 0.88)))


def portrait(canvas: Canvas, rng: np.random.Generator) -> None:
    look = _look(rng)
    canvas.half_disc(0.5, 1.05, 0.42, look.shirt, start=180, end=360)
    canvas.rectangle(0.41, 0.55, 0.59, 0.75, shade(look.skin, 0.9), radius=0.06)
    canvas.polygon([(0.41, 0.66), (0.59, 0.66), (0.5, 0.8)], shade(look.skin, 0.9))
    _head(canvas, look, 0.5, 0.36, 0.26)


DRAWINGS = (standing, waving, running, portrait)
